//! Goes on with a stream that broke off after part of the answer was sent, so that the client gets the
//! whole of it. Ends with an error only when nobody can go on.

use std::sync::Arc;
use std::time::Instant;

use providers::Way;
use store::Counted;

use crate::app::App;
use crate::claim::Claim;
use crate::client::Client;
use crate::config::ResumeMode;
use crate::delivery::Broken;
use crate::error::GatewayError;
use crate::request::{Plan, Record, Request};
use crate::snapshot::{Model, Snapshot};
use crate::upstream::{Attempt, Deployment, Opened, Resumption, Seen, UpstreamCall, observe};

/// So many attempts may go on with one answer.
const MOST_RESUMPTIONS: u32 = 4;

/// A stream that goes on with the answer; None when there is none.
///
/// # Errors
/// [`GatewayError::ClientGone`].
pub async fn run(
    app: &App,
    snapshot: &Snapshot,
    plan: &Plan,
    request: &Request,
    broken: &Broken,
    client: &mut impl Client,
    record: &mut Record,
) -> Result<Option<Opened>, GatewayError> {
    let Some(resume) = &broken.resume else { return Ok(None) };
    let request_id = record.request_id.clone();
    let call = request.upstream_call(app, snapshot, plan, &request_id, record.started);
    let prefilled = resume.prefilled(request.operation, &request.head, &request.body);
    for (model, deployment) in targets(plan, request, record) {
        if record.resumptions >= MOST_RESUMPTIONS || Instant::now() >= call.deadline || app.is_draining() {
            return Ok(None);
        }
        let note = format!("x-signalbox-resumed: {}", deployment.id);
        let may_prefill = deployment.prefill && model.resume != ResumeMode::Off;
        let call = match &prefilled {
            Some((head, body)) if may_prefill => {
                let way = Way::Prefill { tokens: broken.tokens };
                let resumption = Some(Resumption { resume, way, note: &note });
                UpstreamCall { head, body, resumption, ..call }
            }
            _ if model.resume == ResumeMode::Auto => {
                let resumption = Some(Resumption { resume, way: Way::Regenerate, note: &note });
                UpstreamCall { resumption, ..call }
            }
            _ => continue,
        };
        let Ok(place) = deployment.enter() else { continue };
        let Some(permit) = deployment.state.cooldown.admit(Instant::now()) else { continue };
        let probe = permit.is_probe();
        let Some(claim) = Claim::of(request, model, deployment, record).await? else { continue };
        app.retry_budget.repeat(Instant::now());
        record.attempts += 1;
        record.resumptions += 1;
        let (timeouts, drop_params, sent) = (&model.timeouts, model.drop_params, claim.sent());
        let attempt = Attempt { call, deployment, timeouts, drop_params, sent };
        let outcome = tokio::select! {
            biased;
            outcome = attempt.run() => outcome,
            () = client.gone() => {
                claim.abandon(GatewayError::ClientGone.face().label, false);
                return Err(GatewayError::ClientGone);
            }
        };
        record.waited += outcome.waited;
        match outcome.result {
            Ok(opened) => {
                deployment.state.cooldown.succeeded();
                record.settle("resumed", false);
                let last = record.deployment.replace(deployment.clone());
                (record.taken, record.reservation) = claim.answered();
                record.places.deployment = place;
                record.earlier.extend(last.zip(record.usage.take()));
                record.counted = Counted::default();
                record.fallback = true;
                return Ok(Some(opened));
            }
            Err(failure) => {
                claim.failed(failure.failure.kind);
                let seen = Seen { probe, waited: outcome.waited, stream: true };
                observe(model, deployment, &failure, seen);
            }
        }
    }
    Ok(None)
}

/// Who may go on: the others of the model, then the one that broke off, if only once, then the fallbacks.
fn targets<'a>(
    plan: &'a Plan,
    request: &Request,
    record: &Record,
) -> Vec<(&'a Arc<Model>, &'a Arc<Deployment>)> {
    let now = Instant::now();
    let breaks = |deployment: &Arc<Deployment>| {
        let earlier = record.earlier.iter().map(|(broken, _)| broken);
        earlier
            .chain(&record.deployment)
            .filter(|broken| Arc::ptr_eq(&broken.state, &deployment.state))
            .count()
    };
    let mut targets: Vec<_> = plan
        .models
        .iter()
        .enumerate()
        .flat_map(|(rank, model)| model.deployments.iter().map(move |deployment| (rank, model, deployment)))
        .filter(|(_, _, deployment)| {
            deployment.weight > 0
                && deployment.may_use(plan.credentials.as_deref())
                && breaks(deployment) < 2
                && deployment.state.cooldown.may_admit(now)
                && providers::supports(request.operation, &deployment.provider.spec)
        })
        .collect();
    targets.sort_by_key(|(rank, _, deployment)| (*rank, breaks(deployment)));
    targets.into_iter().map(|(_, model, deployment)| (model, deployment)).collect()
}
