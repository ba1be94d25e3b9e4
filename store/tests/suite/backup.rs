//! Copies, dumps and restoring either database's dump into either.

use std::collections::BTreeMap;
use std::path::Path;

use store::{
    Admin, AdminSession, Credential, Erasure, LedgerFilter, Owner, RequestFilter, SCHEMA_VERSION, Store,
    StoreError,
};

use crate::databases::Place;
use crate::sample::{HOUR, NOON, aborted, batch, change, key, reserved, settled};

on_both! {
    a_dump_restores_into_both_databases_and_dumps_the_same_again
    a_dump_is_never_restored_into_a_store_with_rows
    a_dump_that_was_changed_or_cut_restores_nothing
    a_dump_of_the_schema_before_contents_had_a_table_is_restored
    a_dump_names_every_column_of_the_schema
}

async fn fill(store: &Store) {
    let change = change();
    store.keys().insert(key("k1"), &change).await.unwrap();
    let credential = Credential {
        id: "c1".to_owned(),
        name: "main".to_owned(),
        ciphertext: vec![0, 255],
        nonce: vec![7; 12],
        ..Credential::default()
    };
    store.credentials().insert(credential, &change).await.unwrap();
    let admin = Admin { id: "a1".to_owned(), name: "ada".to_owned(), ..Admin::default() };
    store.admins().insert(admin, &change).await.unwrap();
    let session = AdminSession {
        token_hash: vec![1, 2, 3],
        admin_id: "a1".to_owned(),
        csrf_hash: vec![4],
        address: String::new(),
        created_at_ms: NOON,
        expires_at_ms: NOON + 1,
        seen_at_ms: NOON,
    };
    store.sessions().insert(&session, &change).await.unwrap();
    // More than two pages, and each state.
    let mut entries: Vec<_> = (0..1_200).map(|number| settled(&format!("s{number}"))).collect();
    entries.extend([reserved("r"), aborted("a")]);
    store.ledger().apply(&batch(&entries)).await.unwrap();
    super::request_log::append(store, &[super::request_log::request("r1", "k1", "u1", NOON)]).await;
    store.contents().append(&[super::contents::sealed("r1", "k1", "t1", "u1", NOON)]).await.unwrap();
    let nobody = Erasure { key_id: Some("nobody".to_owned()), ..Erasure::default() };
    store.erasures().erase(&nobody, &change).await.unwrap();
}

fn text(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}

/// The lines in an order that does not depend on a database's collation.
fn sorted(path: &Path) -> Vec<String> {
    let text = text(path);
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    lines.pop();
    lines.sort();
    lines
}

async fn a_dump_restores_into_both_databases_and_dumps_the_same_again(place: &Place) {
    use std::os::unix::fs::PermissionsExt as _;
    let store = place.open().await;
    fill(&store).await;
    let dump = place.file("dump.jsonl");
    let written = store.dump(&dump, NOON).await.unwrap();
    assert_eq!(
        (written.rows["ledger_blocks"], written.rows["ledger_open"], written.rows["virtual_keys"]),
        (1, 1, 1)
    );
    assert_eq!(std::fs::metadata(&dump).unwrap().permissions().mode() & 0o777, 0o600);
    for target in [Place::sqlite(), Place::postgres()] {
        let restored = target.open().await;
        assert_eq!(restored.restore(&dump).await.unwrap(), written);
        let again = target.file("again.jsonl");
        restored.dump(&again, NOON).await.unwrap();
        assert_eq!(sorted(&again), sorted(&dump));
        let of_key = Owner::Key("k1");
        let spend = restored.ledger().spend(of_key, 0, NOON + HOUR).await.unwrap();
        assert_eq!(spend, store.ledger().spend(of_key, 0, NOON + HOUR).await.unwrap());
        assert_eq!(restored.keys().get("k1").await.unwrap(), store.keys().get("k1").await.unwrap());
        // What was known stays known, and life goes on.
        let log = batch(&[settled("new")]);
        assert_eq!(restored.ledger().apply(&log).await.unwrap().settled, 1);
        assert!(restored.ledger().apply(&log).await.unwrap().is_known);
        assert_eq!(restored.ledger().reconcile(0, NOON + HOUR).await.unwrap().differences, []);
    }
}

