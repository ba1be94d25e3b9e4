//! The part of LiteLLM's key management that its tools use, with LiteLLM's paths and words
//! (<https://docs.litellm.ai/docs/proxy/virtual_keys>), on the same keys as `/api/v1/keys`. A key is named by itself or by
//! its `token`, which is our id.

mod health;
mod models;
mod schema;
pub(super) mod spend_logs;
mod words;

pub(super) use health::{Alive, HealthReport, Readiness, endpoints, liveness, readiness};
pub(super) use models::{MODEL_INFO, ModelInfoList, model_info};
pub(super) use schema::{
    DeleteKeys, DeletedKeys, INFO, KeyChange, KeyInWords, KeyInfo, KeyList, KeyWords, LIST, NamedKey,
    NewKeyWords, RegenerateKey,
};

use std::time::Duration;

use serde_json::{Map, Value, json};
use store::{Owner, StoreError, User, VirtualKey};

use super::call::{Call, chosen_id};
use super::caller::{Caller, Scope};
use super::fault::Fault;
use super::keys;
use super::reply::Reply;
use super::scope::{has_key, keep_key};
use crate::config::Span;
use crate::keys::{FreshKey, KeySettings, Principal, merge};
use domain::Secret;

/// A key that somebody else chose must be as hard to guess as that.
const SHORTEST_KEY: usize = 20;
/// Keys of a page of the list: usually, and at most.
const PAGE: usize = 10;
const LONGEST_PAGE: usize = 100;
/// Rows read at once.
const ROWS: u32 = 1_000;
/// How long an answer waits for the store to have what was settled just now.
const CATCH_UP: Duration = Duration::from_secs(2);

/// `POST /key/generate`.
pub(super) async fn generate(call: Call) -> Result<Reply, Fault> {
    let mut body = call.object()?;
    let fresh = match body.remove("key") {
        None | Some(Value::Null) => keys::fresh()?,
        Some(Value::String(text)) if text.starts_with("sk-") && text.len() >= SHORTEST_KEY => {
            FreshKey::of(Secret::new(text))
        }
        Some(_) => {
            return Err(Fault::invalid(Some("key"), "`key` begins with sk- and has 20 letters or more."));
        }
    };
    let mut key = VirtualKey { id: store::new_id(), ..VirtualKey::default() };
    let name = format!("key-{}", key.id);
    body.entry("key_alias")
        .and_modify(|it| {
            if it.is_null() {
                *it = name.clone().into();
            }
        })
        .or_insert(name.clone().into());
    edit(&call, &mut key, body).await?;
    let key = keys::insert(&call, key, &fresh).await?;
    Ok(with_secret(&key, &fresh))
}

/// `POST /key/update`.
pub(super) async fn update(call: Call) -> Result<Reply, Fault> {
    let mut body = call.object()?;
    let mut key = named(&call, &mut body).await?;
    edit(&call, &mut key, body).await?;
    Ok(Reply::ok(&words::view(&keys::replace(&call, key).await?)))
}

