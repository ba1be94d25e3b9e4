//! Keys, teams, users, credentials, admins and sessions; what is audited.

use domain::Micros;
use store::{
    Admin, AdminSession, AdminToken, AuditFilter, Budget, Change, Credential, Rotation, StoreError, Team,
    Topic, User, VirtualKey,
};

use crate::databases::Place;
use crate::sample::{HOUR, NOON, change, key};

on_both! {
    a_key_is_read_as_it_was_written
    a_taken_name_is_reported_with_its_field
    a_reference_that_leads_nowhere_is_reported_with_its_field
    a_team_in_use_cannot_be_deleted
    a_rotated_key_works_with_both_secrets_until_the_grace_ends
    an_update_of_an_old_version_is_refused
    every_change_is_audited_without_secrets
    credentials_and_users_are_read_as_they_were_written
    a_session_ends_by_time_by_hand_and_with_its_admin
    keys_are_listed_page_by_page
    a_team_has_its_own_keys_those_of_its_users_and_the_changes_of_both
    a_change_of_password_and_disabling_end_sessions_and_a_token_ends_with_its_admin
}

fn team() -> Team {
    let budgets = vec![Budget { limit: Micros(5_000_000), period_ms: 86_400_000, alert_percent: Some(90) }];
    Team { id: "t1".to_owned(), name: "red".to_owned(), budgets, ..Team::default() }
}

fn is_conflict(error: &StoreError, wanted_table: &str, wanted_field: &str) -> bool {
    matches!(error, StoreError::Conflict { table, field } if table == wanted_table && field == wanted_field)
}

async fn a_key_is_read_as_it_was_written(place: &Place) {
    let store = place.open().await;
    store.teams().insert(team(), &change()).await.unwrap();
    let mut written = key("k1");
    written.team_id = Some("t1".to_owned());
    let stored = store.keys().insert(written.clone(), &change()).await.unwrap();
    let expected = VirtualKey { created_at_ms: NOON, updated_at_ms: NOON, version: 1, ..written };
    assert_eq!(stored, expected);
    assert_eq!(store.keys().get("k1").await.unwrap(), Some(expected.clone()));
    assert_eq!(store.keys().by_name("name of k1").await.unwrap(), Some(expected.clone()));
    assert_eq!(store.keys().by_hash(b"hash of k1", NOON).await.unwrap(), Some(expected));
    assert_eq!(store.keys().by_hash(b"another", NOON).await.unwrap(), None);
}

async fn a_taken_name_is_reported_with_its_field(place: &Place) {
    let store = place.open().await;
    store.keys().insert(key("k1"), &change()).await.unwrap();
    let taken = |error: StoreError, field| assert!(is_conflict(&error, "virtual_keys", field), "{error:?}");
    let same_name = VirtualKey { name: "name of k1".to_owned(), ..key("k2") };
    taken(store.keys().insert(same_name, &change()).await.unwrap_err(), "name");
    let same_hash = VirtualKey { key_hash: b"hash of k1".to_vec(), ..key("k2") };
    taken(store.keys().insert(same_hash, &change()).await.unwrap_err(), "key_hash");
    let same_id = VirtualKey { id: "k1".to_owned(), ..key("k2") };
    taken(store.keys().insert(same_id, &change()).await.unwrap_err(), "id");
    // A refused change leaves no trace.
    assert_eq!(
        store.audit().list(&AuditFilter { limit: 10, ..AuditFilter::default() }).await.unwrap().len(),
        1
    );
    assert_eq!(store.revisions().current().await.unwrap()[&Topic::Keys], 1);
}

async fn a_reference_that_leads_nowhere_is_reported_with_its_field(place: &Place) {
    let store = place.open().await;
    store.teams().insert(team(), &change()).await.unwrap();
    let mut lost = key("k1");
    lost.team_id = Some("t1".to_owned());
    lost.user_id = Some("nobody".to_owned());
    let refused = store.keys().insert(lost, &change()).await.unwrap_err();
    assert!(
        matches!(&refused, StoreError::MissingReference { table, field } if table == "virtual_keys" && field == "user_id"),
        "{refused:?}"
    );
    let mut key = store.keys().insert(key("k1"), &change()).await.unwrap();
    key.team_id = Some("t2".to_owned());
    let refused = Box::pin(store.keys().update(key, &change())).await.unwrap_err();
    assert!(
        matches!(&refused, StoreError::MissingReference { field, .. } if field == "team_id"),
        "{refused:?}"
    );
}

