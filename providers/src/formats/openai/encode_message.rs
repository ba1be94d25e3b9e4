//! The messages of the neutral request, spelt for OpenAI.

use serde_json::{Map, Value, json};

use super::encode_answer::encode_call;
use super::reasoning_details::{Reader, call_signature, details};
use crate::canonical::{ChatRequest, Media, Message, Part, Role};
use crate::fields::inexpressible;
use crate::{ReasoningField, Untranslatable};

/// Instructions and turns as one list.
pub(super) fn encode_messages(
    request: &ChatRequest,
    reasoning: ReasoningField,
) -> Result<Vec<Value>, Untranslatable> {
    let mut out = Vec::with_capacity(request.messages.len() + 1);
    let system = texts(&request.system);
    if !system.is_empty() {
        out.push(json!({ "role": "system", "content": system.join("\n\n") }));
    }
    for message in &request.messages {
        let path = format!("messages[{}]", message.index);
        match message.role {
            Role::User => encode_user(message, &path, &mut out)?,
            Role::Assistant => out.push(encode_assistant(message, reasoning, &path)?),
        }
    }
    Ok(out)
}

/// A tool's answer is a message of its own; it stands before the text of the same turn.
fn encode_user(message: &Message, path: &str, out: &mut Vec<Value>) -> Result<(), Untranslatable> {
    let mut content = Vec::new();
    for (index, part) in message.parts.iter().enumerate() {
        let path = format!("{path}.content[{index}]");
        match part {
            Part::ToolResult { call_id, parts, .. } => {
                if parts.iter().any(|part| !matches!(part, Part::Text { .. })) {
                    return Err(inexpressible(&path, "a tool result that is not text"));
                }
                out.push(
                    json!({ "role": "tool", "tool_call_id": call_id, "content": texts(parts).join("\n") }),
                );
            }
            part => content.push(encode_part(part, &path)?),
        }
    }
    match message.parts.as_slice() {
        // Some compatible servers take nothing but a string.
        [Part::Text { text, .. }] => out.push(json!({ "role": "user", "content": text })),
        _ if content.is_empty() => {}
        _ => out.push(json!({ "role": "user", "content": content })),
    }
    Ok(())
}

fn encode_part(part: &Part, path: &str) -> Result<Value, Untranslatable> {
    match part {
        Part::Text { text, .. } => Ok(json!({ "type": "text", "text": text })),
        Part::Image(media) => Ok(json!({ "type": "image_url", "image_url": { "url": data_url(media) } })),
        Part::Document { media: media @ Media::Base64 { .. }, name } => {
            let name = name.as_deref().unwrap_or("document.pdf");
            Ok(json!({ "type": "file", "file": { "filename": name, "file_data": data_url(media) } }))
        }
        Part::Document { media: Media::Url(_), .. } => Err(inexpressible(path, "a document by its address")),
        Part::ToolCall { .. } => Err(inexpressible(path, "a tool call of the user")),
        Part::ToolResult { .. } => Err(inexpressible(path, "a tool result within a tool result")),
        Part::Reasoning { .. } | Part::SealedReasoning(_) => Err(inexpressible(path, "thinking of the user")),
        Part::CachePoint(_) => Err(inexpressible(path, "a cache point")),
    }
}

fn encode_assistant(
    message: &Message,
    reasoning: ReasoningField,
    path: &str,
) -> Result<Value, Untranslatable> {
    let mut calls = Vec::new();
    let mut before = None;
    for (index, part) in message.parts.iter().enumerate() {
        match part {
            Part::Text { .. } | Part::Reasoning { .. } | Part::SealedReasoning(_) | Part::CachePoint(_) => {}
            Part::ToolCall { id, name, arguments } => {
                let signature = call_signature(before).filter(|_| reasoning == ReasoningField::CallSignature);
                let function = json!({ "name": name, "arguments": arguments });
                calls.push(encode_call(None, id, function, signature));
            }
            _ => {
                return Err(inexpressible(
                    &format!("{path}.content[{index}]"),
                    "this content of the assistant",
                ));
            }
        }
        before = Some(part);
    }
    let text = texts(&message.parts).concat();
    let mut out = Map::new();
    out.insert("role".to_owned(), "assistant".into());
    let content = if text.is_empty() && !calls.is_empty() { Value::Null } else { text.into() };
    out.insert("content".to_owned(), content);
    if let Some((field, value)) = encode_reasoning(&message.parts, reasoning) {
        out.insert(field.to_owned(), value);
    }
    if !calls.is_empty() {
        out.insert("tool_calls".to_owned(), calls.into());
    }
    Ok(Value::Object(out))
}

/// Thinking goes back to the provider that can read it; no other gets it.
fn encode_reasoning(parts: &[Part], field: ReasoningField) -> Option<(&'static str, Value)> {
    match field {
        ReasoningField::Details => {
            let details = details(parts, Reader::Provider);
            (!details.is_empty()).then(|| ("reasoning_details", details.into()))
        }
        ReasoningField::Content => {
            // What another maker has signed is that maker's.
            let plain = parts.iter().filter_map(|part| match part {
                Part::Reasoning { text, signature: None } => Some(text.as_str()),
                _ => None,
            });
            let text: String = plain.collect();
            (!text.is_empty()).then(|| ("reasoning_content", text.into()))
        }
        ReasoningField::None | ReasoningField::CallSignature => None,
    }
}

fn texts(parts: &[Part]) -> Vec<&str> {
    parts
        .iter()
        .filter_map(|part| match part {
            Part::Text { text, .. } => Some(text.as_str()),
            _ => None,
        })
        .collect()
}

fn data_url(media: &Media) -> String {
    match media {
        Media::Url(url) => url.clone(),
        Media::Base64 { media_type, payload } => format!("data:{media_type};base64,{payload}"),
    }
}