async fn a_dump_is_never_restored_into_a_store_with_rows(place: &Place) {
    let store = place.open().await;
    fill(&store).await;
    let dump = place.file("dump.jsonl");
    store.dump(&dump, NOON).await.unwrap();
    let refused = store.restore(&dump).await.unwrap_err();
    assert!(matches!(refused, StoreError::NotEmpty { .. }), "{refused:?}");
    let refused = store.dump(&dump, NOON).await.unwrap_err();
    assert!(matches!(refused, StoreError::File { .. }), "an existing file is kept: {refused:?}");
}

async fn a_dump_that_was_changed_or_cut_restores_nothing(place: &Place) {
    let store = place.open().await;
    fill(&store).await;
    let dump = place.file("dump.jsonl");
    store.dump(&dump, NOON).await.unwrap();
    let whole = text(&dump);
    let lines: Vec<&str> = whole.lines().collect();
    let without = |gone: usize| {
        let kept: Vec<&str> =
            lines.iter().enumerate().filter(|(i, _)| *i != gone).map(|(_, line)| *line).collect();
        kept.join("\n") + "\n"
    };
    let newer = whole.replacen(&format!("\"schema\":{SCHEMA_VERSION}"), "\"schema\":999", 1);
    let cases = [
        ("empty", String::new()),
        ("head gone", without(0)),
        ("row gone", without(9)),
        ("end gone", without(lines.len() - 1)),
        ("half a line", whole[..whole.len() / 2].to_owned()),
        ("other figure", whole.replacen("\"cost_micros\":180000", "\"cost_micros\":180001", 1)),
        ("other kind", whole.replacen("\"cost_micros\":180000", "\"cost_micros\":\"180000\"", 1)),
        ("unknown column", whole.replacen("\"cost_micros\":180000", "\"cost_micro\":180000", 1)),
        ("something behind", format!("{whole}{{}}\n")),
        ("newer schema", newer),
    ];
    let target = if place.is_sqlite() { Place::sqlite() } else { Place::postgres() };
    let empty = target.open().await;
    for (name, text) in cases {
        let path = target.file("broken.jsonl");
        std::fs::write(&path, text).unwrap();
        let refused = empty.restore(&path).await.unwrap_err();
        assert!(
            matches!(refused, StoreError::Dump { .. } | StoreError::NewerSchema { .. }),
            "{name}: {refused:?}"
        );
        assert!(
            empty.ledger().export(LedgerFilter::default()).next_page().await.unwrap().is_none(),
            "{name}"
        );
    }
    // Nothing of the attempts is left in the way of the real one.
    empty.restore(&dump).await.unwrap();
}

