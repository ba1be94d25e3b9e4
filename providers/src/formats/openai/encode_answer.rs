//! The neutral answer, spelt as an OpenAI chat completion.

use std::time::{SystemTime, UNIX_EPOCH};

use domain::Usage;
use serde_json::{Map, Value, json};

use super::content::write_finish;
use super::reasoning_details::{Reader, call_signature, details, extra_content};
use crate::canonical::{ChatAnswer, Choice, Part, Signature};

/// Spells an answer.
pub(crate) fn encode_answer(answer: &ChatAnswer) -> Vec<u8> {
    let choices: Vec<Value> =
        answer.choices.iter().enumerate().map(|(index, choice)| encode_choice(index, choice)).collect();
    json!({
        "id": answer.id,
        "object": "chat.completion",
        "created": now(),
        "model": answer.model,
        "choices": choices,
        "usage": encode_usage(&answer.usage),
    })
    .to_string()
    .into_bytes()
}

fn encode_choice(index: usize, choice: &Choice) -> Value {
    let (mut text, mut reasoning) = (String::new(), String::new());
    let mut calls = Vec::new();
    let mut before = None;
    for part in &choice.parts {
        match part {
            Part::Text { text: piece, .. } => text.push_str(piece),
            Part::Reasoning { text: piece, .. } => reasoning.push_str(piece),
            Part::ToolCall { id, name, arguments } => {
                let function = json!({ "name": name, "arguments": arguments });
                calls.push(encode_call(None, id, function, call_signature(before)));
            }
            // Sealed reasoning is among the details below; a model's answer holds nothing else.
            Part::SealedReasoning(_)
            | Part::Image(_)
            | Part::Document { .. }
            | Part::ToolResult { .. }
            | Part::CachePoint(_) => {}
        }
        before = Some(part);
    }
    let mut message = Map::new();
    message.insert("role".to_owned(), "assistant".into());
    let content = if text.is_empty() && !calls.is_empty() { Value::Null } else { text.into() };
    message.insert("content".to_owned(), content);
    message.insert("refusal".to_owned(), Value::Null);
    if !reasoning.is_empty() {
        message.insert("reasoning_content".to_owned(), reasoning.into());
    }
    let details = details(&choice.parts, Reader::Client);
    if !details.is_empty() {
        message.insert("reasoning_details".to_owned(), details.into());
    }
    let finish = choice.finish.with_calls(!calls.is_empty());
    if !calls.is_empty() {
        message.insert("tool_calls".to_owned(), calls.into());
    }
    let logprobs = encode_logprobs(choice.logprobs.as_deref());
    json!({ "index": index, "message": message, "logprobs": logprobs, "finish_reason": write_finish(finish) })
}

/// One entry of `tool_calls`; `index` only in streams.
pub(super) fn encode_call(
    index: Option<usize>,
    id: &str,
    function: Value,
    signature: Option<&Signature>,
) -> Value {
    let mut call = Map::new();
    if let Some(index) = index {
        call.insert("index".to_owned(), index.into());
    }
    call.insert("id".to_owned(), id.into());
    call.insert("type".to_owned(), "function".into());
    call.insert("function".to_owned(), function);
    if let Some(signature) = signature {
        call.insert("extra_content".to_owned(), extra_content(signature));
    }
    Value::Object(call)
}

/// The `logprobs` of a choice.
pub(super) fn encode_logprobs(tokens: Option<&[Value]>) -> Value {
    tokens.map_or(Value::Null, |tokens| json!({ "content": tokens, "refusal": null }))
}

/// Spells a `usage` object.
pub(super) fn encode_usage(usage: &Usage) -> Value {
    let mut prompt = json!({ "cached_tokens": usage.cached });
    if let (true, Some(prompt)) = (usage.cache_write > 0, prompt.as_object_mut()) {
        prompt.insert("cache_write_tokens".to_owned(), usage.cache_write.into());
    }
    json!({
        "prompt_tokens": usage.prompt,
        "completion_tokens": usage.completion,
        "total_tokens": usage.total(),
        "prompt_tokens_details": prompt,
        "completion_tokens_details": { "reasoning_tokens": usage.reasoning },
    })
}

/// Seconds since 1970 for `created`, which clients require and other formats do not give.
pub(super) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs())
}
