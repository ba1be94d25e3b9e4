//! The neutral answer, spelt as an OpenAI chat completion.

use std::time::{SystemTime, UNIX_EPOCH};

use domain::Usage;
use serde_json::{Map, Value, json};

use super::content::write_finish;
use crate::canonical::{ChatAnswer, Choice, Part};

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
    for part in &choice.parts {
        match part {
            Part::Text { text: piece, .. } => text.push_str(piece),
            Part::Reasoning { text: piece, .. } => reasoning.push_str(piece),
            Part::ToolCall { id, name, arguments } => calls.push(json!({
                "id": id, "type": "function", "function": { "name": name, "arguments": arguments }
            })),
            // A model's answer holds nothing else.
            Part::Image(_)
            | Part::Document { .. }
            | Part::ToolResult { .. }
            | Part::SealedReasoning(_)
            | Part::CachePoint(_) => {}
        }
    }
    let mut message = Map::new();
    message.insert("role".to_owned(), "assistant".into());
    let content = if text.is_empty() && !calls.is_empty() { Value::Null } else { text.into() };
    message.insert("content".to_owned(), content);
    message.insert("refusal".to_owned(), Value::Null);
    if !reasoning.is_empty() {
        message.insert("reasoning_content".to_owned(), reasoning.into());
    }
    let finish = choice.finish.with_calls(!calls.is_empty());
    if !calls.is_empty() {
        message.insert("tool_calls".to_owned(), calls.into());
    }
    json!({ "index": index, "message": message, "logprobs": null, "finish_reason": write_finish(finish) })
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
