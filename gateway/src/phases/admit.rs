//! May this key ask now?

use std::time::Instant;

use crate::app::App;
use crate::config::LimitConfig;
use crate::error::GatewayError;
use crate::keys::Principal;
use crate::request::Record;
use crate::snapshot::Snapshot;

/// Counts the request against the process's and the key's limits.
///
/// # Errors
/// [`GatewayError::Overloaded`], [`GatewayError::RateLimited`] or [`GatewayError::ClusterAway`].
pub async fn run(
    app: &App,
    snapshot: &Snapshot,
    principal: &Principal,
    record: &mut Record,
) -> Result<(), GatewayError> {
    let LimitConfig { in_flight, shed_lag, .. } = snapshot.limits;
    match app.gate.admit(principal.priority, in_flight, shed_lag.0) {
        Ok(admitted) => record.admitted = Some(admitted),
        Err(closed) => {
            app.metrics.overload.shed(closed.as_str());
            return Err(GatewayError::Overloaded);
        }
    }
    if let Some(limits) = &principal.counters.limits {
        record.parallel = Some(limits.admit(Instant::now()).await?);
    }
    Ok(())
}
