//! `usageMetadata`. Its streamed counts are cumulative, and the early ones have only some of the fields.

use domain::Usage;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::formats::tokens::count;

/// One `usageMetadata` object; a field that is absent leaves the earlier value in force.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct UsageFields {
    #[serde(default, deserialize_with = "count")]
    prompt_token_count: Option<u64>,
    #[serde(default, deserialize_with = "count")]
    cached_content_token_count: Option<u64>,
    #[serde(default, deserialize_with = "count")]
    tool_use_prompt_token_count: Option<u64>,
    #[serde(default, deserialize_with = "count")]
    candidates_token_count: Option<u64>,
    #[serde(default, deserialize_with = "count")]
    thoughts_token_count: Option<u64>,
}

/// The usage of a stream so far.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct RunningUsage(UsageFields);

impl RunningUsage {
    /// Takes the next object of the same answer.
    pub(crate) fn take(&mut self, next: UsageFields) {
        let seen = &mut self.0;
        seen.prompt_token_count = next.prompt_token_count.or(seen.prompt_token_count);
        seen.cached_content_token_count = next.cached_content_token_count.or(seen.cached_content_token_count);
        seen.tool_use_prompt_token_count =
            next.tool_use_prompt_token_count.or(seen.tool_use_prompt_token_count);
        seen.candidates_token_count = next.candidates_token_count.or(seen.candidates_token_count);
        seen.thoughts_token_count = next.thoughts_token_count.or(seen.thoughts_token_count);
    }

    /// None until something was counted.
    pub(crate) fn usage(&self) -> Option<Usage> {
        self.0.usage()
    }
}

impl UsageFields {
    /// Our counts, None when there are none: thoughts stand beside the candidates' tokens, what Google's
    /// own tools put into the prompt beside the prompt; here they are within.
    pub(crate) fn usage(&self) -> Option<Usage> {
        if *self == Self::default() {
            return None;
        }
        let reasoning = self.thoughts_token_count.unwrap_or(0);
        let tools = self.tool_use_prompt_token_count.unwrap_or(0);
        Some(Usage {
            prompt: self.prompt_token_count.unwrap_or(0).saturating_add(tools),
            completion: self.candidates_token_count.unwrap_or(0).saturating_add(reasoning),
            cached: self.cached_content_token_count.unwrap_or(0),
            cache_write: 0,
            reasoning,
        })
    }
}

/// Spells `usageMetadata`.
pub(super) fn encode_usage(usage: &Usage) -> Value {
    let mut out = Map::new();
    let mut put = |field: &str, value: u64| out.insert(field.to_owned(), json!(value));
    put("promptTokenCount", usage.prompt);
    put("candidatesTokenCount", usage.completion.saturating_sub(usage.reasoning));
    put("totalTokenCount", usage.total());
    if usage.reasoning > 0 {
        put("thoughtsTokenCount", usage.reasoning);
    }
    if usage.cached > 0 {
        put("cachedContentTokenCount", usage.cached);
    }
    Value::Object(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thoughts_are_completion_and_tool_results_are_prompt() {
        let fields: UsageFields = serde_json::from_str(
            r#"{"promptTokenCount":147,"candidatesTokenCount":108,"totalTokenCount":783,"toolUsePromptTokenCount":360,
                "thoughtsTokenCount":168,"cachedContentTokenCount":40,"trafficType":"ON_DEMAND"}"#,
        )
        .unwrap();
        let expected = Usage { prompt: 507, completion: 276, cached: 40, cache_write: 0, reasoning: 168 };
        assert_eq!(fields.usage(), Some(expected));
        assert_eq!(expected.total(), 783);
        let spelt: UsageFields = serde_json::from_value(encode_usage(&expected)).unwrap();
        assert_eq!(spelt.usage(), Some(expected));
    }

    #[test]
    fn an_object_without_counts_changes_nothing() {
        let mut running = RunningUsage::default();
        for text in [
            r#"{"trafficType":"ON_DEMAND"}"#,
            r#"{"promptTokenCount":4}"#,
            r#"{"promptTokenCount":4,"candidatesTokenCount":9,"thoughtsTokenCount":2}"#,
            r#"{"trafficType":"ON_DEMAND"}"#,
        ] {
            running.take(serde_json::from_str(text).unwrap());
        }
        let usage = running.usage().unwrap();
        assert_eq!((usage.prompt, usage.completion), (4, 11));
        assert_eq!(RunningUsage::default().usage(), None);
    }
}
