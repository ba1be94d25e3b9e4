//! Everything that can end a request badly, and the one place that says how a client is told.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use domain::FailureKind;
use providers::{BadRequest, ClientError, ProviderError, WireFormat};

use crate::budgets::Spent;
use crate::keys::Inactive;
use crate::ledger::Refused;
use crate::limits::{Denied, Refusal};

/// Why a request gets no answer.
#[derive(Clone, Debug, thiserror::Error)]
pub enum GatewayError {
    /// No key, or one we do not know.
    #[error("{}", if *.given { "The API key is not known here: check the key." } else { "No API key was given: send it as `Authorization: Bearer KEY`, `x-api-key`, `api-key` or `x-goog-api-key`." })]
    Unauthenticated {
        /// A key was sent.
        given: bool,
    },
    /// A key that is known and may not be used now.
    #[error("{0}")]
    KeyInactive(Inactive),
    /// Too many failed authentications from one address.
    #[error("Too many failed authentications from this address: wait, and check the key.")]
    TooManyFailures,
    /// The key may not use the model.
    #[error("The API key may not use the model `{model}`: ask for another model or have it allowed.")]
    ModelNotAllowed {
        /// What was asked for.
        model: String,
    },
    /// No such model.
    #[error("The model `{model}` does not exist here. Known models: {known}.")]
    UnknownModel {
        /// What was asked for.
        model: String,
        /// What this key may ask for.
        known: String,
    },
    /// No such path.
    #[error(
        "There is nothing at {method} {path}: POST /v1/chat/completions, /v1/responses, /v1/completions, /v1/embeddings, /v1/messages or /v1beta/models/{{model}}:generateContent, or GET /v1/models."
    )]
    UnknownPath {
        /// The request's method.
        method: String,
        /// The request's path.
        path: String,
    },
    /// The path exists for another method.
    #[error("{path} does not take {method}: use {allowed}.")]
    MethodNotAllowed {
        /// The request's method.
        method: String,
        /// The request's path.
        path: String,
        /// What it takes.
        allowed: &'static str,
    },
    /// The request contradicts itself on the wire.
    #[error("{0}")]
    Framing(&'static str),
    /// The header is too long.
    #[error(
        "The request header is longer than {limit} bytes or has more than {fields} fields, the limits of this gateway (limits.header, limits.headers)."
    )]
    HeaderTooLarge {
        /// The limit in bytes.
        limit: u64,
        /// The limit in fields.
        fields: u32,
    },
    /// The body cannot be used.
    #[error("{}", .0.message)]
    BadRequest(BadRequest),
    /// The body is too long.
    #[error("The request body is longer than {limit} bytes, the limit of this gateway (limits.body).")]
    BodyTooLarge {
        /// The limit in bytes.
        limit: u64,
    },
    /// The client was too slow.
    #[error("The request body did not arrive in time (limits.body_time).")]
    BodyTimeout,
    /// A limit of the virtual key.
    #[error("The API key's limit of {} {} {} is reached: retry in {} s.", .0.limit, .0.what, if .0.what == "parallel requests" { "at once" } else { "per minute" }, seconds(.0.retry_after))]
    RateLimited(Refusal),
    /// The money of the key, its team or its user is spent.
    #[error("The budget of {} USD is spent until {}: have it raised, or wait.", .0.limit, date(.0.until))]
    BudgetSpent(Spent),
    /// What is left of the money is held by requests that run.
    #[error("The rest of the budget of {} USD is held by requests that run: retry shortly.", .0.limit)]
    BudgetHeld(Spent),
    /// The spend could not be written down.
    #[error("The gateway cannot write its ledger (disk full, or the store away for too long): retry later.")]
    LedgerFull,
    /// Nobody can say whether a limit is reached.
    #[error("The gateways' shared limits cannot be checked (cluster, when_away: refuse): retry shortly.")]
    ClusterAway,
    /// Too many requests in flight in this process.
    #[error("The gateway is at its limit of requests in flight: retry shortly.")]
    Overloaded,
    /// Too many requests in flight for one model.
    #[error("The model `{model}` is at its limit of requests in flight (max_in_flight): retry shortly.")]
    Busy {
        /// What was asked for.
        model: String,
    },
    /// None of the model's deployments can do this.
    #[error("No deployment of the model `{model}` supports this operation: ask for another model.")]
    Unsupported {
        /// What was asked for.
        model: String,
    },
    /// The provider refuses the request itself.
    #[error("{}", .0.error.message)]
    Rejected(Box<Rejection>),
    /// Every deployment is rate-limited.
    #[error("Every deployment of the model is rate-limited by its provider. The last one said: {reason}")]
    UpstreamRateLimited {
        /// The last provider's reason.
        reason: String,
        /// What it asked for, in milliseconds.
        retry_after_ms: Option<u64>,
    },
    /// Every deployment is at a limit that the configuration sets.
    #[error("Every deployment of the model is at its configured rpm or tpm: retry in {} s.", seconds(*.retry_after))]
    DeploymentsExhausted {
        /// When to come back.
        retry_after: Duration,
    },
    /// Every deployment failed.
    #[error("Every deployment of the model failed. The last failure: {reason}")]
    UpstreamFailed {
        /// The last kind.
        kind: FailureKind,
        /// The last reason.
        reason: String,
    },
    /// Every deployment was too slow.
    #[error("The model did not answer in time: {reason}")]
    UpstreamTimeout {
        /// The last reason.
        reason: String,
    },
    /// A kept answer was wanted, or none.
    #[error(
        "No answer to this request is kept, and `only-if-cached` forbids to ask a provider: send it without."
    )]
    NotKept,
    /// The client left.
    #[error("The client closed the connection.")]
    ClientGone,
}

