//! `/api/v1/keys`: virtual keys that take effect while the gateways run.

use http::StatusCode;
use schemars::JsonSchema;
use serde::Serialize;
use store::{Rotation, VirtualKey};

use super::call::Call;
use super::fault::Fault;
use super::reply::{Deleted, Page, Reply};
use super::scope::{has_key, keep_key};
use crate::config::Span;
use crate::contents::NO_ENCRYPTION_KEY;
use crate::keys::settings::date;
use crate::keys::{FreshKey, KeySettings, merge};
use crate::ledger::now_ms;

/// A key without its secret. Public API.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct KeyView {
    id: String,
    #[serde(flatten)]
    settings: KeySettings,
    /// Its first and last letters.
    hint: String,
    previous_works_until: Option<String>,
    rotated_at: Option<String>,
    created_at: String,
    updated_at: String,
    version: u64,
}

/// A key with its secret, which is shown this once. Public API.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct NewKey {
    #[serde(flatten)]
    view: KeyView,
    /// The key itself.
    key: String,
}

/// How to exchange a secret. Public API.
#[derive(Debug, JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "describes a body that is read member by member")]
pub(super) struct RotateRequest {
    /// How long the old value still works, as in `1h`; left out: not at all.
    grace: Option<Span>,
}

impl KeyView {
    pub(super) fn of(key: &VirtualKey) -> Self {
        Self {
            id: key.id.clone(),
            settings: KeySettings::of(key),
            hint: hint(key),
            previous_works_until: key.previous_key_until_ms.map(date),
            rotated_at: key.rotated_at_ms.map(date),
            created_at: date(key.created_at_ms),
            updated_at: date(key.updated_at_ms),
            version: key.version,
        }
    }
}

/// `sk-sb-…1a2b`.
pub(super) fn hint(key: &VirtualKey) -> String {
    format!("{}…{}", key.display_prefix, key.display_suffix)
}

/// The answer that has the key itself.
fn shown_once(status: StatusCode, key: &VirtualKey, fresh: &FreshKey) -> Reply {
    Reply::json(status, &NewKey { view: KeyView::of(key), key: fresh.secret.expose().to_owned() })
}

pub(super) async fn create(call: Call) -> Result<Reply, Fault> {
    let settings = merge(&KeySettings::default(), call.object()?)?;
    let mut key = VirtualKey { id: store::new_id(), ..VirtualKey::default() };
    settings.put_on(&mut key)?;
    keep_key(&call, &mut key).await?;
    can_store_prompts(&call, &key)?;
    let fresh = fresh()?;
    let key = insert(&call, key, &fresh).await?;
    Ok(shown_once(StatusCode::CREATED, &key, &fresh))
}

/// What the key's requests say can be encrypted, if it is to be stored.
fn can_store_prompts(call: &Call, key: &VirtualKey) -> Result<(), Fault> {
    if key.store_prompts && call.app.sealer.is_none() {
        let message = format!("`store_prompts` {NO_ENCRYPTION_KEY}.");
        return Err(Fault::invalid(Some("store_prompts"), message));
    }
    Ok(())
}

/// A new secret.
pub(super) fn fresh() -> Result<FreshKey, Fault> {
    FreshKey::random().map_err(|_| Fault::internal("The operating system has no randomness."))
}

/// Adds a key with this secret.
pub(super) async fn insert(call: &Call, mut key: VirtualKey, fresh: &FreshKey) -> Result<VirtualKey, Fault> {
    key.key_hash = call.hasher()?.hash(fresh.secret.expose().as_bytes()).to_stored();
    key.display_prefix.clone_from(&fresh.display_prefix);
    key.display_suffix.clone_from(&fresh.display_suffix);
    let change = call.change();
    call.store(|store| async move { store.keys().insert(key, &change).await }).await
}

pub(super) async fn list(call: Call) -> Result<Reply, Fault> {
    let (limit, after) = (call.limit()?, call.parameter("after"));
    let keys = page(&call, after, limit).await?;
    Ok(Reply::ok(&Page::of(&keys, limit, |key| &key.id, KeyView::of)))
}

pub(super) async fn get(call: Call) -> Result<Reply, Fault> {
    Ok(Reply::ok(&KeyView::of(&find(&call, &call.id).await?)))
}

