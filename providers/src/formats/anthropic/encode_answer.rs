//! The neutral answer, spelt as Anthropic's.

use domain::Usage;
use serde_json::{Map, Value, json};

use super::decode_answer::write_finish;
use crate::canonical::{ChatAnswer, Finish, Maker, Part};
use crate::formats::signature::write_signature;

/// Spells an answer.
///
/// # Errors
/// The reason, when a tool call's arguments are no JSON object although the answer is complete.
pub(crate) fn encode_answer(answer: &ChatAnswer) -> Result<Vec<u8>, String> {
    // The format has no second answer; a request of this format cannot have asked for one.
    let choice = answer.choices.first().ok_or("the answer has no content")?;
    let mut content = Vec::with_capacity(choice.parts.len());
    for part in &choice.parts {
        content.extend(encode_part(part, choice.finish)?);
    }
    let stop_sequence = choice.stop_sequence.as_deref();
    let body = json!({
        "id": answer.id,
        "type": "message",
        "role": "assistant",
        "model": answer.model,
        "content": content,
        "stop_reason": write_finish(choice.finish, stop_sequence),
        "stop_sequence": stop_sequence,
        "usage": encode_usage(&answer.usage),
    });
    Ok(body.to_string().into_bytes())
}

fn encode_part(part: &Part, finish: Finish) -> Result<Option<Value>, String> {
    Ok(match part {
        Part::Text { text, .. } => Some(json!({ "type": "text", "text": text })),
        Part::Reasoning { text, signature } => {
            // The field is required; unsigned thinking has an empty one.
            let signature = signature.as_ref().map(|signature| write_signature(signature, Maker::Anthropic));
            let signature = signature.unwrap_or_default();
            Some(json!({ "type": "thinking", "thinking": text, "signature": signature }))
        }
        Part::ToolCall { id, name, arguments } => {
            let input = parse_arguments(arguments, finish)
                .ok_or_else(|| format!("the arguments of the call of {name} are not a JSON object"))?;
            Some(json!({ "type": "tool_use", "id": id, "name": name, "input": input }))
        }
        Part::SealedReasoning(sealed) => {
            let data = write_signature(sealed, Maker::Anthropic);
            Some(json!({ "type": "redacted_thinking", "data": data }))
        }
        // A model's answer holds nothing else.
        Part::Image(_) | Part::Document { .. } | Part::ToolResult { .. } | Part::CachePoint(_) => None,
    })
}

/// Arguments cut off by the token limit cannot be an object; the stop reason tells the client so.
fn parse_arguments(arguments: &str, finish: Finish) -> Option<Value> {
    if arguments.trim().is_empty() {
        return Some(Value::Object(Map::new()));
    }
    match serde_json::from_str::<Map<String, Value>>(arguments) {
        Ok(input) => Some(Value::Object(input)),
        Err(_) => (finish == Finish::Length).then(|| Value::Object(Map::new())),
    }
}

/// Spells a `usage` object: the cached parts stand beside `input_tokens`.
pub(super) fn encode_usage(usage: &Usage) -> Value {
    let mut out = json!({
        "input_tokens": usage.prompt.saturating_sub(usage.cached).saturating_sub(usage.cache_write),
        "cache_creation_input_tokens": usage.cache_write,
        "cache_read_input_tokens": usage.cached,
        "output_tokens": usage.completion,
    });
    if let (true, Some(out)) = (usage.reasoning > 0, out.as_object_mut()) {
        out.insert("output_tokens_details".to_owned(), json!({ "thinking_tokens": usage.reasoning }));
    }
    out
}
