//! How the admin API says no: one envelope, with what to do about it.

use std::time::Duration;

use http::{HeaderName, HeaderValue, StatusCode, header};
use schemars::JsonSchema;
use serde::Serialize;
use store::StoreError;

use super::reply::Reply;
use crate::keys::Edit;

/// Why a call of the admin API is refused. Public API.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) status: StatusCode,
    kind: &'static str,
    code: &'static str,
    param: Option<String>,
    message: String,
    /// Boxed, since few have one.
    header: Option<Box<(HeaderName, HeaderValue)>>,
}

/// What a refused call answers. Public API.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct FaultBody {
    error: FaultDetails,
}

/// Why a call is refused.
#[derive(Debug, Serialize, JsonSchema)]
struct FaultDetails {
    /// What is wrong and what to do.
    message: String,
    #[serde(rename = "type")]
    kind: &'static str,
    /// The member or parameter that is wrong.
    param: Option<String>,
    code: &'static str,
}

impl Fault {
    fn new(status: StatusCode, kind: &'static str, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, kind, code, param: None, message: message.into(), header: None }
    }

    pub(super) fn invalid(param: Option<&str>, message: impl Into<String>) -> Self {
        let fault = Self::new(StatusCode::BAD_REQUEST, "invalid_request_error", "invalid_value", message);
        Self { param: param.map(str::to_owned), ..fault }
    }

    pub(super) fn unauthorized(message: &str) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "authentication_error", "invalid_admin_token", message)
    }

    pub(super) fn forbidden(message: &str) -> Self {
        Self::new(StatusCode::FORBIDDEN, "permission_error", "forbidden", message)
    }

    /// Come back after so long.
    pub(super) fn too_many(message: &str, wait: Duration) -> Self {
        let fault =
            Self::new(StatusCode::TOO_MANY_REQUESTS, "rate_limit_error", "rate_limit_exceeded", message);
        let seconds = HeaderValue::from(wait.as_secs().max(1));
        Self { header: Some(Box::new((header::RETRY_AFTER, seconds))), ..fault }
    }

    pub(super) fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "invalid_request_error", "not_found", message)
    }

    pub(super) fn method(allowed: &str) -> Self {
        let message = format!("This path takes {allowed} only.");
        let header = HeaderValue::try_from(allowed).ok().map(|allowed| Box::new((header::ALLOW, allowed)));
        let status = StatusCode::METHOD_NOT_ALLOWED;
        Self { header, ..Self::new(status, "invalid_request_error", "method_not_allowed", message) }
    }

    pub(super) fn too_large(limit: usize) -> Self {
        let message = format!("The body is longer than {limit} bytes: send less.");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "invalid_request_error", "request_too_large", message)
    }

    pub(super) fn too_slow() -> Self {
        let message = "The body did not arrive in time: send it at once.";
        Self::new(StatusCode::REQUEST_TIMEOUT, "timeout_error", "request_timeout", message)
    }

    pub(super) fn unavailable(message: &str) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "api_error", "unavailable", message)
    }

    pub(super) fn internal(message: &str) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "api_error", "internal_error", message)
    }

    /// Status and body.
    pub(super) fn reply(&self) -> Reply {
        let (message, param) = (self.message.clone(), self.param.clone());
        let error = FaultDetails { message, kind: self.kind, param, code: self.code };
        let reply = Reply::json(self.status, &FaultBody { error });
        self.header.iter().fold(reply, |reply, header| reply.with((**header).clone()))
    }
}

impl From<Edit> for Fault {
    fn from(edit: Edit) -> Self {
        Self::invalid(edit.param, edit.message)
    }
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        let message = format!("{error}.");
        let conflict =
            |code, message| Self::new(StatusCode::CONFLICT, "invalid_request_error", code, message);
        match error {
            StoreError::Conflict { field, .. } => {
                Self { param: Some(field), ..conflict("conflict", message) }
            }
            StoreError::MissingReference { field, .. } => Self::invalid(Some(&field), message),
            StoreError::Invalid { field, .. } => Self::invalid(Some(&field), message),
            StoreError::InUse { .. } => conflict("in_use", message),
            StoreError::Stale { .. } => conflict("changed_meanwhile", message),
            StoreError::NotFound { .. } => Self::not_found(message),
            error if error.is_transient() => Self::unavailable("The store does not answer: retry later."),
            error => {
                tracing::error!(%error, "the store failed a call of the admin API");
                Self::internal("The store reported an error: see the gateway's log.")
            }
        }
    }
}
