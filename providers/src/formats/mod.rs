//! One folder per wire format: what its bodies and events look like, and nothing about any other.

pub(crate) mod anthropic;
pub(crate) mod openai;
mod raw;
mod tokens;
