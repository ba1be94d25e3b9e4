//! Attempts, retries, fallbacks, until an answer has begun.

mod hedge;

use std::sync::Arc;
use std::time::{Duration, Instant};

use domain::{FailureKind, Retry};

use crate::affinity;
use crate::app::App;
use crate::claim::Claim;
use crate::client::Client;
use crate::config::Priority;
use crate::error::{GatewayError, Rejection};
use crate::limits::Places;
use crate::request::{Plan, Record, Request};
use crate::snapshot::{Model, Snapshot};
use crate::upstream::{
    Attempt, AttemptFailure, Demand, Deployment, DeploymentSet, Full, Leniency, Opened, Permit, Seen,
    Selection, UpstreamCall, connect_failure, observe,
};

use hedge::Second;

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
    client: &mut impl Client,
    record: &mut Record,
) -> Result<Opened, GatewayError> {
    let request_id = record.request_id.clone();
    let call = request.upstream_call(app, snapshot, plan, &request_id, record.started);
    app.retry_budget.request(record.started);
    if let Some(hedge) = plan.models.first().and_then(|model| model.hedge.as_ref()) {
        hedge.budget.request();
    }
    let run = Run { app, plan, request, call, retry_budget: snapshot.limits.retry_budget };
    let mut last = None;
    // The window, in tokens, that the prompt did not fit into.
    let mut outgrown: Option<Option<u32>> = None;
    let mut tried = vec![DeploymentSet::default(); plan.models.len()];
    for leniency in [Leniency::None, Leniency::Quota, Leniency::Cooldown] {
        // A cooldown is overlooked only when nobody could be asked, and for the first model.
        let models = if leniency == Leniency::Cooldown { 1 } else { plan.models.len() };
        if leniency == Leniency::Cooldown && (record.attempts > 0 || record.passed_over) {
            break;
        }
        for (model, tried) in plan.models.iter().zip(&mut tried).take(models) {
            if outgrown.is_some_and(|outgrown| !is_larger(model, outgrown)) {
                continue;
            }
            let turn = Turn { model, selection: run.selection(model), leniency };
            // Nobody waits for a place at a model that has no one to call.
            if !turn.selection.has_candidate(tried, leniency, Instant::now()) {
                continue;
            }
            if !enter(app, model, client, record).await? {
                // Nor does anybody line up twice.
                (0..model.deployments.len()).for_each(|index| tried.insert(index));
                continue;
            }
            if let Some(opened) = run.model(&turn, tried, client, record, &mut last).await? {
                return Ok(opened);
            }
            if last.as_ref().is_some_and(AttemptFailure::is_context_length) {
                outgrown = Some(window(model));
            }
        }
    }
    let limited_for = |model: &Arc<Model>| run.selection(model).limited_for(Instant::now());
    if record.attempts == 0
        && !record.passed_over
        && let Some(retry_after) = plan.models.iter().filter_map(limited_for).min()
    {
        return Err(GatewayError::DeploymentsExhausted { retry_after });
    }
    if last.is_none() && record.passed_over {
        return Err(GatewayError::Busy { model: request.head.model.clone() });
    }
    if last.is_none() && plan.models.iter().all(|model| run.selection(model).lacks_credential()) {
        let reason = "there is no credential for it that this key may use: its operator has to add one";
        return Err(GatewayError::UpstreamFailed {
            kind: FailureKind::Credential,
            reason: reason.to_owned(),
        });
    }
    Err(give_up(last, request, record))
}

/// Takes a place among the model's requests in flight, after a wait in its queue if need be. False: the
/// next model's turn.
async fn enter(
    app: &App,
    model: &Model,
    client: &mut impl Client,
    record: &mut Record,
) -> Result<bool, GatewayError> {
    record.places = Places::default();
    let Some(limit) = &model.limit else { return Ok(true) };
    record.places.model = limit.try_enter();
    if record.places.model.is_some() {
        return Ok(true);
    }
    let priority = record.principal.as_ref().map_or_else(Priority::default, |principal| principal.priority);
    let (since, wait) = (Instant::now(), app.gate.wait_left(model.queue_wait));
    let entered = match limit.line_up(priority, wait, since) {
        Ok(mut waiting) => tokio::select! {
            biased;
            place = waiting.place(wait) => place,
            () = client.gone() => return Err(GatewayError::ClientGone),
        },
        Err(shed) => Err(shed),
    };
    record.waited += since.elapsed();
    match entered {
        Ok(place) => record.places.model = Some(place),
        Err(shed) => {
            app.metrics.overload.shed(shed.as_str());
            record.passed_over = true;
        }
    }
    Ok(record.places.model.is_some())
}

