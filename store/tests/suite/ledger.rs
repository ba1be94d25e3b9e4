//! Reserve, settle, abort, replay; what a key has spent.

use std::sync::Arc;

use domain::{Micros, Usage};
use store::{
    Applied, Counted, Kind, LedgerEntry, LedgerFilter, LogBatch, MAX_BATCH, MAX_FIGURE, Owner, Position,
    ReportQuery, Spend, Store, StoreError,
};

use crate::databases::Place;
use crate::sample::{HOUR, NOON, aborted, batch, reserved, settled, subject};

on_both! {
    a_piece_of_a_log_counts_once_however_often_it_comes
    a_log_may_begin_anywhere_and_is_known_until_it_is_forgotten
    an_abort_frees_what_was_reserved
    a_window_is_exact_to_the_minute
    forgotten_minutes_leave_their_hours
    unsettled_reservations_are_listed_and_summed
    an_export_reads_every_entry_once_in_order
    figures_and_texts_beyond_the_schema_do_not_stop_a_batch
    pages_give_every_entry_once_whatever_their_length
    requests_without_a_call_count_and_the_rest_is_told_by_who_counted_it
    an_unusable_batch_is_refused_whole
    a_sum_that_was_tampered_with_is_found
}

/// Everything that matches.
async fn read(store: &Store, filter: LedgerFilter) -> Vec<LedgerEntry> {
    let (mut export, mut entries) = (store.ledger().export(filter), vec![]);
    while let Some(page) = export.next_page().await.unwrap() {
        assert!(page.len() <= 1_000);
        entries.extend(page);
    }
    entries
}

async fn a_piece_of_a_log_counts_once_however_often_it_comes(place: &Place) {
    let store = place.open().await;
    let ledger = store.ledger();
    let at = |offset| Position { segment: 0, offset };
    let opened = LogBatch { to: at(10), ..batch(&[reserved("a")]) };
    assert_eq!(ledger.apply(&opened).await.unwrap(), Applied::default());
    let piece = LogBatch { log: opened.log.clone(), from: at(10), to: at(20), ..batch(&[settled("a")]) };
    assert_eq!(ledger.apply(&piece).await.unwrap(), Applied { ended: 1, settled: 1, is_known: false });
    // The same, one that begins where the log was once, and one that begins further than it is.
    let gap = LogBatch { from: at(30), to: at(40), ..piece.clone() };
    for known in [piece, opened.clone(), gap] {
        assert!(ledger.apply(&known).await.unwrap().is_known, "{known:?}");
    }
    assert_eq!(ledger.progress(&opened.log).await.unwrap(), Some(at(20)));
    let spend = ledger.spend(Owner::Key("k1"), 0, NOON + HOUR).await.unwrap();
    let expected =
        Spend { cost: Micros(150), requests: 1, input_tokens: 100, output_tokens: 20, unsettled: Micros(0) };
    assert_eq!(spend, expected);
    assert_eq!(read(&store, LedgerFilter::default()).await, [settled("a")]);
}

async fn a_log_may_begin_anywhere_and_is_known_until_it_is_forgotten(place: &Place) {
    let store = place.open().await;
    let ledger = store.ledger();
    let (from, to) = (Position { segment: 3, offset: 7 }, Position { segment: 4, offset: 0 });
    let piece = LogBatch { from, to, ..batch(&[settled("a")]) };
    assert_eq!(ledger.progress(&piece.log).await.unwrap(), None);
    assert!(!ledger.apply(&piece).await.unwrap().is_known);
    ledger.forget(&piece.log).await.unwrap();
    assert_eq!(ledger.progress(&piece.log).await.unwrap(), None);
}

async fn an_abort_frees_what_was_reserved(place: &Place) {
    let store = place.open().await;
    let ledger = store.ledger();
    ledger.apply(&batch(&[reserved("a")])).await.unwrap();
    assert_eq!(ledger.spend(Owner::Key("k1"), 0, NOON).await.unwrap().unsettled, Micros(400));
    ledger.apply(&batch(&[aborted("a")])).await.unwrap();
    assert_eq!(ledger.spend(Owner::Key("k1"), 0, NOON + HOUR).await.unwrap(), Spend::default());
    assert_eq!(read(&store, LedgerFilter::default()).await, [aborted("a")]);
}

