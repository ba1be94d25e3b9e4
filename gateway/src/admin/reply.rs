//! What an admin path answers.

use http::{HeaderName, HeaderValue, StatusCode};
use schemars::JsonSchema;
use serde::Serialize;

/// Status, content type and body.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) content_type: &'static str,
    pub(super) body: Vec<u8>,
    /// Beside those of every answer.
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
}

impl Reply {
    pub(super) fn new(status: StatusCode, content_type: &'static str, body: Vec<u8>) -> Self {
        Self { status, content_type, body, headers: Vec::new() }
    }

    pub(super) fn json(status: StatusCode, value: &impl Serialize) -> Self {
        // Strings and numbers always serialise.
        let body = serde_json::to_vec(value).unwrap_or_default();
        Self::new(status, "application/json", body)
    }

    pub(super) fn ok(value: &impl Serialize) -> Self {
        Self::json(StatusCode::OK, value)
    }

    pub(super) fn text(status: StatusCode, text: &str) -> Self {
        Self::new(status, "text/plain; charset=utf-8", text.into())
    }

    /// With one more header.
    pub(super) fn with(mut self, header: (HeaderName, HeaderValue)) -> Self {
        self.headers.push(header);
        self
    }
}

/// A page of a list. Public API.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Page<T> {
    data: Vec<T>,
    /// The `after` or `before` of the next page; null on the last one.
    next: Option<String>,
}

impl<T> Page<T> {
    /// Of so many rows at most; `id` is that of a row.
    pub(super) fn of<R>(rows: &[R], limit: u32, id: impl Fn(&R) -> &str, view: impl Fn(&R) -> T) -> Self {
        let next = rows.last().filter(|_| rows.len() == limit as usize).map(|row| id(row).to_owned());
        Self { data: rows.iter().map(view).collect(), next }
    }
}

/// What was deleted. Public API.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Deleted {
    id: String,
    /// Always true.
    deleted: bool,
}

impl Deleted {
    pub(super) fn reply(id: String) -> Reply {
        Reply::ok(&Self { id, deleted: true })
    }
}
