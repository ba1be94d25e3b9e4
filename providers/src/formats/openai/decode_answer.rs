//! A whole OpenAI chat answer, read into the neutral form.

use domain::Usage;
use serde::Deserialize;
use serde_json::Value;

use super::UsageFields;
use super::content::{Content, read_finish};
use crate::canonical::{ChatAnswer, Choice, Finish, Part};

#[derive(Deserialize)]
struct Body {
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    model: Option<String>,
    #[serde(default)]
    choices: Vec<RawChoice>,
    usage: Option<UsageFields>,
}

#[derive(Deserialize)]
struct RawChoice {
    // Azure leaves it out when the content filter took everything.
    #[serde(default)]
    message: Message,
    finish_reason: Option<String>,
}

#[derive(Default, Deserialize)]
struct Message {
    #[serde(default)]
    content: Content,
    refusal: Option<String>,
    reasoning_content: Option<String>,
    reasoning: Option<String>,
    tool_calls: Option<Vec<Call>>,
}

#[derive(Deserialize)]
struct Call {
    id: Option<String>,
    function: Function,
}

#[derive(Deserialize)]
struct Function {
    name: String,
    arguments: Option<Value>,
}

/// Reads an answer's body. Of several choices the first is taken: no other format can ask for more.
///
/// # Errors
/// The reason, when there is no choice or its message cannot be read.
pub(crate) fn decode_answer(body: &str) -> Result<ChatAnswer, String> {
    let body: Body =
        serde_json::from_str(body).map_err(|error| format!("the answer cannot be read: {error}"))?;
    let choice = body.choices.into_iter().next().ok_or("the answer has no choice")?;
    let message = choice.message;
    let mut parts = Vec::new();
    let mut reasoning = message.content.reasoning;
    reasoning.extend(message.reasoning_content.or(message.reasoning));
    if !reasoning.is_empty() {
        parts.push(Part::Reasoning { text: reasoning.concat(), signature: None });
    }
    for text in message.content.text.into_iter().chain(message.refusal).filter(|text| !text.is_empty()) {
        parts.push(Part::text(text));
    }
    let calls = message.tool_calls.unwrap_or_default();
    let has_calls = !calls.is_empty();
    for (index, call) in calls.into_iter().enumerate() {
        parts.push(Part::ToolCall {
            id: call.id.filter(|id| !id.is_empty()).unwrap_or_else(|| format!("call_{index}")),
            name: call.function.name,
            arguments: arguments_text(call.function.arguments),
        });
    }
    let finish = choice.finish_reason.as_deref().map_or(Finish::Stop, read_finish).with_calls(has_calls);
    Ok(ChatAnswer {
        id: body.id.unwrap_or_default(),
        model: body.model.unwrap_or_default(),
        choices: vec![Choice { parts, finish, stop_sequence: None, logprobs: None }],
        usage: body.usage.map_or_else(Usage::default, |fields| fields.usage()),
    })
}

/// Arguments are JSON text; some servers send the object itself.
pub(super) fn arguments_text(arguments: Option<Value>) -> String {
    match arguments {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text,
        Some(object) => object.to_string(),
    }
}
