//! Reserve, settle, abort, replay; what a key has spent.

use domain::Micros;
use store::{Applied, LedgerFilter, MAX_BATCH, MAX_FIGURE, Owner, Spend, State, StoreError};

use crate::databases::Place;
use crate::sample::{HOUR, NOON, aborted, reserved, settled};

on_both! {
    a_settlement_counts_once_however_often_it_comes
    a_settlement_whose_reservation_was_lost_counts
    an_abort_frees_what_was_reserved
    a_settlement_counts_after_an_abort_and_never_the_other_way
    steps_in_one_batch_add_up_to_the_furthest
    a_window_is_exact_within_its_first_and_last_hour
    unsettled_reservations_are_listed_and_summed
    an_export_reads_every_entry_once_in_order
    figures_and_texts_beyond_the_schema_do_not_stop_a_batch
    an_unusable_batch_is_refused_whole
    a_sum_that_was_tampered_with_is_found
}

async fn a_settlement_counts_once_however_often_it_comes(place: &Place) {
    let store = place.open().await;
    let ledger = store.ledger();
    ledger.apply(&[reserved("a")]).await.unwrap();
    let first = ledger.apply(&[settled("a")]).await.unwrap();
    assert_eq!(first, Applied { changed: 1, settled: 1, known: 0 });
    let mut dearer = settled("a");
    dearer.cost = Micros(999);
    for replay in [reserved("a"), settled("a"), dearer, aborted("a")] {
        let again = ledger.apply(&[replay]).await.unwrap();
        assert_eq!(again, Applied { changed: 0, settled: 0, known: 1 });
    }
    let spend = ledger.spend(Owner::Key("k1"), 0, NOON + HOUR).await.unwrap();
    let expected =
        Spend { cost: Micros(150), requests: 1, input_tokens: 100, output_tokens: 20, unsettled: Micros(0) };
    assert_eq!(spend, expected);
    let entry = ledger.get("a").await.unwrap().unwrap();
    assert_eq!((entry.reserved, entry.state, entry.at_ms), (Micros(400), State::Settled, NOON));
    assert_eq!(store::LedgerEntry { reserved: Micros(0), ..entry }, settled("a"));
}

async fn a_settlement_whose_reservation_was_lost_counts(place: &Place) {
    let store = place.open().await;
    store.ledger().apply(&[settled("a")]).await.unwrap();
    // Its reservation arrives late.
    store.ledger().apply(&[reserved("a")]).await.unwrap();
    let spend = store.ledger().spend(Owner::Key("k1"), 0, NOON + HOUR).await.unwrap();
    assert_eq!((spend.cost, spend.unsettled), (Micros(150), Micros(0)));
}

async fn an_abort_frees_what_was_reserved(place: &Place) {
    let store = place.open().await;
    let ledger = store.ledger();
    ledger.apply(&[reserved("a")]).await.unwrap();
    assert_eq!(ledger.spend(Owner::Key("k1"), 0, NOON).await.unwrap().unsettled, Micros(400));
    ledger.apply(&[aborted("a")]).await.unwrap();
    assert_eq!(ledger.spend(Owner::Key("k1"), 0, NOON + HOUR).await.unwrap(), Spend::default());
    assert_eq!(ledger.get("a").await.unwrap().unwrap().outcome, "connect");
}

async fn a_settlement_counts_after_an_abort_and_never_the_other_way(place: &Place) {
    let store = place.open().await;
    let ledger = store.ledger();
    ledger.apply(&[aborted("a"), settled("b")]).await.unwrap();
    ledger.apply(&[settled("a"), aborted("b")]).await.unwrap();
    let spend = ledger.spend(Owner::Key("k1"), 0, NOON + HOUR).await.unwrap();
    assert_eq!((spend.cost, spend.requests), (Micros(300), 2));
}

async fn steps_in_one_batch_add_up_to_the_furthest(place: &Place) {
    let store = place.open().await;
    let batch =
        [reserved("a"), settled("b"), settled("a"), reserved("b"), settled("a"), aborted("c"), reserved("c")];
    let applied = store.ledger().apply(&batch).await.unwrap();
    assert_eq!(applied, Applied { changed: 3, settled: 2, known: 0 });
    let spend = store.ledger().spend(Owner::Key("k1"), 0, NOON + HOUR).await.unwrap();
    assert_eq!((spend.cost, spend.unsettled), (Micros(300), Micros(0)));
    assert_eq!(store.ledger().get("b").await.unwrap().unwrap().reserved, Micros(400));
}