async fn a_dump_of_the_schema_before_contents_had_a_table_is_restored(place: &Place) {
    let store = place.open().await;
    place.run(super::request_log::OLD_ROW).await;
    let dump = place.file("dump.jsonl");
    store.dump(&dump, NOON).await.unwrap();
    let retired = r#""table":"request_log","row":{"encryption_key_id":null,"prompt":null,"answer":null,"#;
    let old = text(&dump).replace(r#""table":"request_log","row":{"#, retired);
    assert!(old.contains(retired));
    let mut lines: Vec<&str> = old.lines().collect();
    let tail = lines.pop().unwrap();
    let body: String = lines.iter().map(|line| format!("{line}\n")).collect();
    let mut tail: serde_json::Value = serde_json::from_str(tail).unwrap();
    tail["sha256"] = sha256(&body).into();
    std::fs::write(place.file("old.jsonl"), format!("{body}{tail}\n")).unwrap();
    let target = if place.is_sqlite() { Place::sqlite() } else { Place::postgres() };
    let restored = target.open().await;
    restored.restore(&place.file("old.jsonl")).await.unwrap();
    assert_eq!(restored.request_log().move_rows().await.unwrap(), 1);
    let listed = restored.request_log().list(&RequestFilter::default(), 9).await.unwrap();
    assert_eq!((listed.requests.len(), listed.requests[0].request_id.as_str()), (1, "old"));
}

fn sha256(text: &str) -> String {
    use sha2::Digest as _;
    sha2::Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}

async fn a_dump_names_every_column_of_the_schema(place: &Place) {
    use sqlx::{Connection as _, Row as _};
    let store = place.open().await;
    store.keys().insert(key("k1"), &change()).await.unwrap();
    fill_rest(&store).await;
    place.run(super::request_log::OLD_ROW).await;
    let dump = place.file("dump.jsonl");
    let summary = store.dump(&dump, NOON).await.unwrap();
    let columns: Vec<(String, String)> = if place.is_sqlite() {
        let sql =
            "SELECT m.name, c.name FROM sqlite_schema m, pragma_table_info(m.name) c WHERE m.type = 'table'";
        let mut connection = sqlx::SqliteConnection::connect(&place.url).await.unwrap();
        let rows = sqlx::query(sql).fetch_all(&mut connection).await.unwrap();
        rows.iter().map(|row| (row.get(0), row.get(1))).collect()
    } else {
        let sql = "SELECT table_name::text, column_name::text FROM information_schema.columns
                   WHERE table_schema = 'public'";
        let mut connection = sqlx::PgConnection::connect(&place.url).await.unwrap();
        let rows = sqlx::query(sql).fetch_all(&mut connection).await.unwrap();
        rows.iter().map(|row| (row.get(0), row.get(1))).collect()
    };
    let dumped = text(&dump);
    let first = |table: &str| {
        let line = dumped.lines().find(|line| line.starts_with(&format!("{{\"table\":\"{table}\"")));
        line.map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
    };
    let columns: Vec<_> = columns
        .into_iter()
        .filter(|(table, _)| table != "schema_version" && !table.starts_with("sqlite_"))
        .collect();
    assert!(columns.len() > 130, "{}", columns.len());
    for (table, column) in columns {
        assert!(summary.rows.contains_key(&table), "{table} is not dumped");
        let line = first(&table).unwrap_or_else(|| panic!("{table} has no row in this test"));
        assert!(line["row"].get(&column).is_some(), "{table}.{column} is not dumped");
    }
}

/// A row in each table that has none yet.
async fn fill_rest(store: &Store) {
    store.keys().delete("k1", &change()).await.unwrap();
    fill(store).await;
    let team = store::Team { id: "t1".to_owned(), name: "red".to_owned(), ..store::Team::default() };
    store.teams().insert(team, &change()).await.unwrap();
    let user = store::User { id: "u1".to_owned(), name: "ada".to_owned(), ..store::User::default() };
    store.users().insert(user, &change()).await.unwrap();
    let (id, admin_id) = ("o1".to_owned(), "a1".to_owned());
    let token = store::AdminToken { id, admin_id, ..store::AdminToken::default() };
    store.admin_tokens().insert(token, &change()).await.unwrap();
    let judgement = super::route_feedback::judgement("t", 500_000, NOON);
    store.route_feedback().append(&[judgement], &BTreeMap::new()).await.unwrap();
}

#[tokio::test]
async fn a_copy_of_a_sqlite_store_in_use_is_a_store() {
    use std::os::unix::fs::PermissionsExt as _;
    let place = Place::sqlite();
    let store = place.open().await;
    fill(&store).await;
    let copy = place.file("copy.db");
    let later: Vec<_> = (0..5_000).map(|number| settled(&format!("later {number}"))).collect();
    let later = batch(&later);
    let (backup, applied) = {
        let path = copy.clone();
        let ledger = store.ledger();
        tokio::join!(store.backup(&path), ledger.apply(&later))
    };
    backup.unwrap();
    assert_eq!(applied.unwrap().settled, 5_000);
    assert_eq!(std::fs::metadata(&copy).unwrap().permissions().mode() & 0o777, 0o600);
    let opened = Store::open(&format!("sqlite:{}", copy.display())).await.unwrap();
    let requests = opened.ledger().spend(Owner::Key("k1"), 0, NOON + HOUR).await.unwrap().requests;
    assert!(requests == 1_200 || requests == 6_200, "one committed state: {requests}");
    assert_eq!(opened.ledger().reconcile(0, NOON + HOUR).await.unwrap().differences, []);
    let refused = store.backup(&copy).await.unwrap_err();
    assert!(matches!(refused, StoreError::File { .. }), "an existing file is kept: {refused:?}");
    let left: Vec<_> =
        std::fs::read_dir(place.folder.path()).unwrap().flatten().map(|file| file.file_name()).collect();
    assert!(left.iter().all(|name| !name.to_string_lossy().contains("partial")), "{left:?}");
}

#[tokio::test]
async fn a_postgres_store_is_not_copied_as_a_file() {
    let place = Place::postgres();
    let refused = place.open().await.backup(&place.file("copy.db")).await.unwrap_err();
    assert!(refused.to_string().contains("pg_dump"), "{refused}");
}
