//! A whole OpenAI chat answer, read into the neutral form.

use domain::Usage;
use serde::Deserialize;
use serde_json::Value;

use super::UsageFields;
use super::content::{Content, read_finish};
use super::reasoning_details::{read_call_signature, read_details};
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
    logprobs: Option<Logprobs>,
}

/// What is told of the choice of tokens.
#[derive(Default, Deserialize)]
pub(super) struct Logprobs {
    pub(super) content: Option<Vec<Value>>,
}

#[derive(Default, Deserialize)]
struct Message {
    #[serde(default)]
    content: Content,
    refusal: Option<String>,
    reasoning_content: Option<String>,
    reasoning: Option<String>,
    reasoning_details: Option<Vec<Value>>,
    tool_calls: Option<Vec<Call>>,
}

#[derive(Deserialize)]
struct Call {
    id: Option<String>,
    function: Function,
    extra_content: Option<Value>,
}

#[derive(Deserialize)]
struct Function {
    name: String,
    arguments: Option<Value>,
}

/// Reads an answer's body.
///
/// # Errors
/// The reason, when there is no choice or a message cannot be read.
pub(crate) fn decode_answer(body: &str) -> Result<ChatAnswer, String> {
    let body: Body =
        serde_json::from_str(body).map_err(|error| format!("the answer cannot be read: {error}"))?;
    if body.choices.is_empty() {
        return Err("the answer has no choice".to_owned());
    }
    Ok(ChatAnswer {
        id: body.id.unwrap_or_default(),
        model: body.model.unwrap_or_default(),
        choices: body.choices.into_iter().map(decode_choice).collect(),
        usage: body.usage.map_or_else(Usage::default, |fields| fields.usage()),
    })
}

fn decode_choice(choice: RawChoice) -> Choice {
    let message = choice.message;
    let mut parts = read_details(&message.reasoning_details.unwrap_or_default());
    if parts.is_empty() {
        let mut reasoning = message.content.reasoning;
        reasoning.extend(message.reasoning_content.or(message.reasoning));
        if !reasoning.is_empty() {
            parts.push(Part::Reasoning { text: reasoning.concat(), signature: None });
        }
    }
    let refusal = message.refusal.filter(|refusal| !refusal.is_empty());
    let refused = refusal.is_some();
    for text in message.content.text.into_iter().chain(refusal).filter(|text| !text.is_empty()) {
        parts.push(Part::text(text));
    }
    let calls = message.tool_calls.unwrap_or_default();
    let has_calls = !calls.is_empty();
    for (index, call) in calls.into_iter().enumerate() {
        parts.extend(
            read_call_signature(call.extra_content.as_ref(), None)
                .map(|signature| Part::Reasoning { text: String::new(), signature: Some(signature) }),
        );
        parts.push(Part::ToolCall {
            id: call.id.filter(|id| !id.is_empty()).unwrap_or_else(|| format!("call_{index}")),
            name: call.function.name,
            arguments: arguments_text(call.function.arguments),
        });
    }
    let finish = choice.finish_reason.as_deref().map_or(Finish::Stop, read_finish).with_calls(has_calls);
    // OpenAI stops a refusal like an answer; the other formats have a reason of their own for it.
    let finish = if refused && finish == Finish::Stop { Finish::ContentFilter } else { finish };
    let logprobs = choice.logprobs.and_then(|logprobs| logprobs.content);
    Choice { parts, finish, stop_sequence: None, logprobs }
}

/// Arguments are JSON text; some servers send the object itself.
pub(super) fn arguments_text(arguments: Option<Value>) -> String {
    match arguments {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text,
        Some(object) => object.to_string(),
    }
}
