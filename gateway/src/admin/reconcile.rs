//! `GET /api/v1/reconcile`: whether the sums that reports and budgets use are those of the single attempts.

use serde_json::json;
use store::Difference;

use super::call::Call;
use super::fault::Fault;
use super::reply::Reply;
use super::reports::{moment, time};
use super::spend::CATCH_UP;
use crate::ledger::now_ms;

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
    let rows: Vec<_> = found.iter().map(row).collect();
    Ok(Reply::ok(&json!({"from": time(from), "to": time(to), "agree": rows.is_empty(), "differences": rows})))
}

fn row(difference: &Difference) -> serde_json::Value {
    let Difference { hour_ms, key_id, cost_micros, attempts } = difference;
    json!({"hour": time(*hour_ms), "key": key_id, "micros": cost_micros, "attempts": attempts})
}