async fn a_window_is_exact_within_its_first_and_last_hour(place: &Place) {
    let store = place.open().await;
    let mut batch = vec![];
    for minutes in (-600..=600).step_by(7) {
        let mut entry = settled(&format!("at {minutes}"));
        entry.at_ms = NOON + minutes * 60_000;
        entry.cost = Micros(u64::try_from(minutes + 1_000).unwrap());
        batch.push(entry);
    }
    store.ledger().apply(&batch).await.unwrap();
    let minute = 60_000;
    let windows = [
        (NOON, NOON + minute),
        (NOON - 10 * minute, NOON + 10 * minute),
        (NOON - 30 * minute, NOON + 30 * minute),
        (NOON - 45 * minute, NOON + 20 * minute),
        (NOON - 150 * minute, NOON + 150 * minute),
        (NOON - 600 * minute, NOON + 599 * minute),
        (NOON, NOON),
        (NOON + minute, NOON),
        (i64::MIN, i64::MAX),
    ];
    for (from, to) in windows {
        let inside = batch.iter().filter(|entry| from <= entry.at_ms && entry.at_ms < to);
        let expected = inside.fold(Micros(0), |sum, entry| sum + entry.cost);
        for owner in [Owner::Key("k1"), Owner::Team("t1"), Owner::User("u1")] {
            assert_eq!(store.ledger().spend(owner, from, to).await.unwrap().cost, expected, "{from} to {to}");
        }
    }
    assert_eq!(store.ledger().spend(Owner::Key("k2"), 0, i64::MAX).await.unwrap(), Spend::default());
}

async fn unsettled_reservations_are_listed_and_summed(place: &Place) {
    let store = place.open().await;
    let ledger = store.ledger();
    ledger.apply(&[reserved("a"), reserved("b"), settled("c"), aborted("d")]).await.unwrap();
    let open: Vec<String> =
        ledger.unsettled(NOON).await.unwrap().into_iter().map(|entry| entry.attempt_id).collect();
    assert_eq!(open, ["a", "b"]);
    assert_eq!(ledger.unsettled(NOON - 1_000).await.unwrap(), []);
    // Old reservations count too, whatever the window.
    assert_eq!(ledger.spend(Owner::Team("t1"), NOON, NOON + 1).await.unwrap().unsettled, Micros(800));
}

async fn an_export_reads_every_entry_once_in_order(place: &Place) {
    let store = place.open().await;
    let mut batch: Vec<_> = (0..2_500).map(|number| settled(&format!("{number:05}"))).collect();
    for (index, entry) in batch.iter_mut().enumerate() {
        // Several entries share a time across the border of a page.
        entry.at_ms = NOON + i64::try_from(index / 40).unwrap();
        entry.model = if index % 5 == 0 { "large".to_owned() } else { "small".to_owned() };
    }
    store.ledger().apply(&batch).await.unwrap();
    let read = async |filter| {
        let (mut export, mut entries) = (store.ledger().export(filter), vec![]);
        while let Some(page) = export.next_page().await.unwrap() {
            assert!(page.len() <= 1_000);
            entries.extend(page);
        }
        entries
    };
    assert_eq!(read(LedgerFilter::default()).await, batch);
    let filter = LedgerFilter {
        model: Some("large".to_owned()),
        from_ms: Some(NOON + 1),
        to_ms: Some(NOON + 60),
        ..LedgerFilter::default()
    };
    let expected: Vec<_> =
        batch.iter().enumerate().filter(|(index, _)| index % 5 == 0 && (40..2_400).contains(index)).collect();
    assert_eq!(read(filter).await.len(), expected.len());
}

async fn figures_and_texts_beyond_the_schema_do_not_stop_a_batch(place: &Place) {
    let store = place.open().await;
    let mut odd = settled("odd");
    odd.cost = Micros(u64::MAX);
    odd.usage.prompt = u64::MAX;
    odd.tags = vec!["nul \0 tag".to_owned(), "'; DROP TABLE ledger; --".to_owned(), "🦀".to_owned()];
    odd.user_id = "u\0".to_owned();
    store.ledger().apply(&[odd, settled("plain")]).await.unwrap();
    let spend = store.ledger().spend(Owner::Key("k1"), 0, NOON + HOUR).await.unwrap();
    assert_eq!(spend.cost, Micros(MAX_FIGURE + 150));
    let stored = store.ledger().get("odd").await.unwrap().unwrap();
    assert_eq!(stored.user_id, "u\u{fffd}");
    assert_eq!(stored.tags[1..], ["'; DROP TABLE ledger; --", "🦀"]);
}

async fn an_unusable_batch_is_refused_whole(place: &Place) {
    let store = place.open().await;
    let long: Vec<_> = (0..=MAX_BATCH).map(|number| settled(&number.to_string())).collect();
    for batch in [long, vec![settled("a"), settled("")]] {
        let refused = store.ledger().apply(&batch).await.unwrap_err();
        assert!(matches!(refused, StoreError::Invalid { .. }), "{refused}");
    }
    assert_eq!(store.ledger().apply(&[]).await.unwrap(), Applied::default());
    assert!(store.ledger().export(LedgerFilter::default()).next_page().await.unwrap().is_none());
}

async fn a_sum_that_was_tampered_with_is_found(place: &Place) {
    let store = place.open().await;
    let mut later = settled("b");
    later.at_ms = NOON + 5 * HOUR;
    store.ledger().apply(&[settled("a"), later]).await.unwrap();
    assert_eq!(store.ledger().reconcile(0, NOON + 9 * HOUR).await.unwrap(), []);
    place.run("UPDATE spend_hourly SET cost_micros = cost_micros + 5 WHERE hour < 1767330000000").await;
    let found = store.ledger().reconcile(0, NOON + 9 * HOUR).await.unwrap();
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!((found[0].key_id.as_str(), found[0].cost_micros, found[0].attempts), ("k1", 5, 0));
    assert_eq!(store.ledger().reconcile(NOON + 2 * HOUR, NOON + 9 * HOUR).await.unwrap(), []);
}
