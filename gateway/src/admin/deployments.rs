//! `GET /api/v1/deployments`: what each deployment is doing now. Names and numbers only, nothing of a
//! provider's headers.

use std::time::Instant;

use schemars::JsonSchema;
use serde::Serialize;

use super::call::Call;
use super::fault::Fault;
use super::reply::Reply;
use crate::snapshot::Snapshot;
use crate::telemetry::Metrics;
use crate::upstream::{CooldownState, Deployment};

/// All of them. Public API.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct DeploymentList {
    deployments: Vec<DeploymentRow>,
}

/// One deployment of one model. Public API.
#[derive(Debug, Serialize, JsonSchema)]
struct DeploymentRow {
    id: String,
    model: String,
    provider: String,
    upstream_model: String,
    /// The name of its credential; null where it has none.
    credential: Option<String>,
    weight: u32,
    /// `closed`, `half_open` or `open`.
    state: &'static str,
    in_flight: u32,
    /// Of streams; null before the first.
    ttft_ms: Option<f64>,
    /// Of answers that are not streamed; null before the first.
    answer_ms: Option<f64>,
    /// As the provider last said; null when it is unknown or has been reset.
    remaining_requests: Option<u64>,
    remaining_tokens: Option<u64>,
}

/// Sorted by model.
pub(super) async fn list(call: Call) -> Result<Reply, Fault> {
    let (snapshot, now) = (&call.snapshot, Instant::now());
    let mut deployments: Vec<DeploymentRow> = snapshot
        .models
        .values()
        .flat_map(|model| model.deployments.iter().map(|it| row(model.name.as_str(), it, now)))
        .collect();
    deployments.sort_by(|one, two| (&one.model, &one.id).cmp(&(&two.model, &two.id)));
    Ok(Reply::ok(&DeploymentList { deployments }))
}

fn row(model: &str, deployment: &Deployment, now: Instant) -> DeploymentRow {
    let state = &deployment.state;
    let (remaining_requests, remaining_tokens) = state.quota.remaining(now);
    let millis = |stream| state.latency(stream).last().map(|it| it.as_secs_f64() * 1_000.0);
    DeploymentRow {
        id: deployment.id.as_str().to_owned(),
        model: model.to_owned(),
        provider: deployment.provider.name.as_str().to_owned(),
        upstream_model: deployment.upstream_model.to_string(),
        credential: deployment.credential.as_ref().map(|credential| credential.name.to_string()),
        weight: deployment.weight,
        state: match state.cooldown.state(now) {
            CooldownState::Closed => "closed",
            CooldownState::HalfOpen => "half_open",
            CooldownState::Open => "open",
        },
        in_flight: state.in_flight(),
        ttft_ms: millis(true),
        answer_ms: millis(false),
        remaining_requests,
        remaining_tokens,
    }
}

/// Brings the gauge up to date. Done when it is read, so that requests need not keep it.
pub(super) fn measure(snapshot: &Snapshot, metrics: &Metrics, now: Instant) {
    // A deployment that a reload has removed must not stay.
    metrics.deployment_state.reset();
    for deployment in snapshot.models.values().flat_map(|model| &model.deployments) {
        let state = match deployment.state.cooldown.state(now) {
            CooldownState::Closed => 0,
            CooldownState::HalfOpen => 1,
            CooldownState::Open => 2,
        };
        metrics.deployment_state.with_label_values(&[deployment.id.as_str()]).set(state);
    }
}