/// Keys that the caller sees, behind this id.
pub(super) async fn page(call: &Call, after: Option<String>, limit: u32) -> Result<Vec<VirtualKey>, Fault> {
    let team = call.scope().team();
    let keys = call.store(move |store| async move {
        match team {
            Some(team) => store.keys().list_of_team(&team, after.as_deref(), limit).await,
            None => store.keys().list(after.as_deref(), limit).await,
        }
    });
    keys.await
}

/// The caller's key with this id.
pub(super) async fn find(call: &Call, id: &str) -> Result<VirtualKey, Fault> {
    let wanted = id.to_owned();
    let key = call.store(|store| async move { store.keys().get(&wanted).await }).await?;
    match key {
        Some(key) if has_key(call, &key).await? => Ok(key),
        _ => Err(Fault::not_found(format!("There is no key {id}: GET /api/v1/keys lists them."))),
    }
}

pub(super) async fn update(call: Call) -> Result<Reply, Fault> {
    let mut key = find(&call, &call.id).await?;
    merge(&KeySettings::of(&key), call.object()?)?.put_on(&mut key)?;
    keep_key(&call, &mut key).await?;
    can_store_prompts(&call, &key)?;
    Ok(Reply::ok(&KeyView::of(&replace(&call, key).await?)))
}

/// Replaces a key that was read for it.
pub(super) async fn replace(call: &Call, key: VirtualKey) -> Result<VirtualKey, Fault> {
    let change = call.change();
    call.store(|store| async move { Box::pin(store.keys().update(key, &change)).await }).await
}

pub(super) async fn delete(call: Call) -> Result<Reply, Fault> {
    find(&call, &call.id).await?;
    remove(&call, &call.id).await?;
    Ok(Deleted::reply(call.id))
}

/// Deletes the key with this id.
pub(super) async fn remove(call: &Call, id: &str) -> Result<(), Fault> {
    let (id, change) = (id.to_owned(), call.change());
    call.store(|store| async move { store.keys().delete(&id, &change).await }).await
}

pub(super) async fn block(call: Call) -> Result<Reply, Fault> {
    find(&call, &call.id).await?;
    Ok(Reply::ok(&KeyView::of(&set_blocked(&call, &call.id, true).await?)))
}

pub(super) async fn unblock(call: Call) -> Result<Reply, Fault> {
    find(&call, &call.id).await?;
    Ok(Reply::ok(&KeyView::of(&set_blocked(&call, &call.id, false).await?)))
}

/// Blocks or unblocks the key with this id.
pub(super) async fn set_blocked(call: &Call, id: &str, blocked: bool) -> Result<VirtualKey, Fault> {
    let (id, change) = (id.to_owned(), call.change());
    call.store(move |store| async move { store.keys().set_blocked(&id, blocked, &change).await }).await
}

/// `{"grace": "1h"}`: how long the old value still works; left out: not at all.
pub(super) async fn rotate(call: Call) -> Result<Reply, Fault> {
    let mut body = call.object()?;
    let grace = body.remove("grace").map(serde_json::from_value::<Span>).transpose();
    let grace = grace.map_err(|error| Fault::invalid(Some("grace"), format!("`grace`: {error}.")))?;
    if let Some(name) = body.keys().next() {
        return Err(Fault::invalid(None, format!("unknown field `{name}`: rotate takes `grace` only.")));
    }
    find(&call, &call.id).await?;
    let fresh = fresh()?;
    let key = exchange(&call, &call.id, &fresh, grace).await?;
    Ok(shown_once(StatusCode::OK, &key, &fresh))
}

/// Gives the key with this id a new secret.
pub(super) async fn exchange(
    call: &Call,
    id: &str,
    fresh: &FreshKey,
    grace: Option<Span>,
) -> Result<VirtualKey, Fault> {
    let grace_ms = grace.map_or(0, |grace| i64::try_from(grace.0.as_millis()).unwrap_or(i64::MAX / 2));
    let rotation = Rotation {
        key_hash: call.hasher()?.hash(fresh.secret.expose().as_bytes()).to_stored(),
        display_prefix: fresh.display_prefix.clone(),
        display_suffix: fresh.display_suffix.clone(),
        grace_until_ms: now_ms().saturating_add(grace_ms),
    };
    let (id, change) = (id.to_owned(), call.change());
    call.store(|store| async move { store.keys().rotate(&id, rotation, &change).await }).await
}
