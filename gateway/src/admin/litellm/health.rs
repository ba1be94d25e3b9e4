//! `/health` and its neighbours in LiteLLM's words. Nothing here calls a provider: what requests and health checks have
//! found out is told.

use std::time::{Duration, Instant};

use http::StatusCode;
use schemars::JsonSchema;
use serde::Serialize;

use super::super::call::{Call, on_store};
use super::super::fault::Fault;
use super::super::reply::Reply;
use crate::upstream::CooldownState;

/// How long the store may take to answer.
const STORE_TIME: Duration = Duration::from_secs(1);

/// Deployments in and out of rotation. Public API.
#[derive(Debug, Serialize, JsonSchema)]
pub(in crate::admin) struct HealthReport {
    healthy_endpoints: Vec<Endpoint>,
    unhealthy_endpoints: Vec<Endpoint>,
    healthy_count: usize,
    unhealthy_count: usize,
}

/// One deployment of one model.
#[derive(Debug, Serialize, JsonSchema)]
struct Endpoint {
    /// `provider/model`.
    model: String,
    /// What a client asks for.
    model_name: String,
    model_id: String,
    /// Why it is out of rotation.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'static str>,
}

/// Whether the gateway takes requests. Public API.
#[derive(Debug, Serialize, JsonSchema)]
pub(in crate::admin) struct Readiness {
    /// `healthy`, or `unhealthy` while the process drains.
    status: &'static str,
    /// `connected`, `Not connected`; requests are served without it too.
    db: &'static str,
    /// Always null.
    cache: Option<String>,
    /// Ours.
    litellm_version: &'static str,
    /// Always empty.
    success_callbacks: Vec<String>,
}

/// Always `I'm alive!`. Public API.
#[derive(Debug, Serialize, JsonSchema)]
pub(in crate::admin) struct Alive(&'static str);

/// `GET /health`.
pub(in crate::admin) async fn endpoints(call: Call) -> Result<Reply, Fault> {
    let now = Instant::now();
    let mut endpoints: Vec<Endpoint> = call
        .snapshot
        .models
        .values()
        .flat_map(|model| {
            model.deployments.iter().map(|deployment| Endpoint {
                model: format!("{}/{}", deployment.provider.name.as_str(), deployment.upstream_model),
                model_name: model.name.as_str().to_owned(),
                model_id: deployment.id.as_str().to_owned(),
                error: match deployment.state.cooldown.state(now) {
                    CooldownState::Closed => None,
                    CooldownState::HalfOpen => Some("It failed and is being tried again."),
                    CooldownState::Open => Some("It failed and rests: GET /api/v1/deployments tells more."),
                },
            })
        })
        .collect();
    endpoints.sort_by(|one, two| (&one.model_name, &one.model_id).cmp(&(&two.model_name, &two.model_id)));
    let (healthy, unhealthy): (Vec<_>, Vec<_>) = endpoints.into_iter().partition(|it| it.error.is_none());
    Ok(Reply::ok(&HealthReport {
        healthy_count: healthy.len(),
        unhealthy_count: unhealthy.len(),
        healthy_endpoints: healthy,
        unhealthy_endpoints: unhealthy,
    }))
}

/// `GET /health/liveliness`.
pub(in crate::admin) async fn liveness(_: Call) -> Result<Reply, Fault> {
    Ok(Reply::ok(&Alive("I'm alive!")))
}

/// `GET /health/readiness`.
pub(in crate::admin) async fn readiness(call: Call) -> Result<Reply, Fault> {
    let asked = on_store(&call.app, |store| async move { store.revisions().current().await });
    let answered = tokio::time::timeout(STORE_TIME, asked).await;
    let db = if matches!(answered, Ok(Ok(_))) { "connected" } else { "Not connected" };
    let is_ready = !call.app.is_draining();
    let (status, word) =
        if is_ready { (StatusCode::OK, "healthy") } else { (StatusCode::SERVICE_UNAVAILABLE, "unhealthy") };
    let version = env!("CARGO_PKG_VERSION");
    Ok(Reply::json(
        status,
        &Readiness { status: word, db, cache: None, litellm_version: version, success_callbacks: Vec::new() },
    ))
}
