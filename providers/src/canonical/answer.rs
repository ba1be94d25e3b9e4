//! A whole answer.

use domain::Usage;
use serde_json::Value;

use super::Part;

/// One answer of a model.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ChatAnswer {
    pub(crate) id: String,
    pub(crate) model: String,
    /// One for each answer that was asked for (`n`), in their order; mostly one.
    pub(crate) choices: Vec<Choice>,
    pub(crate) usage: Usage,
}

/// One of the answers to one request.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Choice {
    pub(crate) parts: Vec<Part>,
    pub(crate) finish: Finish,
    /// The stop sequence that ended it, when the provider says which.
    pub(crate) stop_sequence: Option<String>,
    /// OpenAI's list of tokens with their log probabilities (`logprobs.content`).
    pub(crate) logprobs: Option<Vec<Value>>,
}

/// Why an answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Finish {
    Stop,
    Length,
    ToolCalls,
    ContentFilter,
}

impl Finish {
    /// Some providers say `stop` after a tool call; clients go by the reason to run the tool.
    pub(crate) fn with_calls(self, has_calls: bool) -> Self {
        if self == Self::Stop && has_calls { Self::ToolCalls } else { self }
    }
}