async fn a_team_in_use_cannot_be_deleted(place: &Place) {
    let store = place.open().await;
    store.teams().insert(team(), &change()).await.unwrap();
    let mut key = key("k1");
    key.team_id = Some("t1".to_owned());
    store.keys().insert(key, &change()).await.unwrap();
    let refused = store.teams().delete("t1", &change()).await.unwrap_err();
    assert!(
        matches!(&refused, StoreError::InUse { table, id } if table == "teams" && id == "t1"),
        "{refused:?}"
    );
    store.keys().delete("k1", &change()).await.unwrap();
    store.teams().delete("t1", &change()).await.unwrap();
    let gone = store.teams().delete("t1", &change()).await.unwrap_err();
    assert!(matches!(gone, StoreError::NotFound { .. }), "{gone:?}");
}

async fn a_rotated_key_works_with_both_secrets_until_the_grace_ends(place: &Place) {
    let store = place.open().await;
    store.keys().insert(key("k1"), &change()).await.unwrap();
    let rotation = |hash: &[u8], grace_until_ms| Rotation {
        key_hash: hash.to_vec(),
        display_prefix: "sk-new".to_owned(),
        display_suffix: "0000".to_owned(),
        grace_until_ms,
    };
    let rotated = store.keys().rotate("k1", rotation(b"new", NOON + HOUR), &change()).await.unwrap();
    assert_eq!((rotated.rotated_at_ms, rotated.version), (Some(NOON), 2));
    for (hash, at_ms, works) in [
        (&b"new"[..], NOON, true),
        (b"hash of k1", NOON, true),
        (b"hash of k1", NOON + HOUR - 1, true),
        (b"hash of k1", NOON + HOUR, false),
        (b"new", NOON + HOUR, true),
    ] {
        let found = store.keys().by_hash(hash, at_ms).await.unwrap();
        assert_eq!(found.map(|key| key.id).as_deref(), works.then_some("k1"), "{hash:?} at {at_ms}");
    }
    // A stolen key is exchanged without grace.
    store.keys().rotate("k1", rotation(b"newer", 0), &change()).await.unwrap();
    assert_eq!(store.keys().by_hash(b"new", NOON).await.unwrap(), None);
    assert!(store.keys().set_blocked("k1", true, &change()).await.unwrap().blocked);
}

async fn an_update_of_an_old_version_is_refused(place: &Place) {
    let store = place.open().await;
    let first = store.keys().insert(key("k1"), &change()).await.unwrap();
    let renamed = VirtualKey { name: "renamed".to_owned(), ..first.clone() };
    assert_eq!(Box::pin(store.keys().update(renamed, &change())).await.unwrap().version, 2);
    let late = VirtualKey { rpm: Some(1), ..first };
    let refused = Box::pin(store.keys().update(late, &change())).await.unwrap_err();
    assert!(matches!(refused, StoreError::Stale { .. }), "{refused:?}");
    let stored = store.keys().get("k1").await.unwrap().unwrap();
    assert_eq!((stored.name.as_str(), stored.rpm), ("renamed", Some(600)));
}

async fn every_change_is_audited_without_secrets(place: &Place) {
    let store = place.open().await;
    let mut at = change();
    store.keys().insert(key("k1"), &at).await.unwrap();
    at = Change { at_ms: NOON + 1, actor: "bob".to_owned(), address: String::new() };
    store.keys().set_blocked("k1", true, &at).await.unwrap();
    store.keys().delete("k1", &at).await.unwrap();
    store.teams().insert(team(), &at).await.unwrap();
    let filter = AuditFilter { object_id: Some("k1".to_owned()), limit: 10, ..AuditFilter::default() };
    let entries = store.audit().list(&filter).await.unwrap();
    let actions: Vec<&str> = entries.iter().map(|entry| entry.action.as_str()).collect();
    assert_eq!(actions, ["delete", "block", "create"]);
    let block = &entries[1];
    assert_eq!(
        (block.actor.as_str(), block.at_ms, block.object_kind.as_str()),
        ("bob", NOON + 1, "virtual_keys")
    );
    assert_eq!(block.before.as_ref().unwrap()["blocked"], false);
    assert_eq!(block.after.as_ref().unwrap()["blocked"], true);
    assert_eq!((&entries[0].after, &entries[2].before), (&None, &None));
    assert!(!format!("{entries:?}").contains("hash"), "{entries:?}");
    let page = AuditFilter { before_id: Some(entries[1].id.clone()), limit: 10, ..AuditFilter::default() };
    assert_eq!(store.audit().list(&page).await.unwrap(), entries[2..]);
}

