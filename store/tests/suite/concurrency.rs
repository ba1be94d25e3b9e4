//! Several connections and processes at once.

use std::collections::BTreeSet;
use std::time::Duration;

use domain::Micros;
use store::{Options, Owner, Store, StoreError, Topic};

use crate::databases::Place;
use crate::sample::{HOUR, NOON, batch, change, key, reserved, settled, subject};

on_both! {
    two_connections_that_apply_one_piece_of_a_log_count_it_once
    twenty_logs_at_once_lose_and_double_nothing
    a_locked_store_says_busy_and_works_again
    a_change_wakes_another_node_within_a_second
    opening_from_several_processes_migrates_once
}

async fn two_connections_that_apply_one_piece_of_a_log_count_it_once(place: &Place) {
    let (here, there) = (place.open().await, place.open().await);
    for round in 0..20 {
        let id = format!("{round:02}");
        here.ledger().apply(&batch(&[reserved(&id)])).await.unwrap();
        let batch = batch(&[settled(&id)]);
        let (first, second) = tokio::join!(here.ledger().apply(&batch), there.ledger().apply(&batch));
        assert_eq!(first.unwrap().settled + second.unwrap().settled, 1);
    }
    let spend = here.ledger().spend(Owner::Key("k1"), 0, NOON + HOUR).await.unwrap();
    assert_eq!((spend.cost, spend.requests), (Micros(20 * 150), 20));
}

async fn twenty_logs_at_once_lose_and_double_nothing(place: &Place) {
    let options = Options { acquire_timeout: Duration::from_secs(30), ..Options::default() };
    let stores = [
        Store::open_with(&place.url, &options).await.unwrap(),
        Store::open_with(&place.url, &options).await.unwrap(),
    ];
    let tasks: Vec<_> = (0..20_usize)
        .map(|task| {
            let store = stores[task % 2].clone();
            tokio::spawn(async move {
                for round in 0..10 {
                    // All add to the same sums; the order differs from task to task.
                    let mut entries: Vec<_> = (task * 25..task * 25 + 25)
                        .map(|number| {
                            let mut entry = settled(&format!("{round}-{number:05}"));
                            entry.subject = subject(&format!("k{}", number % 3), &format!("m{}", number % 7));
                            entry
                        })
                        .collect();
                    entries.rotate_left(task);
                    store.ledger().apply(&batch(&entries)).await.unwrap();
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let mut requests = 0;
    for key in ["k0", "k1", "k2"] {
        requests += stores[0].ledger().spend(Owner::Key(key), 0, NOON + HOUR).await.unwrap().requests;
    }
    assert_eq!(requests, 5_000);
    assert_eq!(stores[1].ledger().reconcile(0, NOON + HOUR).await.unwrap().differences, []);
}

async fn a_locked_store_says_busy_and_works_again(place: &Place) {
    use sqlx::Connection as _;
    let options = Options { acquire_timeout: Duration::from_secs(2), ..Options::default() };
    let store = Store::open_with(&place.url, &options).await.unwrap();
    let busy = if place.is_sqlite() {
        let mut other = sqlx::SqliteConnection::connect(&place.url).await.unwrap();
        let lock = other.begin_with("BEGIN IMMEDIATE").await.unwrap();
        let busy = store.ledger().apply(&batch(&[settled("a")])).await.unwrap_err();
        lock.rollback().await.unwrap();
        busy
    } else {
        let mut other = sqlx::PgConnection::connect(&place.url).await.unwrap();
        let mut lock = other.begin().await.unwrap();
        sqlx::raw_sql("LOCK TABLE ledger_blocks").execute(&mut *lock).await.unwrap();
        let busy = store.ledger().apply(&batch(&[settled("a")])).await.unwrap_err();
        lock.rollback().await.unwrap();
        busy
    };
    assert!(matches!(busy, StoreError::Busy { .. }) && busy.is_transient(), "{busy}");
    assert_eq!(store.ledger().apply(&batch(&[settled("a")])).await.unwrap().settled, 1);
}

async fn a_change_wakes_another_node_within_a_second(place: &Place) {
    let (here, there) = (place.open().await, place.open().await);
    let mut watch = there.revisions().watch(Duration::from_millis(200)).await.unwrap();
    let quiet = tokio::time::timeout(Duration::from_millis(500), watch.changed()).await;
    assert!(quiet.is_err(), "nothing has changed");
    for id in ["k1", "k2"] {
        here.keys().insert(key(id), &change()).await.unwrap();
        let changed = tokio::time::timeout(Duration::from_secs(1), watch.changed()).await.unwrap().unwrap();
        assert_eq!(changed, [Topic::Keys]);
    }
    assert_eq!(here.revisions().current().await.unwrap()[&Topic::Keys], 2);
}

async fn opening_from_several_processes_migrates_once(place: &Place) {
    let opened: Vec<_> = (0..6)
        .map(|_| {
            tokio::spawn({
                let url = place.url.clone();
                async move { Store::open(&url).await }
            })
        })
        .collect();
    let mut versions = BTreeSet::new();
    for store in opened {
        let store = store.await.unwrap().unwrap();
        versions.insert(store.revisions().current().await.unwrap().len());
    }
    assert_eq!(versions, [0].into());
}
