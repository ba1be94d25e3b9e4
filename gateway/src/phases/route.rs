//! Which models, in which order?

use std::sync::Arc;
use std::time::Instant;

use crate::answer_cache::clock_ms;
use crate::app::App;
use crate::config::ShareOf;
use crate::error::GatewayError;
use crate::keys::Principal;
use crate::request::{Plan, Record, Request};
use crate::routing::{self, Decision, Objective, Prospect, Repeatable, Subject};
use crate::snapshot::{Model, Snapshot};

/// Fallbacks of fallbacks are followed up to this many models.
const LONGEST_PLAN: usize = 8;

/// What a client asks for that leaves the choice to its key.
const DEFAULT_MODEL: &str = "default";

/// The model that was asked for, or the one that its route chooses, and behind it its fallbacks, and theirs.
///
/// # Errors
/// [`GatewayError::UnknownModel`], [`GatewayError::ModelNotAllowed`], [`GatewayError::Unsupported`].
pub async fn run(
    app: &App,
    snapshot: &Snapshot,
    principal: &Principal,
    request: &Request,
    record: &mut Record,
) -> Result<Plan, GatewayError> {
    let asked = request.head.model.as_str();
    let default = principal.default_model.as_deref().filter(|_| asked == DEFAULT_MODEL);
    let wanted = default.unwrap_or(asked);
    let (model, objective) = find(snapshot, wanted).ok_or_else(|| {
        let known = snapshot.visible_names(principal);
        GatewayError::UnknownModel { model: wanted.to_owned(), known }
    })?;
    // A name of RouteLLM's stands for the route: who may use that may use it.
    let name = if objective.is_some() { model.name.as_str() } else { wanted };
    if !principal.may_use(name, snapshot.models.contains_key(name)) {
        return Err(GatewayError::ModelNotAllowed { model: wanted.to_owned() });
    }
    record.model = Some(model.clone());
    let mut models = Vec::with_capacity(2 + model.fallbacks.len());
    match &model.route {
        None => models.push(model),
        Some(route) => {
            let objective = objective.unwrap_or(route.objective);
            let subject = Subject { app, snapshot, model: &model, route, principal, request };
            // Boxed: most models have no route, and it would be part of every request's future.
            Box::pin(decide(&subject, objective, record, &mut models)).await;
            if record.routed.as_ref().is_some_and(|decision| decision.verdict.order.is_empty()) {
                return Err(GatewayError::ModelNotAllowed { model: wanted.to_owned() });
            }
        }
    }
    append(snapshot, &mut models);
    models.retain(|model| {
        // Where the provider does not count, we do.
        request.operation.is_count()
            || model
                .deployments
                .iter()
                .any(|deployment| providers::supports(request.operation, &deployment.provider.spec))
    });
    if models.is_empty() {
        return Err(GatewayError::Unsupported { model: wanted.to_owned() });
    }
    Ok(Plan { models, credentials: principal.credentials.clone() })
}

/// A model by its name, or the only route by one of RouteLLM's names, whose threshold is the cut.
fn find(snapshot: &Snapshot, wanted: &str) -> Option<(Arc<Model>, Option<Objective>)> {
    if let Some(model) = snapshot.model(wanted) {
        return Some((model, None));
    }
    let threshold = routing::named_threshold(wanted)?;
    Some((snapshot.only_route()?.clone(), Some(Objective::Threshold(threshold))))
}

/// The chosen model, and behind it the other candidates and the virtual model's own fallbacks.
async fn decide(
    subject: &Subject<'_>,
    objective: Objective,
    record: &mut Record,
    models: &mut Vec<Arc<Model>>,
) {
    let (app, snapshot, model) = (subject.app, subject.snapshot, subject.model);
    let started = Instant::now();
    let mut assessment = routing::assess(subject, objective, started).await;
    // Who counts a prompt has not asked yet.
    let is_count = subject.request.operation.is_count();
    let external = subject.route.to_pick_from(&assessment.evidence).filter(|_| !is_count);
    if let Some((external, open)) = external {
        let (client, name) = (&app.external, model.name.as_str());
        let waiting = Instant::now();
        let asked = (&assessment, subject.request.operation);
        // Boxed: few routes have one.
        let picked = Box::pin(external.pick(client, &app.metrics.routes, name, asked, &open)).await;
        record.waited += waiting.elapsed();
        assessment.evidence.external = picked;
    }
    record.waited += assessment.waited;
    let repeat_score = subject.route.repeat_score.filter(|_| !is_count);
    record.repeatable = repeat_score
        .and_then(|score| Repeatable::of(score, subject.principal, &model.name, &assessment.conversation));
    let (key, took) = (assessment.key, assessment.waited);
    let decision = Decision::of(assessment.evidence, subject.route.version.clone());
    for next in decision.models().chain(&model.fallbacks).filter_map(|name| snapshot.concrete(name)) {
        if !models.iter().any(|known| known.name == next.name) {
            models.push(next.clone());
        }
    }
    let metrics = &app.metrics.routes;
    metrics.decided(&subject.route.series, model.name.as_str(), &decision, started.elapsed());
    if let Some(stage1) = decision.evidence.stage1 {
        metrics.second_opinion(model.name.as_str(), stage1.outcome, took);
        if let Some(margin) = stage1.margin {
            app.hesitations.saw(model.name.as_str(), margin);
        }
    }
    if !is_count {
        if let (ShareOf::Traffic, Some(score)) = (subject.route.share_of, decision.evidence.score) {
            app.traffic.saw(model.name.as_str(), &subject.route.version, score.win);
        }
        record.shadowed = is_shadowed(subject, &decision, record);
        remember(subject, &decision, key, started, record);
    }
    record.routed = Some(Arc::new(decision));
}

/// Is the answer to be looked at again? Only where another model than the reference was chosen for its predicted quality.
fn is_shadowed(subject: &Subject<'_>, decision: &Decision, record: &Record) -> bool {
    let Some(shadow) = &subject.route.shadow else { return false };
    let is_others = |chosen: &Prospect| chosen.raw_quality.is_some() && chosen.model != shadow.reference;
    decision.chosen().is_some_and(is_others)
        && subject.app.shadows.samples(shadow, subject.principal, &record.request_id, clock_ms())
}

/// For the conversation's next request, and for who judges the answer.
fn remember(subject: &Subject<'_>, decision: &Decision, key: Option<u64>, now: Instant, record: &Record) {
    let Some(chosen) = decision.chosen() else { return };
    if let Some(key) = key {
        subject.app.conversations.goes_to(key, chosen.model.clone(), decision.evidence.tokens, now);
    }
    if let (Some(raw), Some(quality)) = (chosen.raw_quality, chosen.quality) {
        let learns = subject.route.recalibrate;
        let (id, route) = (&record.request_id, &subject.model.name);
        subject.app.calibrations.routed(subject.principal, id, route, (&chosen.model, raw, quality), learns);
    }
}

/// Breadth first, each model once: a circle of fallbacks ends where it began.
fn append(snapshot: &Snapshot, models: &mut Vec<Arc<Model>>) {
    let mut next = 0;
    while let Some(model) = models.get(next).cloned() {
        for fallback in model.fallbacks.iter().filter_map(|name| snapshot.concrete(name)) {
            if models.len() < LONGEST_PLAN && !models.iter().any(|known| known.name == fallback.name) {
                models.push(fallback.clone());
            }
        }
        next += 1;
    }
}
