//! Prompts and answers: what is read, what is erased, and that nothing brings it back.

use store::{ContentsOf, Erased, Erasure, SealedContents, Store};

use crate::databases::Place;
use crate::sample::{NOON, change};

on_both! {
    contents_are_read_by_request_and_owner_and_two_may_have_one_request_id
    contents_are_erased_by_key_user_team_request_and_time
    what_was_erased_is_brought_back_by_no_queue_of_any_gateway
    nothing_erased_survives_appends_that_run_at_the_same_time
    an_erasure_of_everything_by_oversight_is_refused
    erasures_are_numbered_without_a_gap_for_whoever_follows_them
    an_erasure_is_audited_and_seen_by_its_team
    retention_erases_more_contents_than_one_statement_takes
    contents_of_an_old_encryption_key_are_found_and_sealed_anew
}

pub(super) fn sealed(request: &str, key: &str, team: &str, user: &str, at_ms: i64) -> SealedContents {
    SealedContents {
        id: store::new_id(),
        request_id: request.to_owned(),
        at_ms,
        key_id: key.to_owned(),
        team_id: team.to_owned(),
        user_id: user.to_owned(),
        encryption_key_id: "2026-01".to_owned(),
        nonce: vec![7; 24],
        ciphertext: vec![0, 1, 255],
    }
}

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

async fn left(store: &Store, ids: &[&str]) -> Vec<String> {
    let mut left = Vec::new();
    for id in ids {
        let found = store.contents().of_request(id, &ContentsOf::Anyone, 100).await.unwrap();
        left.extend(found.into_iter().map(|it| it.request_id));
    }
    left
}

async fn contents_are_read_by_request_and_owner_and_two_may_have_one_request_id(place: &Place) {
    let store = place.open().await;
    let (first, second) = (sealed("same", "k1", "t1", "u1", NOON), sealed("same", "k2", "t1", "", NOON + 1));
    let batch = [first.clone(), second.clone()];
    store.contents().append(&batch).await.unwrap();
    store.contents().append(&batch).await.unwrap();
    let read = async |whose| store.contents().of_request("same", &whose, 9).await.unwrap();
    assert_eq!(read(ContentsOf::Anyone).await, [second.clone(), first.clone()]);
    assert_eq!(read(ContentsOf::Team("t1".to_owned())).await.len(), 2);
    assert_eq!(read(ContentsOf::Key("k1".to_owned())).await, [first]);
    assert_eq!(read(ContentsOf::Key(String::new())).await, []);
    assert_eq!(read(ContentsOf::Team("t2".to_owned())).await, []);
    assert_eq!(store.contents().of_request("same", &ContentsOf::Anyone, 1).await.unwrap(), [second]);
}

async fn contents_are_erased_by_key_user_team_request_and_time(place: &Place) {
    let store = place.open().await;
    let rows = [
        sealed("r1", "k1", "t1", "u1", NOON),
        sealed("r2", "k1", "t1", "u2", NOON),
        sealed("r3", "k2", "t2", "u1", NOON - 5),
        sealed("r4", "k2", "t2", "u1", NOON),
        sealed("r5", "k3", "", "", NOON),
        sealed("r6", "k3", "", "", NOON),
    ];
    store.contents().append(&rows).await.unwrap();
    let ids = ["r1", "r2", "r3", "r4", "r5", "r6"];
    let erase = async |what: Erasure| store.erasures().erase(&what, &change()).await.unwrap().contents;
    let nothing = Erasure::default;
    assert_eq!(erase(Erasure { team_id: some("t1"), user_id: some("u2"), ..nothing() }).await, 1);
    assert_eq!(erase(Erasure { user_id: some("u1"), before_ms: Some(NOON), ..nothing() }).await, 1);
    assert_eq!(left(&store, &ids).await, ["r1", "r4", "r5", "r6"]);
    assert_eq!(erase(Erasure { request_id: some("r5"), ..nothing() }).await, 1);
    assert_eq!(erase(Erasure { team_id: some("t2"), ..nothing() }).await, 1);
    assert_eq!(erase(Erasure { key_id: some("k1"), ..nothing() }).await, 1);
    assert_eq!(left(&store, &ids).await, ["r6"]);
    assert_eq!(erase(Erasure { before_ms: Some(NOON + 1), ..nothing() }).await, 1);
    assert_eq!(erase(Erasure { key_id: some("k1"), ..nothing() }).await, 0);
}

