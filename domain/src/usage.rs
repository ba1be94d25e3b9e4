//! Token counts of one answer.

use serde::{Deserialize, Serialize};

/// Tokens of one answer, as the provider counted them. `cached` and `cache_write` are parts of
/// `prompt`, `reasoning` is a part of `completion` (OpenAI's convention; Anthropic reports the
/// cached parts beside `input_tokens`, and its decoder adds them up).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// All prompt tokens.
    pub prompt: u64,
    /// All generated tokens.
    pub completion: u64,
    /// Prompt tokens read from the provider's prompt cache.
    pub cached: u64,
    /// Prompt tokens written to the provider's prompt cache.
    pub cache_write: u64,
    /// Generated tokens that were reasoning.
    pub reasoning: u64,
}

impl Usage {
    /// Prompt and completion together.
    pub fn total(&self) -> u64 {
        self.prompt.saturating_add(self.completion)
    }

    /// True when the provider reported nothing.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}
