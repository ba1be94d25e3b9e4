//! Opening, migrating, and what is said when it cannot be done.

use std::time::Duration;

use store::{Options, SCHEMA_VERSION, Store, StoreError};

use crate::databases::Place;
use crate::sample::{change, key};

on_both! {
    an_empty_database_gets_the_schema_and_keeps_its_rows_when_opened_again
    a_database_of_a_newer_program_is_refused_and_left_alone
}

async fn an_empty_database_gets_the_schema_and_keeps_its_rows_when_opened_again(place: &Place) {
    let store = place.open().await;
    store.keys().insert(key("k1"), &change()).await.unwrap();
    store.close().await;
    let again = place.open().await;
    assert_eq!(again.keys().list(None, 10).await.unwrap().len(), 1);
}

async fn a_database_of_a_newer_program_is_refused_and_left_alone(place: &Place) {
    place.open().await.close().await;
    place.run("INSERT INTO schema_version (version) VALUES (999)").await;
    let refused = Store::open(&place.url).await.unwrap_err();
    assert!(matches!(refused, StoreError::NewerSchema { found: 999, known: SCHEMA_VERSION }), "{refused}");
    assert!(refused.to_string().contains("run the newer version"), "{refused}");
    place.run("DELETE FROM schema_version WHERE version = 999").await;
    place.open().await;
}

#[tokio::test]
async fn a_sqlite_store_is_readable_by_its_owner_only_and_uses_a_write_ahead_log() {
    use std::os::unix::fs::PermissionsExt as _;
    let place = Place::sqlite();
    let store = place.open().await;
    store.keys().insert(key("k1"), &change()).await.unwrap();
    for name in ["data/signalbox.db", "data/signalbox.db-wal", "data/signalbox.db-shm"] {
        let mode = std::fs::metadata(place.file(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    store.close().await;
    assert!(!place.file("data/signalbox.db-wal").exists(), "closing folds the log in");
}

#[tokio::test]
async fn a_file_that_is_no_database_is_named() {
    let place = Place::sqlite();
    let path = place.file("notes.txt");
    std::fs::write(
        &path,
        "not a database, and long enough to have a header of one hundred bytes. ".repeat(20),
    )
    .unwrap();
    let refused = Store::open(&format!("sqlite:{}", path.display())).await.unwrap_err();
    assert!(matches!(refused, StoreError::Unreachable { .. }), "{refused:?}");
    assert!(refused.to_string().contains("notes.txt"), "{refused}");
    let refused = Store::open("sqlite:/proc/signalbox/no.db").await.unwrap_err();
    assert!(matches!(refused, StoreError::File { .. }), "{refused:?}");
}

#[tokio::test]
async fn a_server_that_is_not_there_is_named_without_its_password() {
    let options = Options { acquire_timeout: Duration::from_millis(500), ..Options::default() };
    // Port 1 is reserved and never served.
    for url in ["postgres://box:hunter2@127.0.0.1:1/spend", "postgres://box:hunter2@%2Fnowhere/spend"] {
        let refused = Store::open_with(url, &options).await.unwrap_err();
        assert!(matches!(refused, StoreError::Unreachable { .. }), "{refused:?}");
        assert!(
            refused.to_string().contains("spend") && !refused.to_string().contains("hunter2"),
            "{refused}"
        );
    }
}

#[tokio::test]
async fn a_missing_database_on_a_server_is_unreachable() {
    let place = Place::postgres();
    let url = format!("{}_missing", place.url);
    let refused = Store::open(&url).await.unwrap_err();
    assert!(matches!(refused, StoreError::Unreachable { .. }), "{refused:?}");
}
