//! OpenAI's `usage` object and the variants its imitators write.

use domain::{Micros, Usage};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::formats::raw::offset_in;
use crate::formats::tokens::count;
use crate::splice::splice;

/// The parts of a `usage` object that are counted.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct UsageFields {
    #[serde(default, deserialize_with = "count")]
    prompt_tokens: Option<u64>,
    #[serde(default, deserialize_with = "count")]
    completion_tokens: Option<u64>,
    #[serde(default, deserialize_with = "count")]
    total_tokens: Option<u64>,
    // DeepSeek's name for cached prompt tokens.
    #[serde(default, deserialize_with = "count")]
    prompt_cache_hit_tokens: Option<u64>,
    #[serde(default)]
    prompt_tokens_details: Option<PromptDetails>,
    #[serde(default)]
    completion_tokens_details: Option<CompletionDetails>,
}

#[derive(Debug, Default, Deserialize)]
struct PromptDetails {
    #[serde(default, deserialize_with = "count")]
    cached_tokens: Option<u64>,
    // OpenRouter's extension.
    #[serde(default, deserialize_with = "count")]
    cache_write_tokens: Option<u64>,
}

#[derive(Debug, Default, Deserialize)]
struct CompletionDetails {
    #[serde(default, deserialize_with = "count")]
    reasoning_tokens: Option<u64>,
}

impl UsageFields {
    /// Our counts. xAI and Google leave reasoning out of `completion_tokens` but not out of
    /// `total_tokens`: whatever the total has beyond its parts was generated, and is charged as that.
    pub(crate) fn usage(&self) -> Usage {
        let prompt = self.prompt_tokens.unwrap_or(0);
        let stated = self.completion_tokens.unwrap_or(0);
        let unstated = self.total_tokens.unwrap_or(0).saturating_sub(prompt.saturating_add(stated));
        let details = self.prompt_tokens_details.as_ref();
        let cached = details.and_then(|details| details.cached_tokens).or(self.prompt_cache_hit_tokens);
        // Azure's Grok reports more cached tokens than it had in the prompt; a part is no larger than the whole.
        let cached = cached.unwrap_or(0).min(prompt);
        let cache_write = details.and_then(|details| details.cache_write_tokens).unwrap_or(0);
        let reasoning = self.completion_tokens_details.as_ref().and_then(|details| details.reasoning_tokens);
        Usage {
            prompt,
            completion: stated.saturating_add(unstated),
            cached,
            cache_write: cache_write.min(prompt - cached),
            reasoning: reasoning.unwrap_or(0).max(unstated),
        }
    }
}

#[derive(Deserialize)]
struct CostField<'a> {
    #[serde(borrow)]
    cost: Option<&'a RawValue>,
}

/// The bytes of a `usage` object with `"cost"` in US dollars; a cost it already has is replaced.
pub(crate) fn with_cost(usage: &str, cost: Micros) -> Vec<u8> {
    let literal = cost.to_string();
    if let Ok(CostField { cost: Some(present) }) = serde_json::from_str(usage) {
        let start = offset_in(usage, present);
        return splice(usage.as_bytes(), &(start..start + present.get().len()), literal.as_bytes()).to_vec();
    }
    let body = usage.strip_suffix('}').unwrap_or(usage).trim_ascii_end();
    let comma = if body.ends_with('{') { "" } else { "," };
    format!("{body}{comma}\"cost\":{literal}}}").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usage(text: &str) -> Usage {
        serde_json::from_str::<UsageFields>(text).unwrap().usage()
    }

    #[test]
    fn cached_and_reasoning_tokens_are_parts_of_their_side() {
        let counted = usage(
            r#"{"prompt_tokens":20,"completion_tokens":9,"total_tokens":29,"prompt_tokens_details":{"cached_tokens":12},
                "completion_tokens_details":{"reasoning_tokens":5},"queue_time":0.1}"#,
        );
        assert_eq!(counted, Usage { prompt: 20, completion: 9, cached: 12, cache_write: 0, reasoning: 5 });
    }

    #[test]
    fn reasoning_that_only_the_total_counts_is_generated() {
        let xai = usage(
            r#"{"prompt_tokens":12,"completion_tokens":2,"total_tokens":354,"completion_tokens_details":{"reasoning_tokens":340}}"#,
        );
        assert_eq!((xai.completion, xai.reasoning), (342, 340));
        let gemini = usage(r#"{"completion_tokens":6,"prompt_tokens":66,"total_tokens":100}"#);
        assert_eq!((gemini.completion, gemini.reasoning), (34, 28));
    }

    #[test]
    fn cached_tokens_are_at_most_the_prompt() {
        let counted = usage(r#"{"prompt_tokens":392,"prompt_tokens_details":{"cached_tokens":461}}"#);
        assert_eq!((counted.prompt, counted.cached), (392, 392));
    }

    #[test]
    fn nulls_and_fractions_do_not_hurt() {
        let counted = usage(
            r#"{"prompt_tokens":7.0,"completion_tokens":null,"prompt_cache_hit_tokens":3,"prompt_tokens_details":null}"#,
        );
        assert_eq!((counted.prompt, counted.completion, counted.cached), (7, 0, 3));
    }

    #[test]
    fn the_cost_is_added_or_replaced_and_nothing_else_changes() {
        let text = |usage| String::from_utf8(with_cost(usage, Micros(1_500))).unwrap();
        assert_eq!(text(r#"{ "prompt_tokens" : 1 }"#), r#"{ "prompt_tokens" : 1,"cost":0.001500}"#);
        assert_eq!(text("{}"), r#"{"cost":0.001500}"#);
        assert_eq!(text(r#"{"cost":0.2,"x":1}"#), r#"{"cost":0.001500,"x":1}"#);
    }
}
