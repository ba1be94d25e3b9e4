//! May this key ask now?

use std::time::Instant;

use crate::app::App;
use crate::error::GatewayError;
use crate::request::Record;
use crate::snapshot::{Principal, Snapshot};

/// Counts the request against the process's and the key's limits.
///
/// # Errors
/// [`GatewayError::Overloaded`] or [`GatewayError::RateLimited`].
pub fn run(
    app: &App,
    snapshot: &Snapshot,
    principal: &Principal,
    record: &mut Record,
) -> Result<(), GatewayError> {
    if app.metrics.in_flight.get() > i64::from(snapshot.limits.in_flight) {
        return Err(GatewayError::Overloaded);
    }
    if let Some(limits) = &principal.limits {
        record.parallel = Some(limits.admit(Instant::now()).map_err(GatewayError::RateLimited)?);
    }
    Ok(())
}
