//! Questions about the mock itself: `/_mock/*` and `/health`.

use serde::Serialize;

use crate::answer::Refusal;
use crate::request::{Context, Request};
use crate::script::Whole;

/// Answers a control request.
pub(crate) fn answer(context: &Context<'_>, request: &Request<'_>) -> Result<Whole, Refusal> {
    let state = context.state;
    match (request.method, request.path) {
        ("GET", "/_mock/requests") => Ok(json(&state.ring.all())),
        ("GET", "/_mock/stats") => Ok(json(&state.counters.stats())),
        ("POST", "/_mock/clear") => {
            state.clear();
            Ok(Whole::json(200, b"{}".to_vec()))
        }
        ("GET", "/health") => Ok(Whole::json(200, br#"{"status":"ok"}"#.to_vec())),
        (method, path) => Err(Refusal::unknown_path(method, path)),
    }
}

fn json(value: &impl Serialize) -> Whole {
    // Only maps with keys that are not strings fail, and there are none.
    Whole::json(200, serde_json::to_vec(value).unwrap_or_default())
}
