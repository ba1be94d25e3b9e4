//! What a failed attempt means for its deployment.

use std::time::{Duration, Instant};

use domain::FailureKind;

use super::{AttemptFailure, Deployment};
use crate::snapshot::Model;

/// How a failed attempt was made.
#[derive(Clone, Copy)]
pub struct Seen {
    /// It was the probe of a half-open cooldown.
    pub probe: bool,
    /// The time spent waiting for it.
    pub waited: Duration,
    /// A stream was asked for.
    pub stream: bool,
}

/// Counts a failure, and takes the deployment out of the rotation when it is to blame.
pub fn observe(model: &Model, deployment: &Deployment, failure: &AttemptFailure, seen: Seen) {
    deployment.series.failed(failure.failure.kind);
    let now = Instant::now();
    match failure.failure.kind {
        // The request's fault; who finds it is alive.
        FailureKind::Rejected | FailureKind::ContextLength if seen.probe => {
            deployment.state.cooldown.succeeded();
        }
        FailureKind::Rejected
        | FailureKind::ContextLength
        | FailureKind::Untranslatable
        | FailureKind::NotFound => {}
        FailureKind::Credential => deployment.credential_refused(now),
        _ => {
            deployment.state.cooldown.failed(model.cooldown, now, seen.probe);
            deployment.state.failed_after(seen.waited, seen.stream, now);
        }
    }
    tracing::warn!(
        model = model.name.as_str(),
        deployment = deployment.id.as_str(),
        kind = failure.failure.kind.as_str(),
        status = failure.failure.status,
        "attempt failed"
    );
}
