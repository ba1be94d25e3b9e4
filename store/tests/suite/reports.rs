//! Reports by each dimension.

use std::sync::Arc;

use domain::{Micros, Usage};
use store::{Dimension, LedgerEntry, ReportQuery, Store, Totals};

use crate::databases::Place;
use crate::sample::{HOUR, NOON, batch, reserved, settled, subject};

on_both! {
    each_dimension_adds_up_to_the_same_total
    tags_count_for_each_tag_of_an_entry
    a_report_is_cut_by_time_and_by_value
}

/// Two keys, two models and two days; 1, 10, 100 and 1,000 micro-dollars.
async fn fill(store: &Store) {
    let entry = |id: &str, key: &str, model: &str, at_ms, cost| LedgerEntry {
        subject: subject(key, model),
        at_ms,
        cost: Micros(cost),
        ..settled(id)
    };
    let mut untagged = entry("d", "k2", "large", NOON + 24 * HOUR, 1_000);
    Arc::make_mut(&mut untagged.subject).tags = vec![];
    let entries = [
        entry("a", "k1", "small", NOON, 1),
        entry("b", "k1", "large", NOON, 10),
        entry("c", "k2", "small", NOON + 24 * HOUR, 100),
        untagged,
        reserved("e"),
    ];
    store.ledger().apply(&batch(&entries)).await.unwrap();
}

async fn costs(store: &Store, query: ReportQuery) -> Vec<(String, u64)> {
    let rows = store.reports().sum(&query).await.unwrap();
    rows.into_iter().map(|row| (row.group.join("/"), row.totals.cost.0)).collect()
}

fn all(by: &[Dimension]) -> ReportQuery {
    ReportQuery { by: by.to_vec(), from_ms: 0, to_ms: NOON + 100 * HOUR, only: vec![] }
}

fn row(group: &str, cost: u64) -> (String, u64) {
    (group.to_owned(), cost)
}

async fn each_dimension_adds_up_to_the_same_total(place: &Place) {
    let store = place.open().await;
    assert_eq!(store.reports().sum(&all(&[])).await.unwrap()[0].totals, Totals::default());
    assert_eq!(store.reports().sum(&all(&[Dimension::Key])).await.unwrap(), []);
    fill(&store).await;
    assert_eq!(costs(&store, all(&[Dimension::Key])).await, [row("k1", 11), row("k2", 1_100)]);
    assert_eq!(costs(&store, all(&[Dimension::Model])).await, [row("large", 1_010), row("small", 101)]);
    for (by, name) in [(Dimension::Team, "t1"), (Dimension::User, "u1"), (Dimension::Provider, "openai")] {
        assert_eq!(costs(&store, all(&[by])).await, [row(name, 1_111)]);
    }
    let day = NOON - NOON % (24 * HOUR);
    let days = [row(&day.to_string(), 11), row(&(day + 24 * HOUR).to_string(), 1_100)];
    assert_eq!(costs(&store, all(&[Dimension::Day])).await, days);
    let expected = [row("k1/large", 10), row("k1/small", 1), row("k2/large", 1_000), row("k2/small", 100)];
    assert_eq!(costs(&store, all(&[Dimension::Key, Dimension::Model])).await, expected);
    let totals = Totals {
        requests: 4,
        attempts: 4,
        usage: Usage { prompt: 400, completion: 80, cached: 200, cache_write: 40, reasoning: 20 },
        cost: Micros(1_111),
        saved: Micros(28),
    };
    assert_eq!(store.reports().sum(&all(&[])).await.unwrap()[0].totals, totals);
}

async fn tags_count_for_each_tag_of_an_entry(place: &Place) {
    let store = place.open().await;
    fill(&store).await;
    assert_eq!(costs(&store, all(&[Dimension::Tag])).await, [row("batch", 111), row("blue", 111)]);
    let mut query = all(&[Dimension::Key]);
    query.only = vec![(Dimension::Tag, "blue".to_owned())];
    assert_eq!(costs(&store, query).await, [row("k1", 11), row("k2", 100)]);
}

async fn a_report_is_cut_by_time_and_by_value(place: &Place) {
    let store = place.open().await;
    fill(&store).await;
    let mut query = all(&[Dimension::Key]);
    query.only = vec![(Dimension::Model, "small".to_owned()), (Dimension::User, "u1".to_owned())];
    assert_eq!(costs(&store, query.clone()).await, [row("k1", 1), row("k2", 100)]);
    query.to_ms = NOON + 1;
    assert_eq!(costs(&store, query.clone()).await, [row("k1", 1)]);
    query.from_ms = NOON + 29 * 60_000;
    assert_eq!(
        costs(&store, query.clone()).await,
        [row("k1", 1)],
        "the hour that a report begins in counts whole"
    );
    query.from_ms = NOON + HOUR;
    assert_eq!(costs(&store, query).await, []);
}
