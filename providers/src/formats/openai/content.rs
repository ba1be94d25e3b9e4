//! What stands in `content` and `finish_reason`, in messages and deltas alike.

use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::canonical::Finish;

/// Text and reasoning of one `content`: a string, or Mistral's list of parts.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Content {
    pub(super) text: Vec<String>,
    pub(super) reasoning: Vec<String>,
}

impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut content = Self::default();
        match Value::deserialize(deserializer)? {
            Value::String(text) => content.text.push(text),
            Value::Array(parts) => parts.iter().for_each(|part| content.take(part)),
            _ => {}
        }
        Ok(content)
    }
}

impl Content {
    /// Takes one part of a list.
    pub(super) fn take(&mut self, part: &Value) {
        let text = |part: &Value| part.get("text").and_then(Value::as_str).map(str::to_owned);
        match part.get("thinking") {
            Some(Value::Array(inner)) => self.reasoning.extend(inner.iter().filter_map(text)),
            Some(Value::String(thought)) => self.reasoning.push(thought.clone()),
            _ => self.text.extend(text(part)),
        }
    }
}

/// An unknown reason ends the answer like any other.
pub(super) fn read_finish(reason: &str) -> Finish {
    match reason {
        "length" | "max_tokens" | "model_length" => Finish::Length,
        "tool_calls" | "function_call" => Finish::ToolCalls,
        "content_filter" => Finish::ContentFilter,
        _ => Finish::Stop,
    }
}

/// OpenAI's word for it.
pub(super) fn write_finish(finish: Finish) -> &'static str {
    match finish {
        Finish::Stop => "stop",
        Finish::Length => "length",
        Finish::ToolCalls => "tool_calls",
        Finish::ContentFilter => "content_filter",
    }
}
