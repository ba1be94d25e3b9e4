//! One call of an admin path: what was sent, and the way to the store.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use store::{Change, Store, StoreError};

use super::caller::{Caller, Scope};
use super::fault::Fault;
use super::login_gate::LoginGate;
use super::site::Site;
use crate::app::App;
use crate::keys::KeyHasher;
use crate::ledger::now_ms;
use crate::snapshot::Snapshot;

/// How long the store may take for one call.
const STORE_TIME: Duration = Duration::from_secs(10);
/// Rows of a page, unless the caller wants fewer or more, and at most.
const PAGE: u32 = 100;
const LONGEST_PAGE: u32 = 1_000;

/// A call.
pub(super) struct Call {
    pub(super) app: Arc<App>,
    pub(super) snapshot: Arc<Snapshot>,
    /// What stands in place of the template's `{id}`.
    pub(super) id: String,
    pub(super) query: String,
    pub(super) body: Bytes,
    /// Who calls.
    pub(super) caller: Caller,
    /// From where.
    pub(super) address: String,
    /// From whose page.
    pub(super) site: Site,
    /// Over TLS.
    pub(super) is_secure: bool,
    pub(super) gate: Arc<LoginGate>,
}

impl Call {
    /// Runs work on the store's thread.
    pub(super) async fn store<F, W, T>(&self, work: W) -> Result<T, Fault>
    where
        W: FnOnce(Store) -> F + Send + 'static,
        F: Future<Output = Result<T, StoreError>> + Send + 'static,
        T: Send + 'static,
    {
        on_store(&self.app, work).await
    }

    /// Who makes a change, now.
    pub(super) fn change(&self) -> Change {
        Change { at_ms: now_ms(), actor: self.caller.actor().to_owned(), address: self.address.clone() }
    }

    /// What the answer must keep to.
    pub(super) fn scope(&self) -> Scope<'_> {
        self.caller.scope()
    }

    /// The body, which must be a JSON object; without one an empty object.
    pub(super) fn object(&self) -> Result<Map<String, Value>, Fault> {
        if self.body.trim_ascii().is_empty() {
            return Ok(Map::new());
        }
        serde_json::from_slice(&self.body)
            .map_err(|error| Fault::invalid(None, format!("The body is no JSON object: {error}.")))
    }

    /// The body as a value of this type.
    pub(super) fn typed<T: DeserializeOwned>(&self) -> Result<T, Fault> {
        let wrong = |error| Fault::invalid(None, format!("The body is not what is taken here: {error}."));
        serde_json::from_slice(&self.body).map_err(wrong)
    }

    /// A parameter of the query that is not empty.
    pub(super) fn parameter(&self, name: &str) -> Option<String> {
        let mut pairs = form_urlencoded::parse(self.query.as_bytes());
        pairs.find(|(key, value)| key == name && !value.is_empty()).map(|(_, value)| value.into_owned())
    }

    /// The parameter `limit`.
    pub(super) fn limit(&self) -> Result<u32, Fault> {
        let Some(text) = self.parameter("limit") else { return Ok(PAGE) };
        let limit = text.parse().ok().filter(|limit| (1..=LONGEST_PAGE).contains(limit));
        limit.ok_or_else(|| Fault::invalid(Some("limit"), "`limit` is a number from 1 to 1000."))
    }

    /// Hashes keys for the store.
    pub(super) fn hasher(&self) -> Result<&KeyHasher, Fault> {
        let missing = || Fault::unavailable("Nothing is kept: set `store` in the configuration.");
        self.app.stored_keys.hasher().ok_or_else(missing)
    }
}

/// Runs work on the store's thread.
pub(super) async fn on_store<F, W, T>(app: &App, work: W) -> Result<T, Fault>
where
    W: FnOnce(Store) -> F + Send + 'static,
    F: Future<Output = Result<T, StoreError>> + Send + 'static,
    T: Send + 'static,
{
    let storage = app.storage.as_ref();
    let storage =
        storage.ok_or_else(|| Fault::unavailable("Nothing is kept: set `store` in the configuration."))?;
    let store = storage.store.clone();
    match tokio::time::timeout(STORE_TIME, storage.spawn(work(store))).await {
        Ok(Ok(done)) => Ok(done?),
        Ok(Err(_)) => Err(Fault::internal("The gateway failed: see its log.")),
        Err(_) => Err(Fault::unavailable(
            "The store has not answered in time, and may yet do what was asked: look before you repeat it.",
        )),
    }
}

/// The id that a caller has chosen for a team or user.
pub(super) fn chosen_id(id: &serde_json::Value) -> Result<String, Fault> {
    let is_fine = |id: &&str| {
        (1..=128).contains(&id.len())
            && id.bytes().all(|it| it.is_ascii_alphanumeric() || b"-_.@:".contains(&it))
    };
    let id = id.as_str().filter(is_fine);
    id.map(str::to_owned)
        .ok_or_else(|| Fault::invalid(Some("id"), "`id` is up to 128 of letters, digits and -_.@:"))
}