/// A provider's refusal.
#[derive(Clone, Debug)]
pub struct Rejection {
    /// The provider's status.
    pub status: u16,
    /// What it said.
    pub error: ProviderError,
    /// Its body, when it can be given on as it is.
    pub body: Option<Bytes>,
}

/// How one error looks outside.
pub struct Face {
    /// HTTP status.
    pub status: u16,
    /// OpenAI's `error.type`.
    pub kind: &'static str,
    /// OpenAI's `error.code`.
    pub code: Option<&'static str>,
    /// The metric label.
    pub label: &'static str,
}

impl GatewayError {
    /// No provider gave an answer, and another time one may.
    pub fn is_upstreams(&self) -> bool {
        matches!(
            self,
            Self::UpstreamFailed { .. }
                | Self::UpstreamTimeout { .. }
                | Self::UpstreamRateLimited { .. }
                | Self::DeploymentsExhausted { .. }
        )
    }

    /// It concerns who asked, and not those who ask the same.
    pub fn is_askers(&self) -> bool {
        matches!(
            self,
            Self::RateLimited(_)
                | Self::BudgetSpent(_)
                | Self::BudgetHeld(_)
                | Self::KeyInactive(_)
                | Self::ModelNotAllowed { .. }
                | Self::ClientGone
        )
    }

    /// Status, type, code and label: the one table.
    pub fn face(&self) -> Face {
        let invalid = "invalid_request_error";
        let (status, kind, code, label) = match self {
            Self::Unauthenticated { .. } => {
                (401, "authentication_error", Some("invalid_api_key"), "unauthenticated")
            }
            Self::KeyInactive(inactive) => {
                (401, "authentication_error", Some(inactive.as_str()), inactive.as_str())
            }
            Self::TooManyFailures => (429, "rate_limit_error", Some("too_many_failures"), "unauthenticated"),
            Self::ModelNotAllowed { .. } => {
                (403, "permission_error", Some("model_not_allowed"), "model_not_allowed")
            }
            Self::UnknownModel { .. } => (404, invalid, Some("model_not_found"), "unknown_model"),
            Self::UnknownPath { .. } => (404, invalid, Some("unknown_url"), "unknown_path"),
            Self::MethodNotAllowed { .. } => (405, invalid, Some("method_not_allowed"), "method_not_allowed"),
            Self::Framing(_) => (400, invalid, Some("bad_framing"), "bad_request"),
            Self::BadRequest(_) => (400, invalid, None, "bad_request"),
            Self::HeaderTooLarge { .. } => (431, invalid, Some("request_header_too_large"), "too_large"),
            Self::BodyTooLarge { .. } => (413, invalid, Some("request_too_large"), "too_large"),
            Self::BodyTimeout => (408, "timeout_error", Some("request_timeout"), "body_timeout"),
            Self::RateLimited(_) => (429, "rate_limit_error", Some("rate_limit_exceeded"), "rate_limited"),
            Self::BudgetSpent(_) => (429, "insufficient_quota", Some("insufficient_quota"), "budget_spent"),
            Self::BudgetHeld(_) => (429, "rate_limit_error", Some("budget_held"), "budget_held"),
            Self::LedgerFull => (503, "api_error", Some("ledger_full"), "ledger_full"),
            Self::ClusterAway => (503, "api_error", Some("cluster_away"), "cluster_away"),
            Self::Overloaded | Self::Busy { .. } => {
                (503, "overloaded_error", Some("overloaded"), "overloaded")
            }
            Self::Unsupported { .. } => (400, invalid, Some("unsupported_operation"), "unsupported"),
            Self::Rejected(rejection) => (rejection.status, invalid, None, "rejected"),
            Self::UpstreamRateLimited { .. } => {
                (429, "rate_limit_error", Some("upstream_rate_limited"), "upstream_rate_limited")
            }
            Self::DeploymentsExhausted { .. } => {
                (429, "rate_limit_error", Some("deployments_exhausted"), "deployments_exhausted")
            }
            Self::UpstreamFailed { .. } => (502, "api_error", Some("upstream_failed"), "upstream_failed"),
            Self::UpstreamTimeout { .. } => {
                (504, "timeout_error", Some("upstream_timeout"), "upstream_timeout")
            }
            Self::NotKept => (504, invalid, Some("not_kept"), "not_kept"),
            Self::ClientGone => (499, "api_error", None, "client_gone"),
        };
        Face { status, kind, code, label }
    }

