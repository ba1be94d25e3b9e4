//! Which models, in which order?

use std::sync::Arc;
use std::time::Instant;

use domain::ModelName;

use crate::app::App;
use crate::error::GatewayError;
use crate::keys::Principal;
use crate::request::{Plan, Record, Request};
use crate::routing::{self, Cut, Decision, Fits, Route, Side};
use crate::snapshot::{Model, Snapshot};

/// Fallbacks of fallbacks are followed up to this many models.
const LONGEST_PLAN: usize = 8;

/// What a client asks for that leaves the choice to its key.
const DEFAULT_MODEL: &str = "default";

/// The model that was asked for, or the one that its route chooses, and behind it its fallbacks, and theirs.
///
/// # Errors
/// [`GatewayError::UnknownModel`], [`GatewayError::ModelNotAllowed`], [`GatewayError::Unsupported`].
pub fn run(
    app: &App,
    snapshot: &Snapshot,
    principal: &Principal,
    request: &Request,
    record: &mut Record,
) -> Result<Plan, GatewayError> {
    let asked = request.head.model.as_str();
    let default = principal.default_model.as_deref().filter(|_| asked == DEFAULT_MODEL);
    let wanted = default.unwrap_or(asked);
    let (model, cut) = find(snapshot, wanted).ok_or_else(|| {
        let known = snapshot.visible_names(principal);
        GatewayError::UnknownModel { model: wanted.to_owned(), known }
    })?;
    // A name of RouteLLM's stands for the route: who may use that may use it.
    let name = if cut.is_some() { model.name.as_str() } else { wanted };
    if !principal.may_use(name, snapshot.models.contains_key(name)) {
        return Err(GatewayError::ModelNotAllowed { model: wanted.to_owned() });
    }
    record.model = Some(model.clone());
    let mut models = Vec::with_capacity(2 + model.fallbacks.len());
    match &model.route {
        None => models.push(model),
        Some(route) => {
            let cut = cut.unwrap_or(route.cut);
            decide(app, snapshot, (&model, route), cut, request, record, &mut models);
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
fn find(snapshot: &Snapshot, wanted: &str) -> Option<(Arc<Model>, Option<Cut>)> {
    if let Some(model) = snapshot.model(wanted) {
        return Some((model, None));
    }
    let threshold = routing::named_threshold(wanted)?;
    Some((snapshot.only_route()?.clone(), Some(Cut::Threshold(threshold))))
}

/// The chosen model, and behind it the other one and the virtual model's own fallbacks.
fn decide(
    app: &App,
    snapshot: &Snapshot,
    (model, route): (&Arc<Model>, &Route),
    cut: Cut,
    request: &Request,
    record: &mut Record,
    models: &mut Vec<Arc<Model>>,
) {
    let started = Instant::now();
    let (strong, weak) = (concrete(snapshot, &route.strong), concrete(snapshot, &route.weak));
    let fits = |side: &Option<Arc<Model>>| {
        side.as_ref().is_some_and(|model| routing::fits(model, request.prompt_tokens(), started))
    };
    let fits = Fits { strong: fits(&strong), weak: fits(&weak) };
    let score = route.score(request);
    let (side, reason) = routing::decide(score, cut, fits);
    let sides = if side == Side::Strong { [strong, weak] } else { [weak, strong] };
    let own = model.fallbacks.iter().map(|name| concrete(snapshot, name));
    for next in sides.into_iter().chain(own).flatten() {
        if !models.iter().any(|known| known.name == next.name) {
            models.push(next);
        }
    }
    let chosen = route.name(side).clone();
    let metrics = &app.metrics.routes;
    let labels = [model.name.as_str(), chosen.as_str(), reason.as_str()];
    metrics.decisions.with_label_values(&labels).inc();
    metrics.seconds.with_label_values(&[model.name.as_str()]).observe(started.elapsed().as_secs_f64());
    record.routed = Some(Box::new(Decision { chosen, reason, score: score.ok(), cut }));
}

/// A model with deployments; of a virtual one its strong model.
fn concrete(snapshot: &Snapshot, name: &ModelName) -> Option<Arc<Model>> {
    let model = snapshot.models.get(name)?;
    let strong = model.route.as_ref().and_then(|route| snapshot.models.get(&route.strong));
    Some(strong.unwrap_or(model).clone())
}

/// Breadth first, each model once: a circle of fallbacks ends where it began.
fn append(snapshot: &Snapshot, models: &mut Vec<Arc<Model>>) {
    let mut next = 0;
    while let Some(model) = models.get(next).cloned() {
        for fallback in model.fallbacks.iter().filter_map(|name| concrete(snapshot, name)) {
            if models.len() < LONGEST_PLAN && !models.iter().any(|known| known.name == fallback.name) {
                models.push(fallback);
            }
        }
        next += 1;
    }
}
