//! What an attempt leaves behind when it gives no answer.

use bytes::Bytes;
use domain::{Failure, FailureKind};
use providers::ProviderError;

/// A failed attempt, with what the provider itself said.
#[derive(Debug)]
pub struct AttemptFailure {
    /// Kind, source, what may be done.
    pub failure: Failure,
    /// The provider's answer, when there was one.
    pub reply: Option<ProviderReply>,
    /// The field of the request at fault, when one is.
    pub param: Option<String>,
}

/// A provider's error answer.
#[derive(Debug)]
pub struct ProviderReply {
    /// Its status.
    pub status: u16,
    /// Its body, given on as it is when the formats agree.
    pub body: Bytes,
    /// What the body says.
    pub error: ProviderError,
    /// `retry-after`, in milliseconds.
    pub retry_after_ms: Option<u64>,
}

impl AttemptFailure {
    /// The prompt is too long for the model.
    pub fn is_context_length(&self) -> bool {
        self.failure.kind == FailureKind::ContextLength
    }

    /// True when the provider had more to do than it can.
    pub fn is_overload(&self) -> bool {
        match self.failure.kind {
            FailureKind::RateLimited | FailureKind::FirstToken => true,
            FailureKind::Provider => matches!(self.failure.status, Some(503 | 529)),
            _ => false,
        }
    }
}

impl From<Failure> for AttemptFailure {
    fn from(failure: Failure) -> Self {
        Self { failure, reply: None, param: None }
    }
}
