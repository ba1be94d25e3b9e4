//! Do the tokens fit into the key's minute? Reserved by estimate now, settled by `record`.

use std::time::Instant;

use crate::error::GatewayError;
use crate::request::{Record, Request};
use crate::snapshot::Principal;

/// Four bytes of JSON a token is generous to the limit and close for English prose.
const BYTES_PER_TOKEN: u64 = 4;

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
        let prompt = request.body.len() as u64 / BYTES_PER_TOKEN;
        let completion = request.head.max_tokens.unwrap_or(0).saturating_mul(request.head.choices.max(1));
        let tokens = prompt.saturating_add(completion);
        let now = Instant::now();
        limits.reserve(now, tokens).map_err(GatewayError::RateLimited)?;
        record.reserved = Some((now, tokens));
    }
    Ok(())
}
