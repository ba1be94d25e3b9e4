//! After any sequence of steps, replays and batches, the sums are those of the entries.

use std::collections::BTreeMap;

use domain::Micros;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use store::{LedgerEntry, LedgerFilter, Owner, State, Store};

use crate::databases::Place;
use crate::sample::{HOUR, NOON, reserved};

on_both! {
    sums_equal_their_entries_after_any_sequence
}

/// One step of one of twelve attempts, with figures that differ each time it is drawn.
fn step() -> impl Strategy<Value = LedgerEntry> {
    let state = prop_oneof![Just(State::Reserved), Just(State::Aborted), Just(State::Settled)];
    (0..12_u32, state, 0..1_000_u64, 0..5_i64, 0..3_u8).prop_map(|(attempt, state, cost, hours, tags)| {
        let is_settled = state == State::Settled;
        LedgerEntry {
            state,
            at_ms: NOON + hours * HOUR / 2,
            key_id: format!("k{}", attempt % 3),
            cost: Micros(if is_settled { cost } else { 0 }),
            counts_request: is_settled && attempt % 2 == 0,
            tags: (0..tags).map(|tag| format!("tag {tag}")).collect(),
            ..reserved(&format!("a{attempt}"))
        }
    })
}

/// Batches; each may be sent a second time later, as a log is replayed.
fn batches() -> impl Strategy<Value = Vec<(Vec<LedgerEntry>, bool)>> {
    prop::collection::vec((prop::collection::vec(step(), 1..8), any::<bool>()), 1..8)
}

async fn sums_equal_their_entries_after_any_sequence(place: &Place) {
    let store = place.open().await;
    let mut runner = TestRunner::new(Config { cases: 60, failure_persistence: None, ..Config::default() });
    let handle = tokio::runtime::Handle::current();
    let outcome = tokio::task::block_in_place(|| {
        runner.run(&batches(), |batches| {
            handle.block_on(async {
                let sql = "DELETE FROM ledger; DELETE FROM spend_hourly; DELETE FROM spend_hourly_tags;";
                place.run(sql).await;
                for (batch, _) in &batches {
                    store.ledger().apply(batch).await.unwrap();
                }
                for (batch, _) in batches.iter().filter(|(_, replayed)| *replayed) {
                    assert_eq!(
                        store.ledger().apply(batch).await.unwrap().changed,
                        0,
                        "a replay changes nothing"
                    );
                }
                check(&store, &batches.into_iter().flat_map(|(batch, _)| batch).collect::<Vec<_>>()).await;
            });
            Ok(())
        })
    });
    outcome.unwrap();
}

async fn check(store: &Store, steps: &[LedgerEntry]) {
    assert_eq!(store.ledger().reconcile(0, NOON + 100 * HOUR).await.unwrap(), []);
    // The model: per attempt the first settlement, else the first abort, else the first reservation.
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
        let of_key = || attempts.values().filter(|entry| entry.key_id == key);
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
            .filter(|entry| entry.state == State::Settled && entry.tags.contains(&row.group[0]));
        assert_eq!(
            row.totals.cost,
            with_tag.fold(Micros(0), |sum, entry| sum + entry.cost),
            "{}",
            row.group[0]
        );
    }
}
