//! The parts of an answer, as they stand in whole answers and in events alike.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::logprobs::LogprobsResult;
use super::signature::read_signature;
use super::usage::UsageFields;
use crate::canonical::Signature;

/// A `GenerateContentResponse`, whole or one event of a stream.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Response {
    pub(super) candidates: Option<Vec<Candidate>>,
    pub(super) prompt_feedback: Option<PromptFeedback>,
    pub(super) usage_metadata: Option<UsageFields>,
    pub(super) model_version: Option<String>,
    pub(super) response_id: Option<String>,
    pub(super) error: Option<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Candidate {
    pub(super) content: Option<Content>,
    pub(super) finish_reason: Option<String>,
    pub(super) finish_message: Option<String>,
    pub(super) index: Option<u32>,
    pub(super) logprobs_result: Option<LogprobsResult>,
}

#[derive(Default, Deserialize)]
pub(super) struct Content {
    pub(super) parts: Option<Vec<RawPart>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PromptFeedback {
    pub(super) block_reason: Option<String>,
}

impl Response {
    /// The prompt was refused, and there is no answer.
    pub(super) fn is_blocked(&self) -> bool {
        let blocked = self.prompt_feedback.as_ref().is_some_and(|feedback| feedback.block_reason.is_some());
        blocked && self.candidates.as_ref().is_none_or(Vec::is_empty)
    }
}

/// One part. What Google's own tools did (searches, code) is not read: its outcome is in the text.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RawPart {
    text: Option<String>,
    thought: Option<bool>,
    thought_signature: Option<String>,
    function_call: Option<Call>,
    inline_data: Option<InlineData>,
}

#[derive(Deserialize)]
struct Call {
    id: Option<String>,
    name: Option<String>,
    args: Option<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct InlineData {
    mime_type: Option<String>,
    data: Option<String>,
}

/// What one part says. A signature stands before the part that it signs, and behind a thought.
#[derive(Debug, PartialEq)]
pub(super) enum Piece {
    Text(String),
    Thought(String),
    Signature(Signature),
    Call { id: String, name: String, arguments: String },
}

/// Names the calls of one answer. Google mostly gives them no id, and other formats need one that no
/// other answer of the conversation has; it has to be the same however the answer arrives.
#[derive(Debug, Default)]
pub(super) struct CallIds {
    response: String,
    count: usize,
}

impl CallIds {
    /// The answer's own id makes its calls' ids different from those of other answers. With it they stay
    /// below OpenAI's limit of 40 characters.
    pub(super) fn of_response(id: &str) -> Self {
        let kept = id.chars().filter(|c| c.is_ascii_alphanumeric()).take(24);
        let mut response: String = kept.collect();
        if !response.is_empty() {
            response.push('_');
        }
        Self { response, count: 0 }
    }

    fn name(&mut self, given: Option<String>) -> String {
        let index = self.count;
        self.count += 1;
        given.filter(|id| !id.is_empty()).unwrap_or_else(|| format!("call_{}{index}", self.response))
    }

    /// Whether a call was named.
    pub(super) fn any(&self) -> bool {
        self.count > 0
    }
}

/// Reads a part.
pub(super) fn read_part(part: RawPart, ids: &mut CallIds, out: &mut Vec<Piece>) {
    let signature = part
        .thought_signature
        .filter(|value| !value.is_empty())
        // A gateway of ours as the provider marks what others signed.
        .map(|value| Piece::Signature(read_signature(value)));
    let text = part.text.filter(|text| !text.is_empty());
    if part.thought == Some(true) {
        out.extend(text.map(Piece::Thought));
        out.extend(signature);
        return;
    }
    out.extend(signature);
    out.extend(text.map(Piece::Text));
    if let Some(InlineData { mime_type: Some(kind), data: Some(data) }) = part.inline_data {
        // No other format has pictures in an answer; this way a reader of its text still sees it.
        out.push(Piece::Text(format!("![](data:{kind};base64,{data})")));
    }
    if let Some(call) = part.function_call {
        let arguments = call.args.unwrap_or_else(|| Value::Object(Map::new()));
        let id = ids.name(call.id);
        out.push(Piece::Call { id, name: call.name.unwrap_or_default(), arguments: arguments.to_string() });
    }
}