    /// The body in the client's own envelope.
    pub fn body(&self, client: WireFormat, request_id: &str) -> Bytes {
        if let Self::Rejected(rejection) = self
            && let Some(body) = &rejection.body
        {
            return body.clone();
        }
        providers::error_body(client, &self.client_error(&self.to_string(), request_id))
    }

    /// The in-band event for a stream that has already begun.
    pub fn event(&self, client: WireFormat, request_id: &str) -> Bytes {
        providers::error_event(client, &self.client_error(&self.to_string(), request_id))
    }

    /// What `retry-after` should say.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::RateLimited(refusal) => Some(refusal.retry_after),
            Self::UpstreamRateLimited { retry_after_ms, .. } => {
                Some(Duration::from_millis(retry_after_ms.unwrap_or(1_000)))
            }
            Self::DeploymentsExhausted { retry_after } => Some(*retry_after),
            Self::TooManyFailures => Some(Duration::from_secs(10)),
            Self::Overloaded | Self::Busy { .. } | Self::BudgetHeld(_) | Self::ClusterAway => {
                Some(Duration::from_secs(1))
            }
            Self::LedgerFull => Some(Duration::from_secs(10)),
            _ => None,
        }
    }

    /// False when the same request cannot succeed soon, which SDKs are told in `x-should-retry`.
    pub fn may_be_retried(&self) -> bool {
        !matches!(self, Self::BudgetSpent(_) | Self::NotKept)
    }

    /// True when the rest of the request cannot be read, so that the connection must be closed.
    pub fn closes_connection(&self) -> bool {
        matches!(
            self,
            Self::Framing(_) | Self::HeaderTooLarge { .. } | Self::BodyTooLarge { .. } | Self::BodyTimeout
        )
    }

    fn client_error<'a>(&'a self, message: &'a str, request_id: &'a str) -> ClientError<'a> {
        let face = self.face();
        let (kind, code, param) = match self {
            Self::BadRequest(error) => (face.kind, face.code, error.param.as_deref()),
            Self::UnknownModel { .. } | Self::ModelNotAllowed { .. } => (face.kind, face.code, Some("model")),
            Self::Rejected(rejection) => {
                let error = &rejection.error;
                (error.kind.as_deref().unwrap_or(face.kind), error.code.as_deref(), error.param.as_deref())
            }
            _ => (face.kind, face.code, None),
        };
        ClientError { status: face.status, kind, code, param, message, request_id }
    }
}

impl From<Refused> for GatewayError {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Spent(spent) if spent.is_held => Self::BudgetHeld(spent),
            Refused::Spent(spent) => Self::BudgetSpent(spent),
            Refused::LogFull => Self::LedgerFull,
            Refused::NoCluster => Self::ClusterAway,
        }
    }
}

impl From<Denied> for GatewayError {
    fn from(denied: Denied) -> Self {
        match denied {
            Denied::Limit(refusal) => Self::RateLimited(refusal),
            Denied::NoCluster => Self::ClusterAway,
        }
    }
}

/// Unix milliseconds as RFC 3339.
fn date(at_ms: i64) -> String {
    let since = Duration::from_millis(u64::try_from(at_ms).unwrap_or(0));
    humantime::format_rfc3339_seconds(SystemTime::UNIX_EPOCH + since).to_string()
}

/// Whole seconds, rounded up: a client that comes back early is refused again.
pub fn seconds(wait: Duration) -> u64 {
    wait.as_millis().div_ceil(1_000).max(1).try_into().unwrap_or(u64::MAX)
}
