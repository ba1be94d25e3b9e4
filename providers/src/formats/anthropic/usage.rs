//! Anthropic's `usage` object. Its streamed counts are cumulative: a later one replaces an earlier one.

use domain::Usage;
use serde::Deserialize;

use crate::formats::tokens::count;

/// One `usage` object; a field that is absent leaves the earlier value in force.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub(crate) struct UsageFields {
    #[serde(default, deserialize_with = "count")]
    input_tokens: Option<u64>,
    #[serde(default, deserialize_with = "count")]
    cache_creation_input_tokens: Option<u64>,
    #[serde(default, deserialize_with = "count")]
    cache_read_input_tokens: Option<u64>,
    #[serde(default, deserialize_with = "count")]
    output_tokens: Option<u64>,
    #[serde(default)]
    output_tokens_details: Option<OutputDetails>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
struct OutputDetails {
    #[serde(default, deserialize_with = "count")]
    thinking_tokens: Option<u64>,
}

/// The usage of a stream so far.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct RunningUsage(Option<UsageFields>);

impl RunningUsage {
    /// Takes the next `usage` object of the same answer.
    pub(crate) fn take(&mut self, next: UsageFields) {
        let seen = self.0.unwrap_or_default();
        self.0 = Some(UsageFields {
            input_tokens: next.input_tokens.or(seen.input_tokens),
            cache_creation_input_tokens: next
                .cache_creation_input_tokens
                .or(seen.cache_creation_input_tokens),
            cache_read_input_tokens: next.cache_read_input_tokens.or(seen.cache_read_input_tokens),
            output_tokens: next.output_tokens.or(seen.output_tokens),
            output_tokens_details: next.output_tokens_details.or(seen.output_tokens_details),
        });
    }

    /// None until a `usage` object was seen.
    pub(crate) fn usage(&self) -> Option<Usage> {
        self.0.as_ref().map(UsageFields::usage)
    }
}

impl UsageFields {
    /// Our counts: Anthropic reports the cached parts beside `input_tokens`, here they are within.
    pub(crate) fn usage(&self) -> Usage {
        let cached = self.cache_read_input_tokens.unwrap_or(0);
        let cache_write = self.cache_creation_input_tokens.unwrap_or(0);
        let reasoning = self.output_tokens_details.and_then(|details| details.thinking_tokens);
        Usage {
            prompt: self.input_tokens.unwrap_or(0).saturating_add(cached).saturating_add(cache_write),
            completion: self.output_tokens.unwrap_or(0),
            cached,
            cache_write,
            reasoning: reasoning.unwrap_or(0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cached_parts_are_added_to_the_prompt() {
        let fields: UsageFields = serde_json::from_str(
            r#"{"input_tokens":3,"cache_creation_input_tokens":20,"cache_read_input_tokens":100,"output_tokens":5}"#,
        )
        .unwrap();
        let expected = Usage { prompt: 123, completion: 5, cached: 100, cache_write: 20, reasoning: 0 };
        assert_eq!(fields.usage(), expected);
    }

    #[test]
    fn cumulative_counts_replace_each_other_and_are_not_summed() {
        let mut running = RunningUsage::default();
        assert_eq!(running.usage(), None);
        for text in [
            r#"{"input_tokens":17,"output_tokens":1}"#,
            r#"{"input_tokens":17,"output_tokens":1}"#,
            r#"{"output_tokens":227}"#,
        ] {
            running.take(serde_json::from_str(text).unwrap());
        }
        let usage = running.usage().unwrap();
        assert_eq!((usage.prompt, usage.completion), (17, 227));
    }
}
