//! The `usage` object of Responses.

use domain::Usage;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::formats::tokens::count;

/// The parts of a `usage` object that are counted.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct UsageFields {
    #[serde(default, deserialize_with = "count")]
    input_tokens: Option<u64>,
    #[serde(default, deserialize_with = "count")]
    output_tokens: Option<u64>,
    #[serde(default, deserialize_with = "count")]
    total_tokens: Option<u64>,
    #[serde(default)]
    input_tokens_details: Option<InputDetails>,
    #[serde(default)]
    output_tokens_details: Option<OutputDetails>,
}

#[derive(Debug, Default, Deserialize)]
struct InputDetails {
    #[serde(default, deserialize_with = "count")]
    cached_tokens: Option<u64>,
    #[serde(default, deserialize_with = "count")]
    cache_write_tokens: Option<u64>,
}

#[derive(Debug, Default, Deserialize)]
struct OutputDetails {
    #[serde(default, deserialize_with = "count")]
    reasoning_tokens: Option<u64>,
}

impl UsageFields {
    /// Our counts. What the total has beyond its parts was generated, as in chat completions.
    pub(crate) fn usage(&self) -> Usage {
        let prompt = self.input_tokens.unwrap_or(0);
        let stated = self.output_tokens.unwrap_or(0);
        let unstated = self.total_tokens.unwrap_or(0).saturating_sub(prompt.saturating_add(stated));
        let input = self.input_tokens_details.as_ref();
        let reasoning = self.output_tokens_details.as_ref().and_then(|details| details.reasoning_tokens);
        Usage {
            prompt,
            completion: stated.saturating_add(unstated),
            cached: input.and_then(|details| details.cached_tokens).unwrap_or(0),
            cache_write: input.and_then(|details| details.cache_write_tokens).unwrap_or(0),
            reasoning: reasoning.unwrap_or(0).max(unstated),
        }
    }
}

/// Spells a `usage` object.
pub(super) fn encode_usage(usage: &Usage) -> Value {
    json!({
        "input_tokens": usage.prompt,
        "input_tokens_details": { "cached_tokens": usage.cached, "cache_write_tokens": usage.cache_write },
        "output_tokens": usage.completion,
        "output_tokens_details": { "reasoning_tokens": usage.reasoning },
        "total_tokens": usage.total(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_survives_its_spelling() {
        let usage = Usage { prompt: 20, completion: 9, cached: 12, cache_write: 3, reasoning: 5 };
        let fields: UsageFields = serde_json::from_value(encode_usage(&usage)).unwrap();
        assert_eq!(fields.usage(), usage);
    }

    #[test]
    fn nulls_do_not_hurt_and_a_larger_total_is_generated() {
        let text = r#"{"input_tokens":5,"output_tokens":null,"total_tokens":9,"input_tokens_details":null}"#;
        let usage = serde_json::from_str::<UsageFields>(text).unwrap().usage();
        assert_eq!((usage.prompt, usage.completion, usage.reasoning), (5, 4, 4));
    }
}
