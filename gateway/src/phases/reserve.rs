//! Do the tokens fit into the key's minute? Reserved by estimate now, settled by `record`.

use crate::error::GatewayError;
use crate::request::{Record, Request};

/// Reserves the estimate.
///
/// # Errors
/// [`GatewayError::RateLimited`] or [`GatewayError::ClusterAway`].
pub async fn run(request: &Request, record: &mut Record) -> Result<(), GatewayError> {
    // Counting costs no tokens.
    if request.operation.is_count() {
        return Ok(());
    }
    let tokens = request.prompt_tokens().saturating_add(request.completion_tokens());
    Ok(record.reserve_tokens(tokens).await?)
}