async fn credentials_and_users_are_read_as_they_were_written(place: &Place) {
    let store = place.open().await;
    let credential = Credential {
        id: "c1".to_owned(),
        provider: "openai".to_owned(),
        name: "main".to_owned(),
        ciphertext: vec![0, 255, 7],
        nonce: vec![1; 12],
        encryption_key_id: "2026-01".to_owned(),
        ..Credential::default()
    };
    let stored = store.credentials().insert(credential, &change()).await.unwrap();
    assert_eq!(store.credentials().get("c1").await.unwrap(), Some(stored));
    store.teams().insert(team(), &change()).await.unwrap();
    let user = User {
        id: "u1".to_owned(),
        name: "ada@example.org".to_owned(),
        team_id: Some("t1".to_owned()),
        ..User::default()
    };
    let stored = store.users().insert(user, &change()).await.unwrap();
    assert_eq!(store.users().by_name("ada@example.org").await.unwrap(), Some(stored));
    assert_eq!(store.teams().get("t1").await.unwrap().unwrap().budgets, team().budgets);
}

async fn a_session_ends_by_time_by_hand_and_with_its_admin(place: &Place) {
    let store = place.open().await;
    let session = |token: &str, expires_at_ms| AdminSession {
        token_hash: token.as_bytes().to_vec(),
        admin_id: "a1".to_owned(),
        csrf_hash: b"csrf".to_vec(),
        address: "192.0.2.1".to_owned(),
        created_at_ms: NOON,
        expires_at_ms,
        seen_at_ms: NOON,
    };
    let lost = store.sessions().insert(&session("x", NOON + 1), &change()).await.unwrap_err();
    assert!(matches!(&lost, StoreError::MissingReference { field, .. } if field == "admin_id"), "{lost:?}");
    let admin = Admin {
        id: "a1".to_owned(),
        name: "ada".to_owned(),
        password_hash: "$argon2id$".to_owned(),
        ..Admin::default()
    };
    let admin = store.admins().insert(admin, &change()).await.unwrap();
    for (token, expiry) in [("short", NOON + 1), ("long", NOON + HOUR), ("other", NOON + HOUR)] {
        store.sessions().insert(&session(token, expiry), &change()).await.unwrap();
    }
    let live = async |token: &str| {
        store.sessions().live(token.as_bytes(), NOON + 1, 0).await.unwrap().map(|(session, _)| session)
    };
    assert_eq!(live("short").await, None);
    assert_eq!(live("long").await, Some(session("long", NOON + HOUR)));
    // Nobody has used it for so long.
    assert_eq!(store.sessions().live(b"long", NOON + 1, NOON).await.unwrap(), None);
    assert_eq!(store.sessions().purge(NOON + 1).await.unwrap(), 1);
    store.sessions().end(b"other", &change()).await.unwrap();
    assert_eq!(live("other").await, None);
    let admin = store.admins().update(Admin { disabled: true, ..admin }, &change()).await.unwrap();
    assert_eq!(live("long").await, None);
    store.admins().update(Admin { disabled: false, ..admin }, &change()).await.unwrap();
    assert!(live("long").await.is_some());
    assert_eq!(store.sessions().end_all("a1").await.unwrap(), 1);
    store.sessions().insert(&session("last", NOON + HOUR), &change()).await.unwrap();
    store.admins().delete("a1", &change()).await.unwrap();
    assert_eq!(live("last").await, None);
}

