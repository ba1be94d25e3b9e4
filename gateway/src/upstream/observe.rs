//! What a failed attempt means for its deployment.

use std::time::{Duration, Instant};

use domain::FailureKind;

use super::{AttemptFailure, Deployment};
use crate::snapshot::Model;

/// A credential that the provider refuses stays refused for a while.
const CREDENTIAL_COOLDOWN: Duration = Duration::from_secs(60);

/// Counts a failure, and takes the deployment out of the rotation when it is to blame.
pub fn observe(
    model: &Model,
    deployment: &Deployment,
    failure: &AttemptFailure,
    waited: Duration,
    stream: bool,
) {
    deployment.series.failed(failure.failure.kind);
    let now = Instant::now();
    match failure.failure.kind {
        FailureKind::Rejected
        | FailureKind::ContextLength
        | FailureKind::Untranslatable
        | FailureKind::NotFound => {}
        FailureKind::Credential => deployment.state.cooldown.open(CREDENTIAL_COOLDOWN, now),
        _ => {
            deployment.state.cooldown.failed(model.cooldown, now);
            deployment.state.failed_after(waited, stream, now);
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
