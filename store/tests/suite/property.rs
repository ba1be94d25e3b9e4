//! After any sequence of steps, replays and batches, the sums are those of the entries.

use std::collections::BTreeMap;
use std::sync::Arc;

use domain::Micros;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use store::{LedgerEntry, LedgerFilter, LogBatch, Owner, Position, State, Store, Subject};

use crate::databases::Place;
use crate::sample::{HOUR, NOON, batch, reserved, subject};

on_both! {
    sums_equal_their_entries_after_any_sequence
}

/// A piece of a log: reservations of some attempts, and the ends of some that are open. Whether it comes again later.
type Piece = (Vec<LedgerEntry>, bool);

/// One attempt, with figures that differ each time it is drawn: its reservation, and the end it may have.
fn attempt() -> impl Strategy<Value = (LedgerEntry, Option<LedgerEntry>)> {
    let end = prop_oneof![Just(None), Just(Some(State::Aborted)), Just(Some(State::Settled))];
    (0..3_u8, end, 0..1_000_u64, 0..5_i64, 0..3_u8, any::<bool>()).prop_map(
        |(key, end, cost, hours, tags, counts_request)| {
            let reservation = LedgerEntry {
                subject: Arc::new(Subject {
                    tags: (0..tags).map(|tag| format!("tag {tag}")).collect(),
                    ..Arc::unwrap_or_clone(subject(&format!("k{key}"), "small"))
                }),
                ..reserved("")
            };
            let end = end.map(|state| {
                let is_settled = state == State::Settled;
                LedgerEntry {
                    state,
                    at_ms: NOON + hours * HOUR / 2,
                    cost: Micros(if is_settled { cost } else { 0 }),
                    counts_request: is_settled && counts_request,
                    ..reservation.clone()
                }
            });
            (reservation, end)
        },
    )
}

/// Attempts in the order of their reservations, each ending some pieces after it began.
fn pieces() -> impl Strategy<Value = Vec<Piece>> {
    let attempts = prop::collection::vec((attempt(), 0..6_usize, 0..3_usize), 1..20);
    (attempts, prop::collection::vec(any::<bool>(), 8)).prop_map(|(attempts, replayed)| {
        let mut pieces: Vec<Piece> = replayed.into_iter().map(|replayed| (vec![], replayed)).collect();
        for (number, ((mut reservation, end), begins, lasts)) in attempts.into_iter().enumerate() {
            reservation.attempt_id = format!("a{number}");
            if let Some(end) = end {
                pieces[begins + lasts].0.push(LedgerEntry { attempt_id: format!("a{number}"), ..end });
                if lasts == 0 {
                    // Begun and ended within one piece: the store hears of its end only.
                    continue;
                }
            }
            pieces[begins].0.push(reservation);
        }
        pieces
    })
}

async fn sums_equal_their_entries_after_any_sequence(place: &Place) {
    let store = place.open().await;
    let mut runner = TestRunner::new(Config { cases: 60, failure_persistence: None, ..Config::default() });
    let handle = tokio::runtime::Handle::current();
    let outcome = tokio::task::block_in_place(|| {
        runner.run(&pieces(), |pieces| {
            handle.block_on(async {
                let sql = "DELETE FROM ledger_blocks; DELETE FROM ledger_open; DELETE FROM spend_hourly; \
                           DELETE FROM spend_hourly_tags; DELETE FROM spend_minutely;";
                place.run(sql).await;
                let log = store::new_id();
                let batches: Vec<LogBatch> = (0_u64..)
                    .zip(&pieces)
                    .map(|(segment, (entries, _))| LogBatch {
                        log: log.clone(),
                        from: Position { segment, offset: 0 },
                        to: Position { segment: segment + 1, offset: 0 },
                        ..batch(entries)
                    })
                    .collect();
                for (index, batch) in batches.iter().enumerate() {
                    assert!(!store.ledger().apply(batch).await.unwrap().is_known);
                    for (known, _) in
                        batches[..=index].iter().zip(&pieces).filter(|(_, (_, replayed))| *replayed)
                    {
                        assert!(
                            store.ledger().apply(known).await.unwrap().is_known,
                            "a replay changes nothing"
                        );
                    }
                }
                check(&store, &pieces.into_iter().flat_map(|(entries, _)| entries).collect::<Vec<_>>()).await;
            });
            Ok(())
        })
    });
    outcome.unwrap();
}

async fn check(store: &Store, steps: &[LedgerEntry]) {
    assert_eq!(store.ledger().reconcile(0, NOON + 100 * HOUR).await.unwrap().differences, []);
    // The model: an attempt's end, else its reservation.
    let mut attempts: BTreeMap<&str, &LedgerEntry> = BTreeMap::new();
    for step in steps {
        let known = attempts.entry(&step.attempt_id).or_insert(step);
        if step.state > known.state {
            *known = step;
        }
    }
    let mut export = store.ledger().export(LedgerFilter::default());
    let mut stored = 0;
    while let Some(page) = export.next_page().await.unwrap() {
        for entry in page {
            assert_eq!(&entry, attempts[entry.attempt_id.as_str()]);
            stored += 1;
        }
    }
    assert_eq!(stored, attempts.len());
    for key in ["k0", "k1", "k2"] {
        let of_key = || attempts.values().filter(|entry| entry.subject.key_id == key);
        let spend = store.ledger().spend(Owner::Key(key), 0, NOON + 100 * HOUR).await.unwrap();
        assert_eq!(spend.cost, of_key().fold(Micros(0), |sum, entry| sum + entry.cost));
        assert_eq!(spend.requests, of_key().filter(|entry| entry.counts_request).count() as u64);
        let open = of_key().filter(|entry| entry.state == State::Reserved);
        assert_eq!(spend.unsettled, open.fold(Micros(0), |sum, entry| sum + entry.reserved));
    }
    let tagged = store::ReportQuery {
        by: vec![store::Dimension::Tag],
        to_ms: NOON + 100 * HOUR,
        ..store::ReportQuery::default()
    };
    for row in store.reports().sum(&tagged).await.unwrap() {
        let with_tag = attempts
            .values()
            .filter(|entry| entry.state == State::Settled && entry.subject.tags.contains(&row.group[0]));
        assert_eq!(
            row.totals.cost,
            with_tag.fold(Micros(0), |sum, entry| sum + entry.cost),
            "{}",
            row.group[0]
        );
    }
}
