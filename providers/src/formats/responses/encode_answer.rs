//! The neutral answer, spelt as a response object.

use domain::Usage;
use serde_json::{Value, json};

use super::echo::echo_of;
use super::encode_item::{
    call, call_prefix, item_id, message, now, or_empty_object, reasoning, response_id, status,
};
use super::usage::encode_usage;
use crate::answer_context::AnswerContext;
use crate::canonical::{ChatAnswer, Choice, Finish, Maker, Part};
use crate::formats::signature::write_signature;

/// Spells an answer.
///
/// # Errors
/// The reason, when there is no answer.
pub(crate) fn encode_answer(answer: &ChatAnswer, context: &AnswerContext) -> Result<Vec<u8>, String> {
    // The format has no second answer; a request of this format cannot have asked for one.
    let choice = answer.choices.first().ok_or("the answer has no content")?;
    let id = response_id(&answer.id);
    let output = encode_output(choice, &id, context);
    let head = Head { id: &id, created_at: now(), model: &answer.model };
    let tail = echo_of(context);
    let output = Value::from(output).to_string();
    Ok(response(&head, State::Ended(choice.finish, &answer.usage), &output, &tail).into_bytes())
}

fn encode_output(choice: &Choice, id: &str, context: &AnswerContext) -> Vec<Value> {
    let mut output: Vec<Value> = Vec::with_capacity(choice.parts.len());
    let mut logprobs = choice.logprobs.as_deref().unwrap_or_default();
    let mut parts = choice.parts.iter().peekable();
    // What the token limit cut off is the last item.
    let (whole, _) = status(choice.finish);
    while let Some(part) = parts.next() {
        let index = output.len();
        let last = |rest: Option<&&Part>| if rest.is_none() { whole } else { "completed" };
        match part {
            Part::Text { text, .. } => {
                let mut text = text.clone();
                while let Some(Part::Text { text: more, .. }) = parts.peek() {
                    text.push_str(more);
                    parts.next();
                }
                let status = last(parts.peek());
                output.push(message(&item_id("msg", id, index), status, &text, logprobs));
                logprobs = &[];
            }
            Part::Reasoning { text, signature } => {
                let encrypted = signature
                    .as_ref()
                    .map(|signature| write_signature(signature, Maker::OpenAi).into_owned());
                output.push(reasoning(&item_id("rs", id, index), Some(text), encrypted));
            }
            Part::SealedReasoning(signature) => {
                let encrypted = Some(write_signature(signature, Maker::OpenAi).into_owned());
                output.push(reasoning(&item_id("rs", id, index), None, encrypted));
            }
            Part::ToolCall { id: call_id, name, arguments } => {
                let origin = context.tools.origin(name);
                let arguments = or_empty_object(arguments);
                let item = item_id(call_prefix(&origin), id, index);
                output.push(call(&item, last(parts.peek()), call_id, &origin, arguments));
            }
            // A model's answer holds nothing else.
            Part::Image(_) | Part::Document { .. } | Part::ToolResult { .. } | Part::CachePoint(_) => {}
        }
    }
    output
}

/// What every spelling of one answer begins with.
pub(super) struct Head<'a> {
    pub(super) id: &'a str,
    pub(super) created_at: u64,
    pub(super) model: &'a str,
}

/// How far an answer has come.
#[derive(Clone, Copy)]
pub(super) enum State<'a> {
    Running,
    Ended(Finish, &'a Usage),
}

/// The text of a response object. `output` is a JSON list, `tail` what [`echo_of`] gives.
pub(super) fn response(head: &Head<'_>, state: State<'_>, output: &str, tail: &str) -> String {
    let (status, details, usage) = match state {
        State::Running => ("in_progress", Value::Null, Value::Null),
        State::Ended(finish, usage) => {
            let (status, details) = status(finish);
            (status, details, encode_usage(usage))
        }
    };
    let head = json!({
        "id": head.id,
        "object": "response",
        "created_at": head.created_at,
        "status": status,
        "error": null,
        "incomplete_details": details,
        "model": head.model,
        "usage": usage,
    })
    .to_string();
    let head = head.strip_suffix('}').unwrap_or(&head);
    format!("{head},\"output\":{output}{tail}}}")
}
