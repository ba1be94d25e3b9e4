//! A client's request with the beginning of its answer at the end.

use bytes::Bytes;
use serde_json::{Map, Value, json};

use crate::{Operation, RequestHead, read_request_head};

/// The request in the client's own format, so that it is translated like any other. None when the answer
/// is still empty, when the request asks the model to think (providers refuse a prefill then), or when its
/// last message is the assistant's already.
pub(super) fn request(
    operation: Operation,
    head: &RequestHead,
    body: &Bytes,
    text: &str,
) -> Option<(RequestHead, Bytes)> {
    if text.is_empty() {
        return None;
    }
    let mut fields: Map<String, Value> = serde_json::from_slice(body).ok()?;
    if asks_to_think(&fields) {
        return None;
    }
    let (list, message) = match operation {
        Operation::ChatCompletions | Operation::Messages => {
            ("messages", json!({ "role": "assistant", "content": text }))
        }
        Operation::Responses => {
            let part = json!({ "type": "output_text", "text": text });
            ("input", json!({ "type": "message", "role": "assistant", "content": [part] }))
        }
        Operation::StreamGenerateContent => {
            ("contents", json!({ "role": "model", "parts": [{ "text": text }] }))
        }
        _ => return None,
    };
    let list = fields.get_mut(list)?;
    if let Value::String(prompt) = list {
        *list = json!([{ "role": "user", "content": prompt }]);
    }
    let messages = list.as_array_mut()?;
    let last = messages.last()?.get("role").and_then(Value::as_str);
    if matches!(last, Some("assistant" | "model")) {
        return None;
    }
    messages.push(message);
    let body = Bytes::from(serde_json::to_vec(&fields).ok()?);
    // Gemini's clients name the model in the path, and nothing of theirs has moved.
    let head = match operation {
        Operation::StreamGenerateContent => head.clone(),
        _ => read_request_head(operation, "", &body).ok()?,
    };
    Some((head, body))
}

fn asks_to_think(fields: &Map<String, Value>) -> bool {
    let disabled = |value: &Value| {
        let word = value.as_str().or_else(|| value.get("type")?.as_str());
        value.is_null() || matches!(word, Some("disabled" | "none"))
    };
    ["thinking", "reasoning_effort", "reasoning"]
        .iter()
        .any(|field| fields.get(*field).is_some_and(|value| !disabled(value)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefilled(operation: Operation, body: &'static str) -> Option<Value> {
        let body = Bytes::from_static(body.as_bytes());
        let head =
            read_request_head(operation, "/v1beta/models/m:streamGenerateContent?alt=sse", &body).unwrap();
        let (_, body) = request(operation, &head, &body, "so far")?;
        Some(serde_json::from_slice(&body).unwrap())
    }

    #[test]
    fn what_was_said_ends_the_conversation_in_each_clients_words() {
        let chat = r#"{"model":"m","messages":[{"role":"user","content":"x"}],"temperature":0}"#;
        let sent = prefilled(Operation::ChatCompletions, chat).unwrap();
        assert_eq!(sent["messages"][1], json!({ "role": "assistant", "content": "so far" }));
        assert_eq!(sent["temperature"], 0);
        let sent = prefilled(Operation::Responses, r#"{"model":"m","input":"x"}"#).unwrap();
        assert_eq!(sent["input"][1]["content"][0]["text"], "so far");
        let gemini = r#"{"contents":[{"role":"user","parts":[{"text":"x"}]}]}"#;
        let sent = prefilled(Operation::StreamGenerateContent, gemini).unwrap();
        assert_eq!(sent["contents"][1]["parts"][0]["text"], "so far");
    }

    #[test]
    fn thinking_and_the_clients_own_prefill_are_left_alone() {
        for body in [
            r#"{"model":"m","messages":[{"role":"user","content":"x"}],"thinking":{"type":"enabled"}}"#,
            r#"{"model":"m","messages":[{"role":"user","content":"x"},{"role":"assistant","content":"y"}]}"#,
            r#"{"model":"m","messages":[]}"#,
        ] {
            assert_eq!(prefilled(Operation::Messages, body), None, "{body}");
        }
    }
}
