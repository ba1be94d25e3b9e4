//! A request for a chat answer.

use serde_json::{Map, Number, Value};

use super::{CachePoint, Message, Part};
use crate::fields::take;

/// One request, without model and format.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct ChatRequest {
    /// Instructions; text parts only.
    pub(crate) system: Vec<Part>,
    pub(crate) messages: Vec<Message>,
    pub(crate) tools: Vec<Tool>,
    pub(crate) tool_choice: Option<ToolChoice>,
    pub(crate) parallel_tool_calls: Option<bool>,
    pub(crate) max_tokens: Option<u64>,
    pub(crate) temperature: Option<Number>,
    pub(crate) top_p: Option<Number>,
    pub(crate) top_k: Option<Number>,
    pub(crate) frequency_penalty: Option<Number>,
    pub(crate) presence_penalty: Option<Number>,
    /// As it was written: more digits than a float holds.
    pub(crate) seed: Option<Number>,
    /// How many answers (`n`); None: one.
    pub(crate) choices: Option<u64>,
    /// Log probabilities are wanted; the number of alternatives to each token, 0 for none.
    pub(crate) logprobs: Option<u64>,
    pub(crate) stop: Vec<String>,
    pub(crate) stream: bool,
    /// Who the end user is, for the provider's abuse monitoring.
    pub(crate) user: Option<String>,
    pub(crate) reasoning: Reasoning,
    /// The shape the answer has to have.
    pub(crate) format: Option<AnswerFormat>,
    /// Fields of the source format that have no neutral meaning, by path. They are refused or dropped.
    pub(crate) particular: Vec<String>,
    /// Top-level fields that the source format does not know. They are passed on.
    pub(crate) rest: Map<String, Value>,
}

impl ChatRequest {
    /// Sorts what decoding has left in the body: fields without a neutral meaning that ask for something
    /// become `particular`, fields that the source format does not know become `rest`.
    pub(crate) fn keep_rest(
        &mut self,
        mut left: Map<String, Value>,
        particular: &[&str],
        is_default: fn(&str, &Value) -> bool,
    ) {
        for field in particular {
            if take(&mut left, field).is_some_and(|value| !is_default(field, &value)) {
                self.particular.push((*field).to_owned());
            }
        }
        take(&mut left, "model");
        left.retain(|_, value| !value.is_null());
        self.rest = left;
    }
}

/// How hard the model is to think, in the words of either school. All absent: as the model does by itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Reasoning {
    /// `none`, `minimal`, `low`, `medium`, `high`, `xhigh`, `max`.
    pub(crate) effort: Option<String>,
    /// A limit in tokens.
    pub(crate) budget: Option<u64>,
    /// The model decides how much (Anthropic's `adaptive`, Gemini's budget of -1).
    pub(crate) adaptive: bool,
    /// Thinking is to be off.
    pub(crate) disabled: bool,
    /// The thoughts, or a summary of them, are to be shown. None: as the provider does by itself.
    pub(crate) shown: Option<bool>,
}

/// A tool the model may call.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Tool {
    pub(crate) name: String,
    pub(crate) description: Option<String>,
    /// JSON Schema of the arguments.
    pub(crate) parameters: Option<Value>,
    /// The arguments have to match the schema exactly.
    pub(crate) strict: Option<bool>,
    /// The tools up to here are worth keeping in the provider's own cache.
    pub(crate) cache_point: Option<CachePoint>,
    /// Fields beside it that the source format does not know.
    pub(crate) rest: Map<String, Value>,
}

/// Whether the model has to call a tool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ToolChoice {
    Auto,
    None,
    Required,
    Named(String),
}

/// What an answer has to be.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum AnswerFormat {
    /// Any JSON object.
    Json,
    Schema(AnswerSchema),
}

/// The JSON Schema of an answer.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct AnswerSchema {
    pub(crate) name: Option<String>,
    pub(crate) schema: Value,
    pub(crate) strict: Option<bool>,
}
