//! A whole Anthropic answer, read into the neutral form.

use domain::Usage;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::UsageFields;
use crate::canonical::{ChatAnswer, Choice, Finish, Maker, Part, Signature};
use crate::formats::signature::read_signature;

#[derive(Deserialize)]
struct Body {
    id: Option<String>,
    model: Option<String>,
    content: Vec<Value>,
    stop_reason: Option<String>,
    stop_sequence: Option<String>,
    usage: Option<UsageFields>,
}

/// Reads an answer's body. What the provider's own tools did (searches, code) is left out: their
/// outcome is in the text.
///
/// # Errors
/// The reason, when the body has another shape.
pub(crate) fn decode_answer(body: &str) -> Result<ChatAnswer, String> {
    let body: Body =
        serde_json::from_str(body).map_err(|error| format!("the answer cannot be read: {error}"))?;
    Ok(ChatAnswer {
        id: body.id.unwrap_or_default(),
        model: body.model.unwrap_or_default(),
        choices: vec![Choice {
            parts: body.content.iter().filter_map(decode_block).collect(),
            finish: body.stop_reason.as_deref().map_or(Finish::Stop, read_finish),
            stop_sequence: body.stop_sequence,
            logprobs: None,
        }],
        usage: body.usage.map_or_else(Usage::default, |fields| fields.usage()),
    })
}

fn decode_block(block: &Value) -> Option<Part> {
    let text = |field: &str| block.get(field).and_then(Value::as_str).map(str::to_owned);
    match block.get("type")?.as_str()? {
        "text" => Some(Part::text(text("text")?)),
        "thinking" => Some(Part::Reasoning {
            text: text("thinking")?,
            signature: text("signature").and_then(signature),
        }),
        "redacted_thinking" => signature(text("data")?).map(Part::SealedReasoning),
        "tool_use" => Some(Part::ToolCall {
            id: text("id")?,
            name: text("name")?,
            arguments: block
                .get("input")
                .map_or_else(|| Value::Object(Map::new()).to_string(), Value::to_string),
        }),
        _ => None,
    }
}

/// An empty signature is none.
pub(super) fn signature(token: String) -> Option<Signature> {
    (!token.is_empty()).then(|| read_signature(token, Maker::Anthropic))
}

/// A paused or unknown end is an end: the other formats have no word for "ask me again".
pub(super) fn read_finish(reason: &str) -> Finish {
    match reason {
        "max_tokens" | "model_context_window_exceeded" => Finish::Length,
        "tool_use" => Finish::ToolCalls,
        "refusal" => Finish::ContentFilter,
        _ => Finish::Stop,
    }
}

/// Anthropic's word for it.
pub(super) fn write_finish(finish: Finish, stop_sequence: Option<&str>) -> &'static str {
    match finish {
        Finish::Stop if stop_sequence.is_some() => "stop_sequence",
        Finish::Stop => "end_turn",
        Finish::Length => "max_tokens",
        Finish::ToolCalls => "tool_use",
        Finish::ContentFilter => "refusal",
    }
}