impl Run<'_> {
    fn selection<'m>(&'m self, model: &'m Model) -> Selection<'m> {
        let demand = Demand {
            stream: self.request.head.stream,
            prompt: self.request.prompt_tokens(),
            completion: self.request.completion_tokens(),
            affinity: affinity::key(model.affinity, self.request),
        };
        Selection {
            deployments: &model.deployments,
            operation: self.request.operation,
            demand,
            credentials: self.plan.credentials.as_deref(),
        }
    }

    /// All deployments of one model, each at most once. None: the next model's turn.
    async fn model(
        &self,
        turn: &Turn<'_>,
        tried: &mut DeploymentSet,
        client: &mut impl Client,
        record: &mut Record,
        last: &mut Option<AttemptFailure>,
    ) -> Result<Option<Opened>, GatewayError> {
        let Turn { model, selection, leniency } = *turn;
        loop {
            let now = Instant::now();
            let picked = selection.pick(&model.balancer, tried, leniency, now);
            let Some((index, deployment)) =
                picked.and_then(|index| Some((index, model.deployments.get(index)?)))
            else {
                return Ok(None);
            };
            tried.insert(index);
            record.places.deployment = match deployment.enter() {
                Ok(place) => place,
                Err(Full) => {
                    record.passed_over = true;
                    continue;
                }
            };
            // While half open only one request may probe; the others go on to the next deployment.
            let permit = deployment.state.cooldown.admit(now);
            if permit.is_none() && leniency != Leniency::Cooldown {
                continue;
            }
            if last.is_some() && !self.may_fall_back(deployment) {
                return Err(give_up(last.take(), self.request, record));
            }
            let probe = permit.as_ref().is_some_and(Permit::is_probe);
            match self.deployment(model, deployment, probe, tried, client, record).await? {
                Ok(opened) => return Ok(Some(opened)),
                Err(failure) => {
                    if failure.is_context_length() && self.has_larger(model) {
                        *last = Some(failure);
                        return Ok(None);
                    }
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

    /// A later model of the plan may take a prompt that is too long for this one.
    fn has_larger(&self, model: &Arc<Model>) -> bool {
        let later = self.plan.models.iter().skip_while(|other| !Arc::ptr_eq(other, model)).skip(1);
        later.into_iter().any(|other| is_larger(other, window(model)))
    }

    /// Does another attempt fit into the retry budget?
    fn may_repeat(&self) -> bool {
        let fits = self.app.retry_budget.withdraw(self.retry_budget, Instant::now());
        if !fits {
            self.app.metrics.overload.retry_budget_exhausted.inc();
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

    /// An answer has begun.
    fn answered(&self, model: &Model, answers: Answers, waited: Duration, record: &mut Record) {
        let (deployment, now) = (answers.deployment, Instant::now());
        let stream = self.request.head.stream;
        deployment.state.cooldown.succeeded();
        deployment.state.latency(stream).observe(waited, now);
        if model.hedge.is_some() {
            deployment.state.quantiles(stream).observe(waited);
        }
        deployment.series.answered(waited.as_secs_f64());
        record.places.answered(waited, now);
        (record.taken, record.reservation) = answers.claim.answered();
        record.deployment = Some(deployment);
    }

    /// The books of a race: who is left to answer for the request, and what became of the other.
    fn settle_race(&self, model: &Model, first: Answers, second: Second, record: &mut Record) -> Answers {
        record.attempts += 1;
        self.app.metrics.hedges.with_label_values(&[if second.won { "won" } else { "lost" }]).inc();
        let (answers, other) = if second.won { (second.answers, first) } else { (first, second.answers) };
        match &second.failure {
            Some((failure, _)) => other.claim.failed(failure.failure.kind),
            None => other.claim.abandon("hedge_lost", false),
        }
        if let Some((failure, waited)) = second.failure {
            let seen = Seen { probe: false, waited, stream: self.request.head.stream };
            observe(model, &other.deployment, &failure, seen);
        }
        if second.won {
            record.fallback |= !Arc::ptr_eq(&answers.deployment, &other.deployment);
            record.places.deployment = second.place;
        }
        answers
    }

    /// Attempts at one deployment.
    async fn deployment(
        &self,
        model: &Arc<Model>,
        deployment: &Arc<Deployment>,
        probe: bool,
        tried: &DeploymentSet,
        client: &mut impl Client,
        record: &mut Record,
    ) -> Result<Result<Opened, AttemptFailure>, GatewayError> {
        // Also when all deployments of the first model are cooling down.
        record.fallback |= record.deployment.is_some()
            || self.plan.models.first().is_none_or(|first| !Arc::ptr_eq(first, model));
        record.deployment = Some(deployment.clone());
        let mut failed = 0;
        loop {
            let Some(claim) = Claim::of(self.request, model, deployment, record).await? else {
                let failure =
                    connect_failure(FailureKind::RateLimited, "its configured rpm or tpm is used up");
                return Ok(Err(failure.into()));
            };
            record.attempts += 1;
            let attempt = Attempt {
                call: self.call,
                deployment,
                timeouts: &model.timeouts,
                drop_params: model.drop_params,
                sent: claim.sent(),
            };
            let raced = tokio::select! {
                biased;
                raced = self.race(model, &attempt, tried, record) => raced,
                () = client.gone() => {
                    claim.abandon(GatewayError::ClientGone.face().label, true);
                    return Err(GatewayError::ClientGone);
                }
            };
            let outcome = raced.outcome;
            record.waited += raced.waited;
            let mut answers = Answers { deployment: deployment.clone(), claim };
            if let Some(second) = raced.second {
                answers = self.settle_race(model, answers, second, record);
            }
            let deployment = &answers.deployment;
            let failure = match outcome.result {
                Ok(opened) => {
                    self.answered(model, answers, outcome.waited, record);
                    return Ok(Ok(opened));
                }
                Err(failure) => failure,
            };
            failed += 1;
            answers.claim.failed(failure.failure.kind);
            let seen = Seen { probe, waited: outcome.waited, stream: self.request.head.stream };
            observe(model, deployment, &failure, seen);
            if failure.is_overload() {
                record.places.overloaded(Instant::now());
            }
            // Another credential has limits of its own.
            let is_limited = failure.failure.kind == FailureKind::RateLimited;
            if is_limited && self.selection(model).has_sibling(deployment, tried, Instant::now()) {
                return Ok(Err(failure));
            }
            let wait = match failure.failure.retry {
                Retry::Here => model.backoff.wait(failed, fastrand::f64()),
                Retry::After(wait) => wait,
                Retry::Elsewhere | Retry::Never => return Ok(Err(failure)),
            };
            let time_left = self.call.deadline.saturating_duration_since(Instant::now());
            // A probe has its verdict; the next one comes when its time has come.
            let is_last = probe || failed >= model.attempts || wait >= time_left || self.app.is_draining();
            if is_last || !self.may_repeat() {
                return Ok(Err(failure));
            }
            let waiting = Instant::now();
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = client.gone() => return Err(GatewayError::ClientGone),
            }
            record.waited += waiting.elapsed();
        }
    }
}

/// One model's turn to answer.
struct Turn<'a> {
    model: &'a Arc<Model>,
    selection: Selection<'a>,
    leniency: Leniency,
}

/// Whose answer counts.
struct Answers {
    deployment: Arc<Deployment>,
    claim: Claim,
}

/// The longest prompt a model takes, in tokens, where the catalogue knows.
fn window(model: &Model) -> Option<u32> {
    let windows = model.deployments.iter().map(|deployment| deployment.spec?.context_tokens);
    windows.collect::<Option<Vec<u32>>>()?.into_iter().max()
}

/// An unknown window is worth a try.
fn is_larger(model: &Model, outgrown: Option<u32>) -> bool {
    match (window(model), outgrown) {
        (Some(window), Some(outgrown)) => window > outgrown,
        _ => true,
    }
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