async fn a_team_has_its_own_keys_those_of_its_users_and_the_changes_of_both(place: &Place) {
    let store = place.open().await;
    store.teams().insert(team(), &change()).await.unwrap();
    store.teams().insert(Team { id: "t2".to_owned(), ..Team::default() }, &change()).await.unwrap();
    let team_id = Some("t1".to_owned());
    let user =
        User { id: "u1".to_owned(), name: "ada".to_owned(), team_id: team_id.clone(), ..User::default() };
    store.users().insert(user, &change()).await.unwrap();
    let own = store.keys().insert(VirtualKey { team_id, ..key("k1") }, &change()).await.unwrap();
    let of_user = VirtualKey { user_id: Some("u1".to_owned()), ..key("k2") };
    store.keys().insert(of_user, &change()).await.unwrap();
    store.keys().insert(VirtualKey { team_id: Some("t2".to_owned()), ..key("k3") }, &change()).await.unwrap();
    store.keys().insert(key("k4"), &change()).await.unwrap();
    let ids = |keys: Vec<VirtualKey>| keys.into_iter().map(|key| key.id).collect::<Vec<_>>();
    assert_eq!(ids(store.keys().list_of_team("t1", None, 10).await.unwrap()), ["k1", "k2"]);
    assert_eq!(ids(store.keys().list_of_team("t1", Some("k1"), 10).await.unwrap()), ["k2"]);
    assert_eq!(store.teams().list_of_team("t2", None, 10).await.unwrap().len(), 1);
    assert_eq!(store.users().list_of_team("t2", None, 10).await.unwrap(), []);
    assert_eq!(store.admins().list_of_team("t1", None, 10).await.unwrap(), []);

    let moved = VirtualKey { team_id: Some("t2".to_owned()), ..own };
    Box::pin(store.keys().update(moved, &change())).await.unwrap();
    let seen = async |team: &str| {
        let filter = AuditFilter { team_id: Some(team.to_owned()), limit: 10, ..AuditFilter::default() };
        let entries = store.audit().list(&filter).await.unwrap();
        entries.iter().rev().map(|entry| format!("{} {}", entry.action, entry.object_id)).collect::<Vec<_>>()
    };
    assert_eq!(seen("t1").await, ["create t1", "create u1", "create k1"]);
    assert_eq!(seen("t2").await, ["create t2", "create k3"]);
}

async fn a_change_of_password_and_disabling_end_sessions_and_a_token_ends_with_its_admin(place: &Place) {
    let store = place.open().await;
    let admin = Admin { id: "a1".to_owned(), name: "ada".to_owned(), ..Admin::default() };
    store.admins().insert(admin, &change()).await.unwrap();
    let later = |at_ms| Change { at_ms, ..change() };
    let begin = async |token: &[u8], at_ms: i64| {
        let session = AdminSession {
            token_hash: token.to_vec(),
            admin_id: "a1".to_owned(),
            csrf_hash: vec![],
            address: String::new(),
            created_at_ms: at_ms,
            expires_at_ms: at_ms + HOUR,
            seen_at_ms: at_ms,
        };
        store.sessions().insert(&session, &later(at_ms)).await.unwrap();
    };
    let is_live = async |token: &[u8]| store.sessions().live(token, NOON, 0).await.unwrap().is_some();
    begin(b"one", NOON).await;
    assert!(is_live(b"one").await);
    store.sessions().touch(b"one", NOON + 5).await.unwrap();
    assert!(store.sessions().live(b"one", NOON, NOON + 4).await.unwrap().is_some());
    let changed =
        store.admins().set_password("a1", "$argon2id$2".to_owned(), &later(NOON + 10)).await.unwrap();
    assert_eq!(changed.password_hash, "$argon2id$2");
    assert!(!is_live(b"one").await);
    begin(b"two", NOON + 20).await;
    assert!(is_live(b"two").await);

    let token = AdminToken {
        id: "o1".to_owned(),
        admin_id: "a1".to_owned(),
        token_hash: b"hash".to_vec(),
        ..AdminToken::default()
    };
    let token = AdminToken { expires_at_ms: Some(NOON + HOUR), ..token };
    store.admin_tokens().insert(token, &change()).await.unwrap();
    let owner = async |at_ms: i64| store.admin_tokens().owner(b"hash", at_ms).await.unwrap();
    assert_eq!(owner(NOON).await.unwrap().id, "a1");
    assert_eq!(owner(NOON + HOUR).await, None);
    store.admins().set_disabled("a1", true, &later(NOON + 30)).await.unwrap();
    assert_eq!(owner(NOON).await, None);
    store.admins().set_disabled("a1", false, &later(NOON + 40)).await.unwrap();
    assert!(!is_live(b"two").await, "what was disabled begins anew");
    assert_eq!(store.admin_tokens().of_admin("a1").await.unwrap().len(), 1);
    store.admins().delete("a1", &change()).await.unwrap();
    assert_eq!(store.admin_tokens().get("o1").await.unwrap(), None);
}

async fn keys_are_listed_page_by_page(place: &Place) {
    let store = place.open().await;
    for number in 0..7 {
        store.keys().insert(key(&format!("k{number}")), &change()).await.unwrap();
    }
    let ids = async |after: Option<&str>| -> Vec<String> {
        store.keys().list(after, 4).await.unwrap().into_iter().map(|key| key.id).collect()
    };
    assert_eq!(ids(None).await, ["k0", "k1", "k2", "k3"]);
    assert_eq!(ids(Some("k3")).await, ["k4", "k5", "k6"]);
    assert!(ids(Some("k6")).await.is_empty());
}