async fn what_was_erased_is_brought_back_by_no_queue_of_any_gateway(place: &Place) {
    let (one, other) = (place.open().await, place.open().await);
    let of_key = Erasure { key_id: some("k1"), ..Erasure::default() };
    let erased = one.erasures().erase(&of_key, &change()).await.unwrap();
    assert_eq!(erased, Erased::default());
    let queued = [
        sealed("before", "k1", "t1", "u1", NOON - 400),
        sealed("same moment", "k1", "t1", "u1", NOON),
        sealed("after", "k1", "t1", "u1", NOON + 1),
        sealed("another", "k2", "t1", "u1", NOON - 400),
    ];
    other.contents().append(&queued).await.unwrap();
    assert_eq!(left(&one, &["before", "same moment", "after", "another"]).await, ["after", "another"]);
    // Nothing that old is kept any more, so the erasure need not be known.
    one.erasures().forget_before(NOON + 1).await.unwrap();
    other.contents().append(&queued[..1]).await.unwrap();
    assert_eq!(left(&one, &["before"]).await, ["before"]);
}

async fn nothing_erased_survives_appends_that_run_at_the_same_time(place: &Place) {
    let store = place.open().await;
    let appends: Vec<_> = (0..4)
        .map(|writer| {
            let store = store.clone();
            tokio::spawn(async move {
                for number in 0..20 {
                    let row = sealed(&format!("{writer}-{number}"), "k1", "", "", NOON - 1);
                    store.contents().append(&[row]).await.unwrap();
                }
            })
        })
        .collect();
    let of_key = Erasure { key_id: some("k1"), ..Erasure::default() };
    store.erasures().erase(&of_key, &change()).await.unwrap();
    for append in appends {
        append.await.unwrap();
    }
    let left = store.contents().not_sealed_with("", "", 100).await.unwrap();
    assert_eq!(left, []);
}

async fn an_erasure_of_everything_by_oversight_is_refused(place: &Place) {
    let store = place.open().await;
    store.contents().append(&[sealed("r1", "k1", "", "", NOON)]).await.unwrap();
    for what in [Erasure::default(), Erasure { team_id: some(""), ..Erasure::default() }] {
        let refused = store.erasures().erase(&what, &change()).await.unwrap_err();
        assert!(refused.to_string().contains("name"), "{refused}");
    }
    assert_eq!(left(&store, &["r1"]).await, ["r1"]);
}

async fn erasures_are_numbered_without_a_gap_for_whoever_follows_them(place: &Place) {
    let store = place.open().await;
    let erasures: Vec<_> = (0..8)
        .map(|number| {
            let store = store.clone();
            let key_id = Some(format!("k{number}"));
            let what = Erasure { key_id, team_id: some("t1"), ..Erasure::default() };
            tokio::spawn(async move { store.erasures().erase(&what, &change()).await.unwrap() })
        })
        .collect();
    for erasure in erasures {
        erasure.await.unwrap();
    }
    let noted = store.erasures().after(0).await.unwrap();
    assert_eq!(noted.iter().map(|it| it.number).collect::<Vec<_>>(), (1..=8).collect::<Vec<_>>());
    let mut keys: Vec<_> = noted.iter().map(|it| it.key_id.clone().unwrap()).collect();
    keys.sort();
    assert_eq!((keys[0].as_str(), keys[7].as_str(), noted[0].team_id.as_deref()), ("k0", "k7", Some("t1")));
    assert_eq!(store.erasures().after(6).await.unwrap(), noted[6..]);
    assert_eq!(store.revisions().current().await.unwrap()[&store::Topic::Erasures], 8);
}

