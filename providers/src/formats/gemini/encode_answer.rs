//! The neutral answer, spelt as a `GenerateContentResponse`.

use serde_json::{Map, Value, json};

use super::finish::write_finish;
use super::logprobs::encode_logprobs;
use super::signature::write_signature;
use super::usage::encode_usage;
use crate::canonical::{ChatAnswer, Choice, Finish, Part};

/// Spells an answer.
///
/// # Errors
/// The reason, when a tool call's arguments are no JSON object although the answer is complete.
pub(crate) fn encode_answer(answer: &ChatAnswer) -> Result<Vec<u8>, String> {
    let mut candidates = Vec::with_capacity(answer.choices.len());
    for (index, choice) in answer.choices.iter().enumerate() {
        candidates.push(encode_choice(index, choice)?);
    }
    let body = json!({
        "candidates": candidates,
        "usageMetadata": encode_usage(&answer.usage),
        "modelVersion": answer.model,
        "responseId": answer.id,
    });
    Ok(body.to_string().into_bytes())
}

fn encode_choice(index: usize, choice: &Choice) -> Result<Value, String> {
    let mut parts = Vec::with_capacity(choice.parts.len());
    // Signs the next part that is no thought.
    let mut waiting: Option<String> = None;
    for part in &choice.parts {
        match part {
            Part::Text { text, .. } => parts.push(text_part(text, waiting.take())),
            Part::Reasoning { text, signature } if text.is_empty() => {
                waiting = signature.as_ref().map(write_signature).or(waiting);
            }
            Part::Reasoning { text, signature } => {
                parts.push(thought_part(text, signature.as_ref().map(write_signature)));
            }
            Part::SealedReasoning(sealed) => parts.push(thought_part("", Some(write_signature(sealed)))),
            Part::ToolCall { id, name, arguments } => {
                let args = parse_arguments(arguments, choice.finish)
                    .ok_or_else(|| format!("the arguments of the call of {name} are not a JSON object"))?;
                parts.push(call_part(id, name, &args, waiting.take()));
            }
            // A model's answer holds nothing else.
            Part::Image(_) | Part::Document { .. } | Part::ToolResult { .. } | Part::CachePoint(_) => {}
        }
    }
    if waiting.is_some() {
        parts.push(text_part("", waiting));
    }
    let mut out = json!({
        "content": { "parts": parts, "role": "model" },
        "finishReason": write_finish(choice.finish),
        "index": index,
    });
    if let (Some(tokens), Some(out)) = (&choice.logprobs, out.as_object_mut()) {
        out.insert("logprobsResult".to_owned(), encode_logprobs(tokens));
    }
    Ok(out)
}

/// A part with text.
pub(super) fn text_part(text: &str, signature: Option<String>) -> Value {
    signed(json!({ "text": text }), signature)
}

/// A part with what the model thought.
pub(super) fn thought_part(text: &str, signature: Option<String>) -> Value {
    signed(json!({ "text": text, "thought": true }), signature)
}

/// A part with a call.
pub(super) fn call_part(id: &str, name: &str, args: &Value, signature: Option<String>) -> Value {
    signed(json!({ "functionCall": { "id": id, "name": name, "args": args } }), signature)
}

fn signed(mut part: Value, signature: Option<String>) -> Value {
    if let (Some(signature), Some(part)) = (signature, part.as_object_mut()) {
        part.insert("thoughtSignature".to_owned(), signature.into());
    }
    part
}

/// Arguments cut off by the token limit cannot be an object; the reason of the end tells the client so.
pub(super) fn parse_arguments(arguments: &str, finish: Finish) -> Option<Value> {
    if arguments.trim().is_empty() {
        return Some(Value::Object(Map::new()));
    }
    match serde_json::from_str::<Map<String, Value>>(arguments) {
        Ok(args) => Some(Value::Object(args)),
        Err(_) => (finish == Finish::Length).then(|| Value::Object(Map::new())),
    }
}
