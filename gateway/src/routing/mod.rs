//! Which model should answer? A virtual model's route asks a classifier how much better its strong model would do, and
//! sends a request there only when that is worth it. Decisions are pure; the classifier is crate `router-model`.

mod classifier;
mod decision;
mod named;
mod prompt;
pub mod simulation;

pub use classifier::{BUILTIN, Classifiers, load};
pub use decision::{Cut, Decision, Fits, Reason, Score, Side, decide};
pub use named::threshold as named_threshold;
pub use prompt::last_user_text;

use std::sync::Arc;
use std::time::Instant;

use domain::ModelName;
use router_model::score::RouteModel;

use crate::request::Request;
use crate::snapshot::Model;

/// The rule of a virtual model, resolved.
#[derive(Debug)]
pub struct Route {
    /// For what the classifier finds hard.
    pub strong: ModelName,
    /// For the rest.
    pub weak: ModelName,
    /// Where the one ends and the other begins.
    pub cut: Cut,
    /// None when its file cannot be used: then everything goes to the strong model.
    pub classifier: Option<Arc<RouteModel>>,
}

impl Route {
    /// The name of a side's model.
    pub fn name(&self, side: Side) -> &ModelName {
        match side {
            Side::Strong => &self.strong,
            Side::Weak => &self.weak,
        }
    }

    /// Scores a prompt.
    ///
    /// # Errors
    /// The reason why there is no score.
    pub fn score(&self, request: &Request) -> Result<Score, Reason> {
        let classifier = self.classifier.as_ref().ok_or(Reason::NoClassifier)?;
        let text = last_user_text(&request.body).ok_or(Reason::NoText)?;
        let scores = classifier.score(&text).map_err(|problem| {
            tracing::warn!(%problem, "the router's model has no score for a prompt");
            Reason::BadScore
        })?;
        Ok(Score { win: scores.strong_win(), quantile: scores.quantile() })
    }
}

/// Could this model take such a prompt now?
pub fn fits(model: &Model, prompt_tokens: u64, now: Instant) -> bool {
    model.deployments.iter().any(|deployment| {
        let context = deployment.spec.and_then(|spec| spec.context_tokens);
        deployment.weight > 0
            && deployment.state.cooldown.may_admit(now)
            && context.is_none_or(|context| prompt_tokens <= u64::from(context))
    })
}
