//! Attempts, retries, fallbacks, until an answer has begun.

use std::sync::Arc;
use std::time::{Duration, Instant};

use domain::{FailureKind, Retry};

use crate::app::App;
use crate::config::Priority;
use crate::edge::Downstream;
use crate::error::{GatewayError, Rejection};
use crate::limits::{InFlightLimit, Places};
use crate::request::{Plan, Record, Request};
use crate::snapshot::{Model, Snapshot};
use crate::upstream::{Attempt, AttemptFailure, Deployment, Opened, UpstreamCall};

/// A credential that the provider refuses stays refused for a while.
const CREDENTIAL_COOLDOWN: Duration = Duration::from_secs(60);

/// What is the same for every attempt of one request.
struct Run<'a> {
    app: &'a App,
    plan: &'a Plan,
    request: &'a Request,
    call: UpstreamCall<'a>,
    retry_budget: f64,
}

/// Finds an answer.
///
/// # Errors
/// When the client left, the provider refused the request itself, or nobody could answer.
pub async fn run(
    app: &App,
    snapshot: &Snapshot,
    plan: &Plan,
    request: &Request,
    downstream: &mut Downstream<'_>,
    record: &mut Record,
) -> Result<Opened, GatewayError> {
    let total = plan.models.first().map_or(Duration::ZERO, |model| model.timeouts.total);
    let call = UpstreamCall {
        connector: &app.connector,
        request_id: &record.request_id.clone(),
        operation: request.operation,
        head: &request.head,
        body: &request.body,
        query: request.query.as_deref(),
        headers: &request.headers,
        deadline: record.started + total,
        answer_limit: usize::try_from(snapshot.limits.answer.0).unwrap_or(usize::MAX),
    };
    app.retry_budget.request(record.started);
    let run = Run { app, plan, request, call, retry_budget: snapshot.limits.retry_budget };
    let mut last = None;
    for model in &plan.models {
        if !enter(app, model, downstream, record).await? {
            continue;
        }
        if let Some(opened) = run.model(model, false, downstream, record, &mut last).await? {
            return Ok(opened);
        }
    }
    // Everything is cooling down: a try that may fail beats a refusal that has.
    if let Some(model) = plan.models.first().filter(|_| record.attempts == 0 && !record.passed_over)
        && let Some(opened) = run.model(model, true, downstream, record, &mut last).await?
    {
        return Ok(opened);
    }
    if last.is_none() && record.passed_over {
        return Err(GatewayError::Busy { model: request.head.model.clone() });
    }
    Err(give_up(last, request, record))
}

/// Takes a place among the model's requests in flight, after a wait in its queue if need be. False: the
/// next model's turn.
async fn enter(
    app: &App,
    model: &Model,
    downstream: &mut Downstream<'_>,
    record: &mut Record,
) -> Result<bool, GatewayError> {
    record.places = Places::default();
    let Some(limit) = &model.limit else { return Ok(true) };
    record.places.model = limit.try_enter();
    if record.places.model.is_some() {
        return Ok(true);
    }
    let priority = record.principal.as_ref().map_or_else(Priority::default, |principal| principal.priority);
    let since = Instant::now();
    let entered = match limit.line_up(priority) {
        Ok(mut waiting) => tokio::select! {
            biased;
            place = waiting.place(model.queue_wait) => place,
            () = downstream.gone() => return Err(GatewayError::ClientGone),
        },
        Err(shed) => Err(shed),
    };
    record.waited += since.elapsed();
    match entered {
        Ok(place) => record.places.model = Some(place),
        Err(shed) => {
            app.metrics.shed(shed.as_str());
            record.passed_over = true;
        }
    }
    Ok(record.places.model.is_some())
}

