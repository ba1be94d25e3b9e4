//! What an admin path answers.

use http::StatusCode;
use serde::Serialize;

/// Status, content type and body.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) content_type: &'static str,
    pub(super) body: Vec<u8>,
}

impl Reply {
    pub(super) fn json(status: StatusCode, value: &impl Serialize) -> Self {
        // Strings and numbers always serialise.
        let body = serde_json::to_vec(value).unwrap_or_default();
        Self { status, content_type: "application/json", body }
    }

    pub(super) fn ok(value: &impl Serialize) -> Self {
        Self::json(StatusCode::OK, value)
    }

    pub(super) fn text(status: StatusCode, text: &str) -> Self {
        Self { status, content_type: "text/plain; charset=utf-8", body: text.into() }
    }
}
