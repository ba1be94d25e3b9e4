//! How an answer's way to the client ended.

use providers::Resume;

use crate::upstream::AttemptFailure;

/// Ended, or broken off under way.
pub enum Delivered {
    /// Nothing more is to be sent.
    Ended,
    /// The upstream failed after part of it was sent.
    Broken(Box<Broken>),
}

/// A stream that broke off.
pub struct Broken {
    /// Why.
    pub failure: AttemptFailure,
    /// What another attempt needs to go on; None when the answer must not be pieced together.
    pub resume: Option<Resume>,
    /// The text that was sent, in tokens.
    pub tokens: u64,
}
