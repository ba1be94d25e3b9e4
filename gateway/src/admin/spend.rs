//! `GET /api/v1/spend?key=NAME`: what a virtual key has spent since the beginning, as the ledger knows it.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;
use store::{Owner, Spend};

use super::call::Call;
use super::caller::Scope;
use super::fault::Fault;
use super::reply::Reply;
use super::scope::has_key;

/// How long the answer waits for the store to have what was settled just now.
pub(super) const CATCH_UP: Duration = Duration::from_secs(2);

/// Public API.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct KeySpend {
    usd: f64,
    micros: u64,
    requests: u64,
    input_tokens: u64,
    output_tokens: u64,
    unsettled_micros: u64,
}

/// By the name or id of the key; a key sees itself without it. A key that has spent nothing, known or not, has spent
/// nothing.
pub(super) async fn of_key(call: Call) -> Result<Reply, Fault> {
    let id = match (call.parameter("key"), call.scope()) {
        (None, Scope::Key(own)) => own.to_owned(),
        (None, _) => return Err(Fault::invalid(Some("key"), "Name a key: /api/v1/spend?key=NAME.")),
        (Some(named), _) => id_of(&call, named).await?,
    };
    call.app.ledger.caught_up(CATCH_UP).await;
    let spend = call
        .store(|store| async move { store.ledger().spend(Owner::Key(&id), 0, i64::MAX / 2).await })
        .await?;
    Ok(Reply::ok(&KeySpend::from(spend)))
}

/// The id of a key by its name or id. A key of the configuration has its name for an id.
async fn id_of(call: &Call, named: String) -> Result<String, Fault> {
    let name = named.clone();
    let stored = call.store(|store| async move {
        match store.keys().by_name(&name).await? {
            Some(key) => Ok(Some(key)),
            None => store.keys().get(&name).await,
        }
    });
    let stored = stored.await?;
    let is_own = match (&stored, call.scope()) {
        (_, Scope::Everything) => true,
        (Some(key), _) => has_key(call, key).await?,
        (None, Scope::Key(own)) => named == own,
        (None, Scope::Team(_)) => false,
    };
    if !is_own {
        return Err(Fault::not_found(format!("There is no key {named}: GET /api/v1/keys lists them.")));
    }
    Ok(stored.map_or(named, |key| key.id))
}

impl From<Spend> for KeySpend {
    fn from(spend: Spend) -> Self {
        Self {
            usd: spend.cost.usd(),
            micros: spend.cost.0,
            requests: spend.requests,
            input_tokens: spend.input_tokens,
            output_tokens: spend.output_tokens,
            unsettled_micros: spend.unsettled.0,
        }
    }
}
