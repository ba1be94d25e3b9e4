//! One item of an answer's `output`, and what an item is called.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value, json};

use super::tool_names::{Origin, unwrap_input};
use crate::canonical::Finish;

/// The id of an answer; clients and their types expect the prefix.
pub(super) fn response_id(id: &str) -> String {
    match id {
        "" => format!(
            "resp_{:x}",
            SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_nanos())
        ),
        id if id.starts_with("resp_") => id.to_owned(),
        id => format!("resp_{id}"),
    }
}

/// The id of an item: its kind's prefix, its answer and its place.
pub(super) fn item_id(prefix: &str, response: &str, index: usize) -> String {
    let base = response.strip_prefix("resp_").unwrap_or(response);
    format!("{prefix}_{base}_{index}")
}

/// Seconds since 1970 for `created_at`.
pub(super) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs())
}

/// The status of an answer, and why it is incomplete.
pub(super) fn status(finish: Finish) -> (&'static str, Value) {
    match finish {
        Finish::Stop | Finish::ToolCalls => ("completed", Value::Null),
        Finish::Length => ("incomplete", json!({ "reason": "max_output_tokens" })),
        Finish::ContentFilter => ("incomplete", json!({ "reason": "content_filter" })),
    }
}

/// A message of one text.
pub(super) fn message(id: &str, status: &str, text: &str, logprobs: &[Value]) -> Value {
    let content = output_text(text, logprobs);
    json!({ "id": id, "type": "message", "status": status, "role": "assistant", "content": [content] })
}

/// The text of a message.
pub(super) fn output_text(text: &str, logprobs: &[Value]) -> Value {
    json!({ "type": "output_text", "text": text, "annotations": [], "logprobs": logprobs })
}

/// Thoughts. None: only their maker can read them.
pub(super) fn reasoning(id: &str, text: Option<&str>, encrypted: Option<String>) -> Value {
    let summary: Vec<Value> = text.map(summary_text).into_iter().collect();
    let mut item = json!({ "id": id, "type": "reasoning", "summary": summary });
    if let (Some(encrypted), Some(item)) = (encrypted, item.as_object_mut()) {
        item.insert("encrypted_content".to_owned(), encrypted.into());
    }
    item
}

/// The text of a thought.
pub(super) fn summary_text(text: &str) -> Value {
    json!({ "type": "summary_text", "text": text })
}

/// A call of a function, or of the custom tool it stands for.
pub(super) fn call(id: &str, status: &str, call_id: &str, origin: &Origin, arguments: &str) -> Value {
    let mut item = Map::new();
    let mut put = |field: &str, value: Value| item.insert(field.to_owned(), value);
    put("id", id.into());
    put("type", if origin.custom { "custom_tool_call" } else { "function_call" }.into());
    put("status", status.into());
    if origin.custom {
        let input = if arguments.is_empty() { String::new() } else { unwrap_input(arguments) };
        put("input", input.into());
    } else {
        put("arguments", arguments.into());
    }
    put("call_id", call_id.into());
    put("name", origin.name.clone().into());
    if let Some(namespace) = &origin.namespace {
        put("namespace", namespace.clone().into());
    }
    Value::Object(item)
}

/// The prefix of a call's id.
pub(super) fn call_prefix(origin: &Origin) -> &'static str {
    if origin.custom { "ctc" } else { "fc" }
}

/// A call without arguments is one with an empty object: clients parse the text.
pub(super) fn or_empty_object(arguments: &str) -> &str {
    if arguments.trim().is_empty() { "{}" } else { arguments }
}
