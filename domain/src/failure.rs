//! Why an attempt did not give an answer, and what may be done about it.

use std::fmt;
use std::time::Duration;

/// What went wrong with one attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FailureKind {
    /// No connection: refused, unreachable, TLS handshake, name not resolved.
    Connect,
    /// The connection broke after it was made.
    Reset,
    /// Nothing arrived before the first-token time-out.
    FirstToken,
    /// An answer began and then stalled for longer than the idle time-out.
    Idle,
    /// The request's total time ran out.
    Total,
    /// The provider refuses because of its own rate limit (429).
    RateLimited,
    /// The provider failed or is overloaded (5xx, 408, 409).
    Provider,
    /// The provider does not accept our credential (401, 403).
    Credential,
    /// The provider does not know the model or path (404).
    NotFound,
    /// The provider says the request itself is wrong (other 4xx).
    Rejected,
    /// The prompt is longer than the model's window.
    ContextLength,
    /// The answer cannot be understood: not JSON, not an event stream, cut short.
    Malformed,
    /// This request cannot be expressed in the provider's wire format.
    Untranslatable,
}

impl FailureKind {
    /// The metric label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Reset => "reset",
            Self::FirstToken => "first_token_timeout",
            Self::Idle => "idle_timeout",
            Self::Total => "total_timeout",
            Self::RateLimited => "rate_limited",
            Self::Provider => "provider",
            Self::Credential => "credential",
            Self::NotFound => "not_found",
            Self::Rejected => "rejected",
            Self::ContextLength => "context_length",
            Self::Malformed => "malformed",
            Self::Untranslatable => "untranslatable",
        }
    }
}

/// Who is at fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureSource {
    /// The provider or the way to it.
    Upstream,
    /// The client's request.
    Downstream,
    /// Signalbox or its configuration.
    Gateway,
}

/// What the attempt loop may do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// Try the same deployment again after a backoff.
    Here,
    /// Try the same deployment again, not before this delay.
    After(Duration),
    /// Leave this deployment, try the next.
    Elsewhere,
    /// Give the answer to the client as it is.
    Never,
}

/// One failed attempt. `reason` is the provider's or our own explanation with credentials already
/// removed; it may be shown to the client.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{kind}: {reason}")]
pub struct Failure {
    /// What went wrong.
    pub kind: FailureKind,
    /// Who is at fault.
    pub source_of_failure: FailureSource,
    /// What may be done.
    pub retry: Retry,
    /// The provider's status, when there was one.
    pub status: Option<u16>,
    /// A sentence for the client.
    pub reason: String,
}

impl fmt::Display for FailureKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
