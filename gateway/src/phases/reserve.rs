//! Do the tokens fit into the key's minute? Reserved by estimate now, settled by `record`.

use std::time::Instant;

use crate::error::GatewayError;
use crate::keys::Principal;
use crate::request::{Record, Request};

/// Reserves the estimate.
///
/// # Errors
/// [`GatewayError::RateLimited`].
pub fn run(principal: &Principal, request: &Request, record: &mut Record) -> Result<(), GatewayError> {
    // Counting costs no tokens.
    if request.operation.is_count() {
        return Ok(());
    }
    if let Some(limits) = &principal.limits {
        let tokens = request.prompt_tokens().saturating_add(request.completion_tokens());
        let now = Instant::now();
        limits.reserve(now, tokens).map_err(GatewayError::RateLimited)?;
        record.reserved = Some((now, tokens));
    }
    Ok(())
}
