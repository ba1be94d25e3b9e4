//! `/api/v1/credentials`: providers' credentials of the store, which take effect while the gateways run. A secret comes
//! in and never goes out.

use domain::Secret;
use http::StatusCode;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};
use store::Credential;

use super::call::Call;
use super::fault::Fault;
use super::reply::{Deleted, Page, Reply};
use crate::credentials::{self, CredentialSettings};
use crate::keys::merge;
use crate::keys::settings::date;
use crate::ledger::now_ms;
use crate::seal::Sealer;

/// A credential without its secret. Public API.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct CredentialView {
    id: String,
    #[serde(flatten)]
    settings: CredentialSettings,
    /// The last letters of the secret; null when it is short, or cannot be decrypted here.
    hint: Option<String>,
    /// Which key it is encrypted with.
    encryption_key_id: String,
    rotated_at: Option<String>,
    created_at: String,
    updated_at: String,
    version: u64,
}

/// What makes or changes a credential. Public API.
#[derive(Debug, JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "describes a body that is read member by member")]
pub(super) struct NewCredential {
    #[serde(flatten)]
    settings: CredentialSettings,
    /// The provider's key; never given out again.
    secret: Option<String>,
}

impl CredentialView {
    fn of(credential: &Credential, sealer: Option<&Sealer>) -> Self {
        let secret = sealer.and_then(|sealer| credentials::open(credential, sealer).ok());
        Self {
            id: credential.id.clone(),
            settings: CredentialSettings::of(credential),
            hint: secret.and_then(|secret| credentials::hint(&secret)),
            encryption_key_id: credential.encryption_key_id.clone(),
            rotated_at: credential.rotated_at_ms.map(date),
            created_at: date(credential.created_at_ms),
            updated_at: date(credential.updated_at_ms),
            version: credential.version,
        }
    }
}

pub(super) async fn create(call: Call) -> Result<Reply, Fault> {
    let mut body = call.object()?;
    let secret = take_secret(&mut body)?;
    let missing = || Fault::invalid(Some("secret"), "`secret` is missing: give the provider's key.");
    let secret = secret.ok_or_else(missing)?;
    let mut credential = Credential { id: store::new_id(), ..Credential::default() };
    merge(&CredentialSettings::default(), body)?.put_on(&mut credential)?;
    check_name(&call, &credential.name)?;
    put_secret(&call, &mut credential, &secret)?;
    let change = call.change();
    let made =
        call.store(|store| async move { store.credentials().insert(credential, &change).await }).await?;
    Ok(Reply::json(StatusCode::CREATED, &view(&call, &made)))
}

pub(super) async fn list(call: Call) -> Result<Reply, Fault> {
    let (limit, after) = (call.limit()?, call.parameter("after"));
    let page = call
        .store(move |store| async move { store.credentials().list(after.as_deref(), limit).await })
        .await?;
    Ok(Reply::ok(&Page::of(&page, limit, |credential| &credential.id, |credential| view(&call, credential))))
}

pub(super) async fn get(call: Call) -> Result<Reply, Fault> {
    Ok(Reply::ok(&view(&call, &find(&call).await?)))
}

/// With `secret` the credential itself is exchanged.
pub(super) async fn update(call: Call) -> Result<Reply, Fault> {
    let mut body = call.object()?;
    let secret = take_secret(&mut body)?;
    let mut credential = find(&call).await?;
    let name = credential.name.clone();
    merge(&CredentialSettings::of(&credential), body)?.put_on(&mut credential)?;
    if credential.name != name {
        check_name(&call, &credential.name)?;
    }
    if let Some(secret) = secret {
        put_secret(&call, &mut credential, &secret)?;
        credential.rotated_at_ms = Some(now_ms());
    }
    let change = call.change();
    let changed = call
        .store(|store| async move { Box::pin(store.credentials().update(credential, &change)).await })
        .await?;
    Ok(Reply::ok(&view(&call, &changed)))
}

pub(super) async fn delete(call: Call) -> Result<Reply, Fault> {
    let (id, change) = (call.id.clone(), call.change());
    call.store(|store| async move { store.credentials().delete(&id, &change).await }).await?;
    Ok(Deleted::reply(call.id))
}

fn view(call: &Call, credential: &Credential) -> CredentialView {
    CredentialView::of(credential, call.app.sealer.as_ref())
}

async fn find(call: &Call) -> Result<Credential, Fault> {
    let id = call.id.clone();
    let found = call.store(|store| async move { store.credentials().get(&id).await }).await?;
    found.ok_or_else(|| {
        Fault::not_found(format!("There is no credential {}: GET /api/v1/credentials lists them.", call.id))
    })
}

/// Out of the body before anything else reads it: what is wrong with a setting is told with its value.
fn take_secret(body: &mut Map<String, Value>) -> Result<Option<Secret>, Fault> {
    match body.remove("secret") {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(secret)) => Ok(Some(Secret::new(secret))),
        Some(_) => Err(Fault::invalid(Some("secret"), "`secret` is no text.")),
    }
}

/// The store knows the names of its own.
fn check_name(call: &Call, name: &str) -> Result<(), Fault> {
    let config = call.app.has_configured_credential(name);
    (!config).then_some(()).ok_or_else(|| {
        Fault::invalid(
            Some("name"),
            format!("The configuration has a credential `{name}`: take another name."),
        )
    })
}

fn put_secret(call: &Call, credential: &mut Credential, secret: &Secret) -> Result<(), Fault> {
    let Some(sealer) = &call.app.sealer else {
        return Err(Fault::unavailable(
            "Credentials are kept encrypted only: set `encryption.key` and `store`.",
        ));
    };
    let Some(provider) = call.snapshot.providers.get(credential.provider.as_str()) else {
        let known: Vec<&str> = call.snapshot.providers.keys().map(|name| name.as_str()).collect();
        let message = format!("`provider` is none of the configuration: known are {}.", known.join(", "));
        return Err(Fault::invalid(Some("provider"), message));
    };
    Ok(credentials::put_secret(credential, secret, provider, sealer)?)
}
