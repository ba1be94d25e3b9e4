//! A whole answer of Converse, read into the neutral form.

use domain::Usage;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::opaque::read_redacted;
use super::usage::UsageFields;
use crate::canonical::{ChatAnswer, Choice, Finish, Maker, Part, Signature};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Body {
    output: Output,
    stop_reason: Option<String>,
    usage: Option<UsageFields>,
}

#[derive(Deserialize)]
struct Output {
    message: Message,
}

#[derive(Deserialize)]
struct Message {
    content: Vec<Value>,
}

/// Reads an answer's body. The format has no id and does not name the model.
///
/// # Errors
/// The reason, when the body has another shape or the model's output is malformed.
pub(crate) fn decode_answer(body: &str) -> Result<ChatAnswer, String> {
    let body: Body =
        serde_json::from_str(body).map_err(|error| format!("the answer cannot be read: {error}"))?;
    Ok(ChatAnswer {
        id: String::new(),
        model: String::new(),
        choices: vec![Choice {
            parts: body.output.message.content.iter().flat_map(decode_block).collect(),
            finish: body.stop_reason.as_deref().map_or(Ok(Finish::Stop), read_finish)?,
            stop_sequence: None,
            logprobs: None,
        }],
        usage: body.usage.map_or_else(Usage::default, |fields| fields.usage()),
    })
}

/// One block; with citations, the pieces of text that are cited.
fn decode_block(block: &Value) -> Vec<Part> {
    if let Some(text) = block.get("text").and_then(Value::as_str) {
        return vec![Part::text(text)];
    }
    if let Some(cited) = block.get("citationsContent") {
        let pieces = cited.get("content").and_then(Value::as_array).into_iter().flatten();
        return pieces.filter_map(|piece| Some(Part::text(piece.get("text")?.as_str()?))).collect();
    }
    let part = match (block.get("toolUse"), block.get("reasoningContent")) {
        (Some(call), _) => decode_call(call),
        (None, Some(reasoning)) => decode_reasoning(reasoning),
        (None, None) => None,
    };
    part.into_iter().collect()
}

fn decode_call(call: &Value) -> Option<Part> {
    Some(Part::ToolCall {
        id: call.get("toolUseId")?.as_str()?.to_owned(),
        name: call.get("name")?.as_str()?.to_owned(),
        arguments: call.get("input").map_or_else(|| Value::Object(Map::new()).to_string(), Value::to_string),
    })
}

fn decode_reasoning(reasoning: &Value) -> Option<Part> {
    if let Some(redacted) = reasoning.get("redactedContent") {
        return Some(Part::SealedReasoning(read_redacted(redacted.as_str()?)));
    }
    let shown = reasoning.get("reasoningText")?;
    let signature = shown.get("signature").and_then(Value::as_str).filter(|value| !value.is_empty());
    Some(Part::Reasoning {
        text: shown.get("text").and_then(Value::as_str).unwrap_or_default().to_owned(),
        signature: signature.map(|value| Signature { maker: Maker::Anthropic, value: value.to_owned() }),
    })
}

/// # Errors
/// When the model wrote something that Bedrock could not take for an answer.
pub(super) fn read_finish(reason: &str) -> Result<Finish, String> {
    match reason {
        "max_tokens" | "model_context_window_exceeded" => Ok(Finish::Length),
        "tool_use" => Ok(Finish::ToolCalls),
        "guardrail_intervened" | "content_filtered" => Ok(Finish::ContentFilter),
        "malformed_model_output" | "malformed_tool_use" => {
            Err(format!("the model's output is malformed ({reason})"))
        }
        _ => Ok(Finish::Stop),
    }
}
