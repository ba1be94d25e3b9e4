//! Do the tokens fit into the key's minute? Reserved by estimate now, settled by `record`.

use std::time::Instant;

use crate::error::GatewayError;
use crate::keys::Principal;
use crate::request::{Record, Request};

/// Reserves the estimate.
///
/// # Errors
/// [`GatewayError::RateLimited`] or [`GatewayError::ClusterAway`].
pub async fn run(principal: &Principal, request: &Request, record: &mut Record) -> Result<(), GatewayError> {
    // Counting costs no tokens.
    if request.operation.is_count() {
        return Ok(());
    }
    if let Some(limits) = &principal.limits {
        let tokens = request.prompt_tokens().saturating_add(request.completion_tokens());
        record.reserved = Some(limits.reserve(Instant::now(), tokens).await?);
    }
    Ok(())
}
