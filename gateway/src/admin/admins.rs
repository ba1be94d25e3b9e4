//! `/api/v1/admins` and `/api/v1/admin-tokens`: accounts of operators.

use domain::Secret;
use http::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use store::{Admin, AdminToken};

use super::call::Call;
use super::fault::Fault;
use super::reply::{Deleted, Page, Reply};
use crate::accounts::{self, AccountSettings};
use crate::keys::merge;
use crate::keys::settings::{at_ms, check_name, date};

/// An account. Public API.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct AdminView {
    id: String,
    #[serde(flatten)]
    settings: AccountSettings,
    /// It cannot sign in.
    disabled: bool,
    created_at: String,
    updated_at: String,
    version: u64,
}

/// An account to make. Public API.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "describes a body that is read member by member")]
pub(super) struct NewAdmin {
    #[serde(flatten)]
    settings: AccountSettings,
    /// 12 letters at least; left out: a random one, which is shown this once.
    #[schemars(length(min = 12, max = 256))]
    password: Option<String>,
}

/// An account with its password, where that was made here. Public API.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct AdminWithPassword {
    #[serde(flatten)]
    view: AdminView,
    /// Null when the caller chose it.
    password: Option<String>,
}

/// Another password. Public API.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct PasswordRequest {
    /// 12 letters at least; left out: a random one, which is shown this once.
    #[schemars(length(min = 12, max = 256))]
    password: Option<String>,
}

/// A token to make. Public API.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct TokenRequest {
    /// What it is for.
    #[schemars(length(min = 1, max = 128))]
    name: String,
    /// Refused from then on, as in `2027-01-31T12:00:00Z`; left out: never.
    expires_at: Option<String>,
}

/// A token without its secret. Public API.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct TokenView {
    id: String,
    name: String,
    admin_id: String,
    /// Its last letters.
    hint: String,
    expires_at: Option<String>,
    created_at: String,
}

/// A token with its secret, which is shown this once. Public API.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct NewToken {
    #[serde(flatten)]
    view: TokenView,
    /// The token itself.
    token: String,
}

impl AdminView {
    fn of(admin: &Admin) -> Self {
        Self {
            id: admin.id.clone(),
            settings: AccountSettings::of(admin),
            disabled: admin.disabled,
            created_at: date(admin.created_at_ms),
            updated_at: date(admin.updated_at_ms),
            version: admin.version,
        }
    }
}

impl TokenView {
    fn of(token: &AdminToken) -> Self {
        Self {
            id: token.id.clone(),
            name: token.name.clone(),
            admin_id: token.admin_id.clone(),
            hint: format!("…{}", token.hint),
            expires_at: token.expires_at_ms.map(date),
            created_at: date(token.created_at_ms),
        }
    }
}

pub(super) async fn create(call: Call) -> Result<Reply, Fault> {
    let mut body = call.object()?;
    let chosen = match body.remove("password") {
        None | Some(Value::Null) => None,
        Some(Value::String(text)) => Some(text),
        Some(_) => return Err(Fault::invalid(Some("password"), "`password` is a text.")),
    };
    let settings = merge(&AccountSettings::default(), body)?;
    let mut admin = Admin { id: store::new_id(), ..Admin::default() };
    settings.put_on(&mut admin)?;
    let (hash, shown) = password(&call, chosen).await?;
    admin.password_hash = hash;
    let change = call.change();
    let admin = call.store(|store| async move { store.admins().insert(admin, &change).await }).await?;
    Ok(Reply::json(StatusCode::CREATED, &AdminWithPassword { view: AdminView::of(&admin), password: shown }))
}

/// The hash of the chosen password or of a random one, which is to be shown.
async fn password(call: &Call, chosen: Option<String>) -> Result<(String, Option<String>), Fault> {
    let (secret, shown) = match chosen {
        Some(text) => (Secret::new(text), None),
        None => {
            let secret = accounts::random().map_err(|_| Fault::internal("There is no randomness."))?;
            let shown = secret.expose().to_owned();
            (secret, Some(shown))
        }
    };
    let hash = call.gate.run(move || accounts::hash(&secret)).await??;
    Ok((hash, shown))
}

