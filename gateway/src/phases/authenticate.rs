//! Who asks? A virtual key in any of the four headers that clients use.

use std::sync::Arc;

use crate::app::App;
use crate::edge::Downstream;
use crate::error::GatewayError;
use crate::keys::Principal;
use crate::ledger::now_ms;
use crate::snapshot::Snapshot;

/// The principal behind the request's key.
///
/// # Errors
/// [`GatewayError::Unauthenticated`], [`GatewayError::KeyInactive`], or [`GatewayError::TooManyFailures`] for an address that guesses.
pub fn run(
    app: &App,
    snapshot: &Snapshot,
    downstream: &Downstream<'_>,
) -> Result<Arc<Principal>, GatewayError> {
    let key = key(downstream);
    if let Some(principal) = snapshot.keys.find(key) {
        return Ok(principal.clone());
    }
    match key.and_then(|key| app.stored_keys.find(key, now_ms())) {
        Some(Ok(principal)) => return Ok(principal),
        Some(Err(inactive)) => return Err(GatewayError::KeyInactive(inactive)),
        None => {}
    }
    // A gateway whose store has had a key is not open, not even when that key is deleted.
    if let Some(open) = snapshot.keys.open().filter(|_| app.stored_keys.were_never_any()) {
        return Ok(open.clone());
    }
    if app.guess_limiter.failed(downstream.client_ip(), snapshot.limits.failed_auth) {
        return Err(GatewayError::TooManyFailures);
    }
    Err(GatewayError::Unauthenticated { given: key.is_some() })
}

/// OpenAI's, Anthropic's, Azure's and Google's way of sending a key.
fn key<'a>(downstream: &'a Downstream<'_>) -> Option<&'a [u8]> {
    let bearer = downstream.header("authorization").and_then(|value| {
        let (scheme, key) = value.split_at_checked(7)?;
        scheme.eq_ignore_ascii_case(b"bearer ").then(|| key.trim_ascii())
    });
    let plain = || {
        ["x-api-key", "api-key", "x-goog-api-key"]
            .into_iter()
            .find_map(|name| downstream.header(name))
            .map(<[u8]>::trim_ascii)
    };
    bearer.or_else(plain).filter(|key| !key.is_empty())
}
