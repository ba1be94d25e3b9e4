//! `GET /api/v1/reconcile`: whether the sums that reports and budgets use are those of the single attempts, and how much of
//! them the providers have counted themselves.

use schemars::JsonSchema;
use serde::Serialize;
use store::{CountedSum, Difference};

use super::call::Call;
use super::fault::Fault;
use super::reply::Reply;
use super::reports::{moment, time};
use super::route::{Kind, Parameter};
use super::spend::CATCH_UP;
use crate::ledger::now_ms;

/// What [`compare`] takes.
pub(super) const QUERY: &[Parameter] = &[
    Parameter { name: "from", kind: Kind::Time, about: "By whole hours; a day before `to` without it." },
    Parameter {
        name: "to",
        kind: Kind::Time,
        about: "The end, which is not part of it; this hour without it.",
    },
];

/// Whether two ways to the same sums agree. Public API.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Reconciliation {
    from: String,
    to: String,
    agree: bool,
    differences: Vec<DifferenceRow>,
    /// The ledger's calls by provider, model and who counted them.
    counted: Vec<CountedRow>,
}

/// Calls of a provider's model. Public API.
#[derive(Debug, Serialize, JsonSchema)]
struct CountedRow {
    provider: String,
    model: String,
    /// `provider`: its own figures, as its bill should have them. `estimate`: ours, for want of its own. `nobody`: calls
    /// whose usage is not known, which stand as zero.
    counted: &'static str,
    attempts: u64,
    micros: u64,
    input_tokens: u64,
    output_tokens: u64,
    cached_tokens: u64,
    cache_write_tokens: u64,
    reasoning_tokens: u64,
}

/// An hour and key whose sums differ. Public API.
#[derive(Debug, Serialize, JsonSchema)]
struct DifferenceRow {
    hour: String,
    key: String,
    /// Of the sums, minus that of the attempts.
    micros: i64,
    attempts: i64,
}

const HOUR_MS: i64 = 3_600_000;
/// Reading more would take longer than a call may.
const LONGEST_MS: i64 = 32 * 24 * HOUR_MS;

/// `?from=2026-11-01&to=2026-11-02`, by whole hours; without a time the last 24 that are over.
pub(super) async fn compare(call: Call) -> Result<Reply, Fault> {
    let to = moment(&call, "to")?.unwrap_or_else(now_ms).div_euclid(HOUR_MS) * HOUR_MS;
    let from = moment(&call, "from")?.unwrap_or(to - 24 * HOUR_MS).div_euclid(HOUR_MS) * HOUR_MS;
    if from >= to || to - from > LONGEST_MS {
        return Err(Fault::invalid(
            Some("from"),
            "From `from` to `to` it is one hour at least and 32 days at most.",
        ));
    }
    call.app.ledger.caught_up(CATCH_UP).await;
    let found = call.store(move |store| async move { store.ledger().reconcile(from, to).await }).await?;
    let differences: Vec<DifferenceRow> = found.differences.iter().map(row).collect();
    let counted = found.counted.into_iter().map(counted_row).collect();
    let agree = differences.is_empty();
    Ok(Reply::ok(&Reconciliation { from: time(from), to: time(to), agree, differences, counted }))
}

fn counted_row(sum: CountedSum) -> CountedRow {
    CountedRow {
        provider: sum.provider,
        model: sum.model,
        counted: sum.counted.as_str(),
        attempts: sum.attempts,
        micros: sum.cost.0,
        input_tokens: sum.usage.prompt,
        output_tokens: sum.usage.completion,
        cached_tokens: sum.usage.cached,
        cache_write_tokens: sum.usage.cache_write,
        reasoning_tokens: sum.usage.reasoning,
    }
}

fn row(difference: &Difference) -> DifferenceRow {
    let Difference { hour_ms, key_id, cost_micros, attempts } = difference;
    DifferenceRow { hour: time(*hour_ms), key: key_id.clone(), micros: *cost_micros, attempts: *attempts }
}
