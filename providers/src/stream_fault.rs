//! Why a streamed answer cannot go on.

use crate::ProviderError;

/// The end of a stream that is not its proper end.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StreamFault {
    /// An event cannot be understood.
    #[error("malformed stream: {0}")]
    Malformed(String),
    /// The upstream ended its body before the answer was complete.
    #[error("the stream ended before the answer was complete")]
    Truncated,
    /// The provider reported an error inside the stream.
    #[error("the provider broke off: {}", .0.message)]
    Provider(ProviderError),
    /// An answer that should have repeated the one it replaces is another.
    #[error("a second attempt gave another answer")]
    Diverged,
    /// One event is longer than 8 MiB, or an answer that has to be repeated whole longer than 32 MiB.
    #[error("an event is longer than 8 MiB, or the answer longer than 32 MiB")]
    TooLong,
}

impl From<Result<ProviderError, String>> for StreamFault {
    fn from(fault: Result<ProviderError, String>) -> Self {
        match fault {
            Ok(error) => Self::Provider(error),
            Err(reason) => Self::Malformed(reason),
        }
    }
}