pub(super) async fn list(call: Call) -> Result<Reply, Fault> {
    let (limit, after) = (call.limit()?, call.parameter("after"));
    let admins =
        call.store(move |store| async move { store.admins().list(after.as_deref(), limit).await }).await?;
    Ok(Reply::ok(&Page::of(&admins, limit, |admin| &admin.id, AdminView::of)))
}

pub(super) async fn get(call: Call) -> Result<Reply, Fault> {
    Ok(Reply::ok(&AdminView::of(&find(&call).await?)))
}

async fn find(call: &Call) -> Result<Admin, Fault> {
    let id = call.id.clone();
    let admin = call.store(|store| async move { store.admins().get(&id).await }).await?;
    admin.ok_or_else(|| {
        Fault::not_found(format!("There is no account {}: GET /api/v1/admins lists them.", call.id))
    })
}

/// What it may do holds from the next call on.
pub(super) async fn update(call: Call) -> Result<Reply, Fault> {
    let mut admin = find(&call).await?;
    merge(&AccountSettings::of(&admin), call.object()?)?.put_on(&mut admin)?;
    let change = call.change();
    let admin =
        call.store(|store| async move { Box::pin(store.admins().update(admin, &change)).await }).await?;
    Ok(Reply::ok(&AdminView::of(&admin)))
}

pub(super) async fn disable(call: Call) -> Result<Reply, Fault> {
    set_disabled(call, true).await
}

pub(super) async fn enable(call: Call) -> Result<Reply, Fault> {
    set_disabled(call, false).await
}

async fn set_disabled(call: Call, disabled: bool) -> Result<Reply, Fault> {
    let (id, change) = (call.id.clone(), call.change());
    let admin =
        call.store(move |store| async move { store.admins().set_disabled(&id, disabled, &change).await });
    Ok(Reply::ok(&AdminView::of(&admin.await?)))
}

pub(super) async fn delete(call: Call) -> Result<Reply, Fault> {
    let (id, change) = (call.id.clone(), call.change());
    call.store(|store| async move { store.admins().delete(&id, &change).await }).await?;
    Ok(Deleted::reply(call.id))
}

/// Gives the account another password and ends its sessions.
pub(super) async fn reset_password(call: Call) -> Result<Reply, Fault> {
    let PasswordRequest { password: chosen } =
        if call.body.is_empty() { PasswordRequest::default() } else { call.typed()? };
    find(&call).await?;
    let (hash, shown) = password(&call, chosen).await?;
    let (id, change) = (call.id.clone(), call.change());
    let admin = call.store(|store| async move { store.admins().set_password(&id, hash, &change).await });
    Ok(Reply::ok(&AdminWithPassword { view: AdminView::of(&admin.await?), password: shown }))
}

pub(super) async fn list_tokens(call: Call) -> Result<Reply, Fault> {
    find(&call).await?;
    let id = call.id.clone();
    let tokens = call.store(|store| async move { store.admin_tokens().of_admin(&id).await }).await?;
    Ok(Reply::ok(&Page::of(&tokens, u32::MAX, |token| &token.id, TokenView::of)))
}

pub(super) async fn create_token(call: Call) -> Result<Reply, Fault> {
    let TokenRequest { name, expires_at } = call.typed()?;
    check_name(&name)?;
    let expires_at_ms = expires_at.as_deref().map(at_ms).transpose()?;
    find(&call).await?;
    let secret = accounts::fresh_token().map_err(|_| Fault::internal("There is no randomness."))?;
    let text = secret.expose();
    let token = AdminToken {
        id: store::new_id(),
        name,
        admin_id: call.id.clone(),
        token_hash: call.hasher()?.hash(text.as_bytes()).to_stored(),
        hint: text.get(text.len().saturating_sub(4)..).unwrap_or_default().to_owned(),
        expires_at_ms,
        ..AdminToken::default()
    };
    let change = call.change();
    let token = call.store(|store| async move { store.admin_tokens().insert(token, &change).await }).await?;
    let (view, token) = (TokenView::of(&token), text.to_owned());
    Ok(Reply::json(StatusCode::CREATED, &NewToken { view, token }))
}

pub(super) async fn delete_token(call: Call) -> Result<Reply, Fault> {
    let (id, change) = (call.id.clone(), call.change());
    call.store(|store| async move { store.admin_tokens().delete(&id, &change).await }).await?;
    Ok(Deleted::reply(call.id))
}
