//! Cohere's `usage` object.

use domain::Usage;
use serde::Deserialize;

use crate::formats::tokens::count;

/// Two counts of one answer. `billed_units` is what is charged, pictures included. `tokens` adds
/// instructions of Cohere's own, of several hundred tokens, that nobody pays, and leaves pictures out.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct UsageFields {
    billed_units: Option<Counts>,
    tokens: Option<Counts>,
}

#[derive(Debug, Default, Deserialize)]
struct Counts {
    #[serde(default, deserialize_with = "count")]
    input_tokens: Option<u64>,
    #[serde(default, deserialize_with = "count")]
    output_tokens: Option<u64>,
    #[serde(default, deserialize_with = "count")]
    reasoning_tokens: Option<u64>,
}

impl UsageFields {
    /// Our counts: the billed ones, because costs and budgets are reckoned with them. Cohere's
    /// `cached_tokens` is a part of the other count and cheapens nothing, so it is no part of these.
    pub(crate) fn usage(&self) -> Usage {
        let counts = self.billed_units.as_ref().or(self.tokens.as_ref());
        let completion = counts.and_then(|counts| counts.output_tokens).unwrap_or(0);
        let reasoning = self.tokens.as_ref().and_then(|tokens| tokens.reasoning_tokens).unwrap_or(0);
        Usage {
            prompt: counts.and_then(|counts| counts.input_tokens).unwrap_or(0),
            completion,
            cached: 0,
            cache_write: 0,
            reasoning: reasoning.min(completion),
        }
    }
}
