//! A whole answer of Cohere's, read into the neutral form.

use domain::Usage;
use serde::Deserialize;

use super::usage::UsageFields;
use crate::canonical::{ChatAnswer, Choice, Finish, Part};

#[derive(Deserialize)]
struct Body {
    id: Option<String>,
    message: Message,
    finish_reason: Option<String>,
    usage: Option<UsageFields>,
}

#[derive(Deserialize)]
struct Message {
    content: Option<Vec<Content>>,
    tool_plan: Option<String>,
    tool_calls: Option<Vec<Call>>,
}

#[derive(Deserialize)]
struct Content {
    text: Option<String>,
    thinking: Option<String>,
}

#[derive(Deserialize)]
struct Call {
    id: Option<String>,
    function: Function,
}

#[derive(Deserialize)]
struct Function {
    name: String,
    arguments: Option<String>,
}

/// Reads an answer's body. The plan before tool calls is text, as other models write it. The format does
/// not name the model.
///
/// # Errors
/// The reason, when the body has another shape or the model failed.
pub(crate) fn decode_answer(body: &str) -> Result<ChatAnswer, String> {
    let body: Body =
        serde_json::from_str(body).map_err(|error| format!("the answer cannot be read: {error}"))?;
    let mut parts = Vec::new();
    let filled = |text: Option<String>| text.filter(|text| !text.is_empty());
    for content in body.message.content.unwrap_or_default() {
        parts.extend(filled(content.thinking).map(|text| Part::Reasoning { text, signature: None }));
        parts.extend(filled(content.text).map(Part::text));
    }
    parts.extend(filled(body.message.tool_plan).map(Part::text));
    let calls = body.message.tool_calls.unwrap_or_default();
    let has_calls = !calls.is_empty();
    for (index, call) in calls.into_iter().enumerate() {
        parts.push(Part::ToolCall {
            id: filled(call.id).unwrap_or_else(|| format!("call_{index}")),
            name: call.function.name,
            arguments: call.function.arguments.filter(|text| !is_void(text)).unwrap_or_else(no_arguments),
        });
    }
    let finish = body.finish_reason.as_deref().map_or(Ok(Finish::Stop), read_finish)?;
    Ok(ChatAnswer {
        id: body.id.unwrap_or_default(),
        model: String::new(),
        choices: vec![Choice {
            parts,
            finish: finish.with_calls(has_calls),
            stop_sequence: None,
            logprobs: None,
        }],
        usage: body.usage.map_or_else(Usage::default, |fields| fields.usage()),
    })
}

/// For a tool without parameters the model writes `null` where an object is expected.
pub(super) fn is_void(arguments: &str) -> bool {
    matches!(arguments.trim(), "" | "null")
}

pub(super) fn no_arguments() -> String {
    "{}".to_owned()
}

/// # Errors
/// When the model failed or was too slow.
pub(super) fn read_finish(reason: &str) -> Result<Finish, String> {
    match reason {
        "MAX_TOKENS" => Ok(Finish::Length),
        "TOOL_CALL" => Ok(Finish::ToolCalls),
        "ERROR_TOXIC" => Ok(Finish::ContentFilter),
        "ERROR" | "ERROR_LIMIT" | "TIMEOUT" => Err(format!("the provider broke off the answer ({reason})")),
        _ => Ok(Finish::Stop),
    }
}