impl Run<'_> {
    /// All deployments of one model, each at most once. None: the next model's turn.
    async fn model(
        &self,
        model: &Arc<Model>,
        ignore_cooldown: bool,
        downstream: &mut Downstream<'_>,
        record: &mut Record,
        last: &mut Option<AttemptFailure>,
    ) -> Result<Option<Opened>, GatewayError> {
        let mut tried = vec![false; model.deployments.len()];
        loop {
            let now = Instant::now();
            let picked = model.balancer.pick(&model.deployments, |index| {
                !tried.get(index).copied().unwrap_or(true)
                    && model.deployments.get(index).is_some_and(|deployment| {
                        deployment.weight > 0
                            && (ignore_cooldown || !deployment.state.cooldown.is_open(now))
                            && providers::supports(self.request.operation, &deployment.provider.spec)
                    })
            });
            let Some((index, deployment)) =
                picked.and_then(|index| Some((index, model.deployments.get(index)?)))
            else {
                return Ok(None);
            };
            if let Some(tried) = tried.get_mut(index) {
                *tried = true;
            }
            record.places.deployment = deployment.limit.as_ref().and_then(InFlightLimit::try_enter);
            if deployment.limit.is_some() && record.places.deployment.is_none() {
                record.passed_over = true;
                continue;
            }
            // While half open only one request may probe; the others go on to the next deployment.
            if !ignore_cooldown && !deployment.state.cooldown.admit(now) {
                continue;
            }
            if last.is_some() && !self.may_fall_back(deployment) {
                return Err(give_up(last.take(), self.request, record));
            }
            match self.deployment(model, deployment, downstream, record).await? {
                Ok(opened) => return Ok(Some(opened)),
                Err(failure) => {
                    let is_over = matches!(failure.failure.retry, Retry::Never)
                        || failure.failure.kind == FailureKind::Total;
                    *last = Some(failure);
                    if is_over {
                        return Err(give_up(last.take(), self.request, record));
                    }
                }
            }
        }
    }

    /// Does another attempt fit into the retry budget?
    fn may_repeat(&self) -> bool {
        let fits = self.app.retry_budget.withdraw(self.retry_budget, Instant::now());
        if !fits {
            self.app.metrics.retry_budget_exhausted.inc();
        }
        fits
    }

    /// A deployment in good health is always asked, or a primary that dies under load would take requests
    /// down that the next could serve. One that fails itself is where storms come from.
    fn may_fall_back(&self, deployment: &Deployment) -> bool {
        if deployment.state.cooldown.is_failing() {
            return self.may_repeat();
        }
        self.app.retry_budget.repeat(Instant::now());
        true
    }

    /// Attempts at one deployment.
    async fn deployment(
        &self,
        model: &Arc<Model>,
        deployment: &Arc<Deployment>,
        downstream: &mut Downstream<'_>,
        record: &mut Record,
    ) -> Result<Result<Opened, AttemptFailure>, GatewayError> {
        // Also when all deployments of the first model are cooling down.
        record.fallback |= record.deployment.is_some()
            || self.plan.models.first().is_none_or(|first| !Arc::ptr_eq(first, model));
        record.deployment = Some(deployment.clone());
        let mut failed = 0;
        loop {
            record.attempts += 1;
            let attempt = Attempt {
                call: self.call,
                deployment,
                timeouts: &model.timeouts,
                drop_params: model.drop_params,
            };
            let outcome = tokio::select! {
                biased;
                outcome = attempt.run() => outcome,
                () = downstream.gone() => return Err(GatewayError::ClientGone),
            };
            record.waited += outcome.waited;
            let failure = match outcome.result {
                Ok(opened) => {
                    deployment.state.cooldown.succeeded();
                    deployment.series.answered(outcome.waited.as_secs_f64());
                    record.places.answered(outcome.waited, Instant::now());
                    return Ok(Ok(opened));
                }
                Err(failure) => failure,
            };
            failed += 1;
            observe(model, deployment, &failure);
            if failure.is_overload() {
                record.places.overloaded(Instant::now());
            }
            let wait = match failure.failure.retry {
                Retry::Here => model.backoff.wait(failed, fastrand::f64()),
                Retry::After(wait) => wait,
                Retry::Elsewhere | Retry::Never => return Ok(Err(failure)),
            };
            let time_left = self.call.deadline.saturating_duration_since(Instant::now());
            if failed >= model.attempts || wait >= time_left || self.app.is_draining() || !self.may_repeat() {
                return Ok(Err(failure));
            }
            let waiting = Instant::now();
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = downstream.gone() => return Err(GatewayError::ClientGone),
            }
            record.waited += waiting.elapsed();
        }
    }
}

/// Counts a failure, and takes the deployment out of the rotation when it is to blame.
fn observe(model: &Model, deployment: &Deployment, failure: &AttemptFailure) {
    deployment.series.failed(failure.failure.kind);
    let now = Instant::now();
    match failure.failure.kind {
        FailureKind::Rejected
        | FailureKind::ContextLength
        | FailureKind::Untranslatable
        | FailureKind::NotFound => {}
        FailureKind::Credential => deployment.state.cooldown.open(CREDENTIAL_COOLDOWN, now),
        _ => deployment.state.cooldown.failed(model.cooldown, now),
    }
    tracing::warn!(
        model = model.name.as_str(),
        deployment = deployment.id.as_str(),
        kind = failure.failure.kind.as_str(),
        status = failure.failure.status,
        "attempt failed"
    );
}

/// What the client is told when nobody answered.
fn give_up(last: Option<AttemptFailure>, request: &Request, record: &Record) -> GatewayError {
    let Some(AttemptFailure { failure, reply, param }) = last else {
        let reason = "no deployment of the model is available".to_owned();
        return GatewayError::UpstreamFailed { kind: FailureKind::Connect, reason };
    };
    let provider = record.deployment.as_ref().map(|deployment| &deployment.provider);
    match failure.kind {
        FailureKind::FirstToken | FailureKind::Idle | FailureKind::Total => {
            GatewayError::UpstreamTimeout { reason: failure.reason }
        }
        FailureKind::RateLimited => {
            let retry_after_ms = reply.and_then(|reply| reply.retry_after_ms);
            GatewayError::UpstreamRateLimited { reason: failure.reason, retry_after_ms }
        }
        FailureKind::Untranslatable => {
            GatewayError::BadRequest(providers::BadRequest { message: failure.reason, param })
        }
        FailureKind::Rejected | FailureKind::ContextLength | FailureKind::NotFound => match reply {
            Some(reply) => {
                let same_format = provider.is_some_and(|provider| {
                    provider.spec.format_for(request.operation) == request.operation.wire_format()
                });
                let leaks = provider.is_some_and(|provider| provider.is_leaked_in(&reply.body));
                let is_envelope = providers::is_error_envelope(request.operation.wire_format(), &reply.body);
                let body = (same_format && !leaks && is_envelope).then_some(reply.body);
                GatewayError::Rejected(Box::new(Rejection { status: reply.status, error: reply.error, body }))
            }
            None => GatewayError::UpstreamFailed { kind: failure.kind, reason: failure.reason },
        },
        kind => GatewayError::UpstreamFailed { kind, reason: failure.reason },
    }
}