/// `POST /key/delete` with `keys` or `key_aliases`.
pub(super) async fn delete(call: Call) -> Result<Reply, Fault> {
    let body = call.object()?;
    let texts = |name: &str| -> Vec<String> {
        let list = body.get(name).and_then(Value::as_array);
        list.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let (given, aliases) = (texts("keys"), texts("key_aliases"));
    if given.is_empty() && aliases.is_empty() {
        return Err(Fault::invalid(Some("keys"), "Name `keys` or `key_aliases` to delete."));
    }
    // All are looked up before the first one goes.
    let mut found = Vec::new();
    for text in &given {
        found.push((text.clone(), resolve(&call, text).await?));
    }
    for alias in aliases {
        let name = alias.clone();
        let key = call.store(|store| async move { store.keys().by_name(&name).await }).await?;
        match key {
            Some(key) if has_key(&call, &key).await? => found.push((key.id.clone(), key)),
            _ => return Err(Fault::not_found(format!("There is no key with the alias {alias}."))),
        }
    }
    for (_, key) in &found {
        keys::remove(&call, &key.id).await?;
    }
    let deleted: Vec<&String> = found.iter().map(|(text, _)| text).collect();
    Ok(Reply::ok(&json!({"deleted_keys": deleted})))
}

/// `GET /key/info?key=…`.
pub(super) async fn info(call: Call) -> Result<Reply, Fault> {
    let text = match (call.parameter("key"), call.scope()) {
        (Some(text), _) => text,
        (None, Scope::Key(own)) => own.to_owned(),
        (None, _) => return Err(Fault::invalid(Some("key"), "Name a key: /key/info?key=…")),
    };
    let (view, id) = match own_of_configuration(&call, &text) {
        Some(principal) => (words::view_of_configuration(principal), principal.id.to_string()),
        None => {
            let key = resolve(&call, &text).await?;
            (words::view(&key), key.id)
        }
    };
    call.app.ledger.caught_up(CATCH_UP).await;
    let spend = call
        .store(|store| async move { store.ledger().spend(Owner::Key(&id), 0, i64::MAX / 2).await })
        .await?;
    let mut info = view;
    info.insert("spend".to_owned(), spend.cost.usd().into());
    Ok(Reply::ok(&json!({"key": text, "info": info})))
}

/// `GET /key/list?page=1&size=10&user_id=&team_id=&key_alias=&return_full_object=`.
pub(super) async fn list(call: Call) -> Result<Reply, Fault> {
    let number = |name: &str, usual: usize| match call.parameter(name) {
        None => Ok(usual),
        Some(text) => text
            .parse()
            .ok()
            .filter(|it| *it > 0)
            .ok_or_else(|| Fault::invalid(Some(name), format!("`{name}` is a number from 1 on."))),
    };
    let (page, size) = (number("page", 1)?, number("size", PAGE)?.min(LONGEST_PAGE));
    let (user, team, alias) =
        (call.parameter("user_id"), call.parameter("team_id"), call.parameter("key_alias"));
    let is_whole = call.parameter("return_full_object").is_some_and(|it| it.eq_ignore_ascii_case("true"));
    let fits = |wanted: &Option<String>, has: Option<&String>| wanted.is_none() || wanted.as_ref() == has;
    let mut all: Vec<VirtualKey> = Vec::new();
    let mut after: Option<String> = None;
    loop {
        let rows = keys::page(&call, after, ROWS).await?;
        let Some(last) = rows.last() else { break };
        after = Some(last.id.clone());
        all.extend(rows.into_iter().filter(|key| {
            fits(&user, key.user_id.as_ref())
                && fits(&team, key.team_id.as_ref())
                && fits(&alias, Some(&key.name))
        }));
    }
    let shown = all.iter().skip((page - 1).saturating_mul(size)).take(size);
    let shown: Vec<Value> =
        shown.map(|key| if is_whole { words::view(key).into() } else { key.id.as_str().into() }).collect();
    Ok(Reply::ok(&json!({
        "keys": shown, "total_count": all.len(), "current_page": page, "total_pages": all.len().div_ceil(size),
    })))
}

/// `POST /key/block`.
pub(super) async fn block(call: Call) -> Result<Reply, Fault> {
    set_blocked(call, true).await
}

/// `POST /key/unblock`.
pub(super) async fn unblock(call: Call) -> Result<Reply, Fault> {
    set_blocked(call, false).await
}

async fn set_blocked(call: Call, blocked: bool) -> Result<Reply, Fault> {
    let key = named(&call, &mut call.object()?).await?;
    Ok(Reply::ok(&words::view(&keys::set_blocked(&call, &key.id, blocked).await?)))
}

/// `POST /key/{key}/regenerate`, or `/key/regenerate` with `key`; `grace_period` as in `24h`.
pub(super) async fn regenerate(call: Call) -> Result<Reply, Fault> {
    let mut body = call.object()?;
    let key =
        if call.id.is_empty() { named(&call, &mut body).await? } else { resolve(&call, &call.id).await? };
    let grace = match body.remove("grace_period") {
        None | Some(Value::Null) => None,
        Some(text) => Some(Span(words::duration(&text).ok_or_else(|| words::no_duration("grace_period"))?)),
    };
    body.remove("key");
    if !body.values().all(words::is_empty) {
        if matches!(call.scope(), Scope::Key(_)) {
            return Err(Fault::forbidden("A virtual key may exchange itself, not its settings."));
        }
        let mut changed = key.clone();
        edit(&call, &mut changed, body).await?;
        keys::replace(&call, changed).await?;
    }
    let fresh = keys::fresh()?;
    Ok(with_secret(&keys::exchange(&call, &key.id, &fresh, grace).await?, &fresh))
}

/// Puts the settings of a body on a key. A user that is not there is made, as LiteLLM does.
async fn edit(call: &Call, key: &mut VirtualKey, body: Map<String, Value>) -> Result<(), Fault> {
    let change = words::change(body, key)?;
    merge(&KeySettings::of(key), change)?.put_on(key)?;
    keep_key(call, key).await?;
    if let Some(id) = &key.user_id {
        let id = chosen_id(&id.as_str().into())?;
        let change = call.change();
        let made = call.store(|store| async move {
            if store.users().get(&id).await?.is_some() {
                return Ok(());
            }
            let user = User { id: id.clone(), name: id, ..User::default() };
            match store.users().insert(user, &change).await {
                // Another call was first.
                Ok(_) | Err(StoreError::Conflict { .. }) => Ok(()),
                Err(error) => Err(error),
            }
        });
        made.await?;
    }
    Ok(())
}

/// The key that the member `key` names.
async fn named(call: &Call, body: &mut Map<String, Value>) -> Result<VirtualKey, Fault> {
    match body.remove("key") {
        Some(Value::String(text)) => resolve(call, &text).await,
        _ => Err(Fault::invalid(Some("key"), "Name the key, by itself or by its token, as `key`.")),
    }
}

/// By the key itself or its token. A key is never repeated in a fault.
async fn resolve(call: &Call, text: &str) -> Result<VirtualKey, Fault> {
    if !text.starts_with("sk-") {
        return keys::find(call, text).await;
    }
    let hash = call.hasher()?.hash(text.as_bytes()).to_stored();
    let now = call.change().at_ms;
    let key = call.store(move |store| async move { store.keys().by_hash(&hash, now).await }).await?;
    match key {
        Some(key) if has_key(call, &key).await? => Ok(key),
        _ => Err(Fault::not_found("There is no such key: GET /key/list has their tokens.")),
    }
}

/// The caller, when it is a key of the configuration and asks for itself.
fn own_of_configuration<'a>(call: &'a Call, text: &str) -> Option<&'a Principal> {
    let Caller::Key { principal, is_stored: false } = &call.caller else { return None };
    let known = call.snapshot.keys.find(Some(text.as_bytes()));
    let is_itself = known.is_some_and(|known| known.id == principal.id);
    (is_itself || *text == *principal.id).then_some(principal)
}

fn with_secret(key: &VirtualKey, fresh: &FreshKey) -> Reply {
    let mut view = words::view(key);
    view.insert("key".to_owned(), fresh.secret.expose().into());
    Reply::ok(&view)
}