async fn a_window_is_exact_to_the_minute(place: &Place) {
    let store = place.open().await;
    let mut entries = vec![];
    for minutes in (-600..=600).step_by(7) {
        let mut entry = settled(&format!("at {minutes}"));
        entry.at_ms = NOON + minutes * 60_000;
        entry.cost = Micros(u64::try_from(minutes + 1_000).unwrap());
        entries.push(entry);
    }
    store.ledger().apply(&batch(&entries)).await.unwrap();
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
        let inside = entries.iter().filter(|entry| from <= entry.at_ms && entry.at_ms < to);
        let expected = inside.fold(Micros(0), |sum, entry| sum + entry.cost);
        for owner in [Owner::Key("k1"), Owner::Team("t1"), Owner::User("u1")] {
            assert_eq!(store.ledger().spend(owner, from, to).await.unwrap().cost, expected, "{from} to {to}");
        }
    }
    assert_eq!(store.ledger().spend(Owner::Key("k2"), 0, i64::MAX).await.unwrap(), Spend::default());
}

async fn forgotten_minutes_leave_their_hours(place: &Place) {
    let store = place.open().await;
    let ledger = store.ledger();
    let mut later = settled("b");
    later.at_ms = NOON + HOUR;
    ledger.apply(&batch(&[settled("a"), later])).await.unwrap();
    let whole_hours = (NOON - HOUR / 2, NOON + 3 * HOUR / 2);
    for (before, first, second) in [(NOON, 150, 150), (NOON + HOUR, 0, 150), (NOON + 2 * HOUR, 0, 0)] {
        ledger.forget_minutes(before).await.unwrap();
        let cost = async |from, to| ledger.spend(Owner::Key("k1"), from, to).await.unwrap().cost.0;
        assert_eq!(cost(NOON, NOON + 60_000).await, first);
        assert_eq!(cost(NOON + HOUR, NOON + HOUR + 60_000).await, second);
        assert_eq!(cost(whole_hours.0, whole_hours.1).await, 300);
    }
}

async fn unsettled_reservations_are_listed_and_summed(place: &Place) {
    let store = place.open().await;
    let ledger = store.ledger();
    ledger.apply(&batch(&[reserved("a"), reserved("b"), settled("c"), aborted("d")])).await.unwrap();
    let open: Vec<String> =
        ledger.unsettled(NOON).await.unwrap().into_iter().map(|entry| entry.attempt_id).collect();
    assert_eq!(open, ["a", "b"]);
    assert_eq!(ledger.unsettled(NOON - 1_000).await.unwrap(), []);
    // Old reservations count too, whatever the window.
    assert_eq!(ledger.spend(Owner::Team("t1"), NOON, NOON + 1).await.unwrap().unsettled, Micros(800));
}

async fn an_export_reads_every_entry_once_in_order(place: &Place) {
    let store = place.open().await;
    let mut entries: Vec<_> = (0..2_500).map(|number| settled(&format!("{number:05}"))).collect();
    for (index, entry) in entries.iter_mut().enumerate() {
        // Several entries share a time across the border of a page.
        entry.at_ms = NOON + i64::try_from(index / 40).unwrap();
        entry.subject = subject("k1", if index % 5 == 0 { "large" } else { "small" });
    }
    store.ledger().apply(&batch(&entries)).await.unwrap();
    assert_eq!(read(&store, LedgerFilter::default()).await, entries);
    let filter = LedgerFilter {
        model: Some("large".to_owned()),
        from_ms: Some(NOON + 1),
        to_ms: Some(NOON + 60),
        ..LedgerFilter::default()
    };
    let expected: Vec<_> = entries
        .iter()
        .enumerate()
        .filter(|(index, _)| index % 5 == 0 && (40..2_400).contains(index))
        .collect();
    assert_eq!(read(&store, filter).await.len(), expected.len());
}

async fn figures_and_texts_beyond_the_schema_do_not_stop_a_batch(place: &Place) {
    let store = place.open().await;
    let mut odd = settled("odd");
    odd.cost = Micros(u64::MAX);
    odd.usage.prompt = u64::MAX;
    Arc::make_mut(&mut odd.subject).tags =
        vec!["nul \0 tag".to_owned(), "'; DROP TABLE ledger; --".to_owned(), "🦀".to_owned()];
    Arc::make_mut(&mut odd.subject).user_id = "u\0".to_owned();
    store.ledger().apply(&batch(&[odd.clone(), settled("plain")])).await.unwrap();
    let spend = store.ledger().spend(Owner::Key("k1"), 0, NOON + HOUR).await.unwrap();
    assert_eq!(spend.cost, Micros(MAX_FIGURE + 150));
    let stored = read(&store, LedgerFilter::default()).await;
    assert!(stored.contains(&odd) && stored.len() == 2);
    assert_eq!(store.ledger().spend(Owner::User("u\u{fffd}"), 0, NOON + HOUR).await.unwrap().requests, 1);
    assert_eq!(store.ledger().reconcile(0, NOON + HOUR).await.unwrap().differences, []);
}

