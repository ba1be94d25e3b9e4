//! Answers that the cache is given before anybody has asked.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::call::Call;
use super::fault::Fault;
use super::reply::Reply;
use crate::answer_cache::WarmEntry;

/// Its path, which takes longer bodies than others.
pub(super) const PATH: &str = "/api/v1/cache/warm";
/// Entries of one call.
const MOST: usize = 1_000;

/// What is to be kept, at most 1,000 at once. Public API.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct WarmRequest {
    entries: Vec<WarmEntry>,
}

/// What became of it. Public API.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Warmed {
    /// Answers that are kept now.
    kept: usize,
    /// The others.
    faults: Vec<WarmFault>,
}

/// Why an entry is not kept. Public API.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct WarmFault {
    /// Its place in the request, from 0.
    entry: usize,
    reason: String,
}

pub(super) async fn warm(call: Call) -> Result<Reply, Fault> {
    let asked: WarmRequest = call.typed()?;
    if asked.entries.len() > MOST {
        return Err(Fault::invalid(
            Some("entries"),
            "`entries` are at most 1000: send the rest in another call.",
        ));
    }
    super::cache::note(&call, "warm", "cache", format!("{} entries", asked.entries.len())).await?;
    let answers = super::cache::cache(&call)?;
    let mut faults = Vec::new();
    for (at, entry) in asked.entries.iter().enumerate() {
        if let Err(reason) = answers.warm(&call.snapshot, entry) {
            faults.push(WarmFault { entry: at, reason });
        }
        // Others have requests to serve.
        tokio::task::yield_now().await;
    }
    Ok(Reply::ok(&Warmed { kept: asked.entries.len() - faults.len(), faults }))
}
