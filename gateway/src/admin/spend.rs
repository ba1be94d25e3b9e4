//! `GET /api/v1/spend?key=NAME`: what a virtual key has spent since the beginning, as the ledger knows it.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;
use store::{Owner, Spend};

use super::call::Call;
use super::fault::Fault;
use super::reply::Reply;

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

/// By the name or id of the key. A key that has spent nothing, known or not, has spent nothing.
pub(super) async fn of_key(call: Call) -> Result<Reply, Fault> {
    let key = call
        .parameter("key")
        .ok_or_else(|| Fault::invalid(Some("key"), "Name a key: /api/v1/spend?key=NAME."))?;
    call.app.ledger.caught_up(CATCH_UP).await;
    let spend = call.store(|store| async move {
        // A key of the configuration has its name for an id.
        let id = store.keys().by_name(&key).await?.map_or(key, |stored| stored.id);
        store.ledger().spend(Owner::Key(&id), 0, i64::MAX / 2).await
    });
    Ok(Reply::ok(&KeySpend::from(spend.await?)))
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