async fn pages_give_every_entry_once_whatever_their_length(place: &Place) {
    let store = place.open().await;
    let ended: Vec<_> = (0..25).map(|number| settled(&format!("e{number:02}"))).collect();
    for (index, piece) in ended.chunks(10).enumerate() {
        let log = format!("log {index}");
        store.ledger().apply(&LogBatch { log, ..batch(piece) }).await.unwrap();
    }
    let open: Vec<_> = (0..3).map(|number| reserved(&format!("o{number}"))).collect();
    store.ledger().apply(&LogBatch { log: "open".to_owned(), ..batch(&open) }).await.unwrap();
    let mut all: Vec<_> = read(&store, LedgerFilter::default()).await;
    assert_eq!(all.len(), 28);
    let key = |entry: &LedgerEntry| entry.attempt_id.clone();
    all.sort_by_key(key);
    for limit in [1, 7, 10, 28, 1_000] {
        let (mut paged, mut after) = (Vec::new(), None::<String>);
        loop {
            let filter = LedgerFilter::default();
            let page = store.ledger().page(&filter, after.as_deref(), limit).await.unwrap();
            assert!(page.entries.len() <= limit);
            paged.extend(page.entries);
            let Some(next) = page.next else { break };
            after = Some(next);
        }
        paged.sort_by_key(key);
        assert_eq!(paged, all, "pages of {limit}");
    }
    let one = LedgerFilter { request_id: Some("request e07".to_owned()), ..LedgerFilter::default() };
    let found = store.ledger().page(&one, None, 5).await.unwrap();
    assert_eq!((found.entries.len(), found.next), (1, None));
    assert!(matches!(store.ledger().page(&one, Some("7"), 5).await, Err(StoreError::Invalid { .. })));
}

async fn requests_without_a_call_count_and_the_rest_is_told_by_who_counted_it(place: &Place) {
    let store = place.open().await;
    let none = Usage::default();
    let follower =
        |id, kind| LedgerEntry { kind, usage: none, cost: Micros(0), saved: Micros(150), ..settled(id) };
    let estimated = LedgerEntry { counted: Counted::Estimate, counts_request: false, ..settled("e") };
    let ended = [
        settled("a"),
        settled("b"),
        estimated,
        follower("c", Kind::Coalesced),
        follower("d", Kind::CacheHit),
    ];
    store.ledger().apply(&batch(&ended)).await.unwrap();
    let query = ReportQuery { from_ms: 0, to_ms: NOON + HOUR, ..ReportQuery::default() };
    let totals = store.reports().sum(&query).await.unwrap()[0].totals;
    assert_eq!((totals.requests, totals.attempts, totals.cost), (4, 3, Micros(450)));
    assert_eq!(totals.saved, Micros(2 * 150 + 3 * 7));
    let found = store.ledger().reconcile(0, NOON + HOUR).await.unwrap();
    assert_eq!(found.differences, []);
    let told: Vec<_> = found.counted.iter().map(|sum| (sum.counted, sum.attempts, sum.cost)).collect();
    assert_eq!(told, [(Counted::Provider, 2, Micros(300)), (Counted::Estimate, 1, Micros(150))]);
    assert_eq!(found.counted[0].usage.prompt, 200);
}

async fn an_unusable_batch_is_refused_whole(place: &Place) {
    let store = place.open().await;
    let long: Vec<_> = (0..=MAX_BATCH).map(|number| settled(&number.to_string())).collect();
    for entries in [long, vec![settled("a"), settled("")], vec![reserved("")]] {
        let refused = store.ledger().apply(&batch(&entries)).await.unwrap_err();
        assert!(matches!(refused, StoreError::Invalid { .. }), "{refused}");
    }
    assert_eq!(store.ledger().apply(&batch(&[])).await.unwrap(), Applied::default());
    assert!(store.ledger().export(LedgerFilter::default()).next_page().await.unwrap().is_none());
}

async fn a_sum_that_was_tampered_with_is_found(place: &Place) {
    let store = place.open().await;
    let mut later = settled("b");
    later.at_ms = NOON + 5 * HOUR;
    store.ledger().apply(&batch(&[settled("a"), later])).await.unwrap();
    assert_eq!(store.ledger().reconcile(0, NOON + 9 * HOUR).await.unwrap().differences, []);
    place.run("UPDATE spend_hourly SET cost_micros = cost_micros + 5 WHERE hour < 1767330000000").await;
    let found = store.ledger().reconcile(0, NOON + 9 * HOUR).await.unwrap().differences;
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!((found[0].key_id.as_str(), found[0].cost_micros, found[0].attempts), ("k1", 5, 0));
    assert_eq!(store.ledger().reconcile(NOON + 2 * HOUR, NOON + 9 * HOUR).await.unwrap().differences, []);
}