async fn an_erasure_is_audited_and_seen_by_its_team(place: &Place) {
    let store = place.open().await;
    let what = Erasure { team_id: some("t1"), user_id: some("u1"), ..Erasure::default() };
    store.erasures().erase(&what, &change()).await.unwrap();
    let filter = store::AuditFilter { team_id: some("t1"), limit: 9, ..store::AuditFilter::default() };
    let log = store.audit().list(&filter).await.unwrap();
    assert_eq!((log.len(), log[0].action.as_str(), log[0].actor.as_str()), (1, "erase", "ada"));
    let after = log[0].after.clone().unwrap();
    assert_eq!(after, serde_json::json!({"team_id": "t1", "user_id": "u1", "requests": false}));
}

async fn retention_erases_more_contents_than_one_statement_takes(place: &Place) {
    let store = place.open().await;
    let rows: Vec<_> = (0..130).map(|n| sealed(&format!("{n}"), "k1", "", "", NOON + n)).collect();
    store.contents().append(&rows).await.unwrap();
    assert_eq!(store.contents().erase_before(NOON + 120).await.unwrap(), 120);
    assert_eq!(left(&store, &["119", "120"]).await, ["120"]);
}

async fn contents_of_an_old_encryption_key_are_found_and_sealed_anew(place: &Place) {
    let store = place.open().await;
    let rows: Vec<_> = (0..5).map(|n| sealed(&format!("{n}"), "k1", "", "", NOON + n)).collect();
    store.contents().append(&rows).await.unwrap();
    let mut page = store.contents().not_sealed_with("2026-02", "", 3).await.unwrap();
    assert_eq!(page, rows[..3]);
    for row in &mut page {
        row.encryption_key_id = "2026-02".to_owned();
        row.ciphertext = vec![4];
    }
    store.contents().reseal(&page).await.unwrap();
    let rest = store.contents().not_sealed_with("2026-02", &page[2].id, 9).await.unwrap();
    assert_eq!(rest, rows[3..]);
    assert_eq!(store.contents().of_request("0", &ContentsOf::Anyone, 9).await.unwrap(), page[..1]);
}

/// The raw files of a SQLite store hold these bytes.
fn holds(place: &Place, wanted: &[u8]) -> bool {
    let files = std::fs::read_dir(place.folder.path().join("data")).unwrap().flatten();
    files
        .map(|file| std::fs::read(file.path()).unwrap())
        .any(|bytes| bytes.windows(wanted.len()).any(|part| part == wanted))
}

#[tokio::test]
async fn what_was_erased_is_in_no_file_of_a_sqlite_store() {
    let place = Place::sqlite();
    let store = place.open().await;
    // One on a page of its own, one over many pages.
    let marked = |name: &str, length: usize| {
        let ciphertext = name.as_bytes().repeat(length);
        SealedContents { ciphertext, ..sealed(name, "k1", "", "", NOON) }
    };
    store.contents().append(&[marked("short-7c1e", 1), marked("long-7c1e", 20_000)]).await.unwrap();
    assert!(holds(&place, b"short-7c1e") && holds(&place, b"long-7c1e"));
    let of_key = Erasure { key_id: some("k1"), ..Erasure::default() };
    assert_eq!(store.erasures().erase(&of_key, &change()).await.unwrap().contents, 2);
    assert!(!holds(&place, b"7c1e"), "while the store is open");

    store
        .contents()
        .append(&[SealedContents { at_ms: NOON + 1, ..marked("old-7c1e", 9_000) }])
        .await
        .unwrap();
    assert_eq!(store.contents().erase_before(NOON + 2).await.unwrap(), 1);
    assert!(!holds(&place, b"7c1e"), "after retention");
}
