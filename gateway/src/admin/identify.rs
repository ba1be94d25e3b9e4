//! Finds out who calls: by a bearer token or a session's cookie.

use http::{HeaderMap, header};
use store::Admin;

use super::call::on_store;
use super::caller::{Account, Caller, LiveSession};
use super::fault::Fault;
use super::site::cookie;
use crate::accounts::{ADMIN_TOKEN, Role};
use crate::app::App;
use crate::keys::KeyHasher;
use crate::ledger::now_ms;
use crate::snapshot::Snapshot;

/// The cookie of a session.
pub(super) const COOKIE: &str = "signalbox_session";
/// A session that nobody uses ends after this, and every one after that.
pub(super) const IDLE_MS: i64 = 3_600_000;
pub(super) const LONGEST_MS: i64 = 12 * 3_600_000;
/// The use of a session is written down this often.
const TOUCH_MS: i64 = 60_000;

/// Was anything sent that could tell who calls?
pub(super) fn has_token(headers: &HeaderMap) -> bool {
    headers.contains_key(header::AUTHORIZATION) || cookie(headers, COOKIE).is_some()
}

/// None when nobody is known by what was sent, or nothing was.
pub(super) async fn identify(
    app: &App,
    snapshot: &Snapshot,
    headers: &HeaderMap,
) -> Result<Option<Caller>, Fault> {
    match headers.get(header::AUTHORIZATION) {
        Some(line) => {
            let line = line.as_bytes();
            let is_bearer = line.get(..7).is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"bearer "));
            let Some(token) = line.get(7..).filter(|_| is_bearer) else { return Ok(None) };
            of_token(app, snapshot, token).await
        }
        None => match cookie(headers, COOKIE) {
            Some(token) => of_session(app, token).await,
            None => Ok(None),
        },
    }
}

async fn of_token(app: &App, snapshot: &Snapshot, token: &[u8]) -> Result<Option<Caller>, Fault> {
    if snapshot.is_admin_token(token) {
        return Ok(Some(Caller::Root));
    }
    if token.starts_with(ADMIN_TOKEN.as_bytes()) {
        let Some(hasher) = app.stored_keys.hasher() else { return Ok(None) };
        let (hash, now) = (hasher.hash(token).to_stored(), now_ms());
        let found = on_store(app, move |store| async move { store.admin_tokens().owner(&hash, now).await });
        return Ok(found.await?.map(|admin| Caller::Account(account(admin, None))));
    }
    if let Some(principal) = snapshot.keys.find(Some(token)) {
        return Ok(Some(Caller::Key { principal: principal.clone(), is_stored: false }));
    }
    match app.stored_keys.find(token, now_ms()) {
        Some(Ok(principal)) => Ok(Some(Caller::Key { principal, is_stored: true })),
        Some(Err(inactive)) => Err(Fault::unauthorized(&inactive.to_string())),
        None => Ok(None),
    }
}

async fn of_session(app: &App, token: &str) -> Result<Option<Caller>, Fault> {
    let Some(hasher) = app.stored_keys.hasher() else { return Ok(None) };
    let (hash, now) = (session_hash(hasher, token), now_ms());
    let csrf = csrf(hasher, token);
    let wanted = hash.clone();
    let found = on_store(app, move |store| async move {
        let found = store.sessions().live(&wanted, now, now - IDLE_MS).await?;
        if found.as_ref().is_some_and(|(session, _)| now - session.seen_at_ms > TOUCH_MS) {
            store.sessions().touch(&wanted, now).await?;
        }
        Ok(found)
    });
    Ok(found.await?.map(|(session, admin)| {
        let live = LiveSession { token_hash: hash, csrf, expires_at_ms: session.expires_at_ms };
        Caller::Account(account(admin, Some(live)))
    }))
}

pub(super) fn account(admin: Admin, session: Option<LiveSession>) -> Account {
    let role = Role::of(&admin.role);
    Account { id: admin.id, name: admin.name, role, team_id: admin.team_id, session }
}

/// What the store has of a session's token.
pub(super) fn session_hash(hasher: &KeyHasher, token: &str) -> Vec<u8> {
    hasher.hash(format!("session {token}").as_bytes()).to_stored()
}

/// The token against cross-site requests. It follows from the session's, so that a page can ask for it again.
pub(super) fn csrf(hasher: &KeyHasher, token: &str) -> String {
    let bytes = hasher.hash(format!("csrf {token}").as_bytes()).to_stored();
    bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

/// Can nobody sign in yet? Then what shows names and figures is open, as on a machine of one's own.
pub(super) async fn nobody_can(app: &App, snapshot: &Snapshot) -> Result<bool, Fault> {
    if snapshot.has_admin_token() {
        return Ok(false);
    }
    if app.storage.is_none() {
        return Ok(true);
    }
    Ok(on_store(app, |store| async move { store.admins().list(None, 1).await }).await?.is_empty())
}
