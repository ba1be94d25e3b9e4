//! Bedrock's `usage` object.

use domain::Usage;
use serde::Deserialize;

use crate::formats::tokens::count;

/// The parts that are counted. `inputTokens` leaves out what was read from the cache or written to it.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct UsageFields {
    #[serde(default, deserialize_with = "count")]
    input_tokens: Option<u64>,
    #[serde(default, deserialize_with = "count")]
    output_tokens: Option<u64>,
    #[serde(default, deserialize_with = "count")]
    cache_read_input_tokens: Option<u64>,
    #[serde(default, deserialize_with = "count")]
    cache_write_input_tokens: Option<u64>,
}

impl UsageFields {
    /// Our counts. Bedrock does not tell reasoning from the rest of the output.
    pub(crate) fn usage(&self) -> Usage {
        let (cached, cache_write) =
            (self.cache_read_input_tokens.unwrap_or(0), self.cache_write_input_tokens.unwrap_or(0));
        Usage {
            prompt: self.input_tokens.unwrap_or(0).saturating_add(cached).saturating_add(cache_write),
            completion: self.output_tokens.unwrap_or(0),
            cached,
            cache_write,
            reasoning: 0,
        }
    }
}
