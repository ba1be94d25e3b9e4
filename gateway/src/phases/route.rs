//! Which models, in which order?

use std::sync::Arc;

use domain::ModelName;

use crate::error::GatewayError;
use crate::keys::Principal;
use crate::request::{Plan, Record, Request};
use crate::snapshot::{Model, Snapshot};

/// Fallbacks of fallbacks are followed up to this many models.
const LONGEST_PLAN: usize = 8;

/// What a client asks for that leaves the choice to its key.
const DEFAULT_MODEL: &str = "default";

/// The model that was asked for, and behind it its fallbacks, and theirs.
///
/// # Errors
/// [`GatewayError::UnknownModel`], [`GatewayError::ModelNotAllowed`], [`GatewayError::Unsupported`].
pub fn run(
    snapshot: &Snapshot,
    principal: &Principal,
    request: &Request,
    record: &mut Record,
) -> Result<Plan, GatewayError> {
    let asked = request.head.model.as_str();
    let default = principal.default_model.as_deref().filter(|_| asked == DEFAULT_MODEL);
    let wanted = default.unwrap_or(asked);
    let public = snapshot.models.contains_key(wanted);
    let Some(model) = snapshot.model(wanted) else {
        let known = snapshot.visible_names(principal);
        return Err(GatewayError::UnknownModel { model: wanted.to_owned(), known });
    };
    if !principal.may_use(wanted, public) {
        return Err(GatewayError::ModelNotAllowed { model: wanted.to_owned() });
    }
    record.model = Some(model.clone());
    let mut models = Vec::with_capacity(1 + model.fallbacks.len());
    append(snapshot, model, &mut models);
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

/// Breadth first, each model once: a circle of fallbacks ends where it began.
fn append(snapshot: &Snapshot, first: Arc<Model>, models: &mut Vec<Arc<Model>>) {
    let concrete = |name: &ModelName| {
        let model = snapshot.models.get(name)?;
        Some(model.strong.as_ref().and_then(|strong| snapshot.models.get(strong)).unwrap_or(model).clone())
    };
    let first = first.strong.as_ref().and_then(concrete).unwrap_or(first);
    models.push(first);
    let mut next = 0;
    while let Some(model) = models.get(next).cloned() {
        for fallback in model.fallbacks.iter().filter_map(concrete) {
            if models.len() < LONGEST_PLAN && !models.iter().any(|known| known.name == fallback.name) {
                models.push(fallback);
            }
        }
        next += 1;
    }
}
