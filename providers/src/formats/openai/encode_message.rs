//! The messages of the neutral request, spelt for OpenAI.

use serde_json::{Map, Value, json};

use super::encode_answer::encode_call;
use super::reasoning_details::{Reader, call_signature, details};
use crate::canonical::{ChatRequest, Media, Message, Part, Role};
use crate::fields::{inexpressible, misshapen};
use crate::formats::data_url::write_url;
use crate::formats::text_document::decode_text;
use crate::{ReasoningField, Untranslatable};

/// Instructions and turns as one list.
pub(super) fn encode_messages(
    request: &ChatRequest,
    reasoning: ReasoningField,
) -> Result<Vec<Value>, Untranslatable> {
    let mut out = Vec::with_capacity(request.messages.len() + 1);
    let system = Part::texts(&request.system);
    if !system.is_empty() {
        out.push(json!({ "role": "system", "content": system.join("\n\n") }));
    }
    let mut moved = Vec::new();
    for message in &request.messages {
        let path = format!("messages[{}]", message.index);
        match message.role {
            Role::User => encode_user(message, &path, &mut moved, &mut out)?,
            Role::Assistant => {
                push_user(&mut moved, Vec::new(), &mut out);
                out.push(encode_assistant(message, reasoning, &path)?);
            }
        }
    }
    push_user(&mut moved, Vec::new(), &mut out);
    Ok(out)
}

/// A tool's answer is a message of its own; it stands before the text of the same turn. Such a message
/// holds text only, so the pictures and documents of all results of a turn move into the user's message
/// behind them: nothing may stand between the results.
fn encode_user(
    message: &Message,
    path: &str,
    moved: &mut Vec<Value>,
    out: &mut Vec<Value>,
) -> Result<(), Untranslatable> {
    let mut content = Vec::new();
    for (index, part) in message.parts.iter().enumerate() {
        let path = format!("{path}.content[{index}]");
        match part {
            Part::ToolResult { call_id, parts, .. } => {
                out.push(encode_result(call_id, parts, &path, moved)?);
            }
            Part::CachePoint(_) => {}
            part => content.push(encode_part(part, &path)?),
        }
    }
    if !content.is_empty() {
        push_user(moved, content, out);
    }
    Ok(())
}

/// What was moved, and what the user says behind it.
fn push_user(moved: &mut Vec<Value>, said: Vec<Value>, out: &mut Vec<Value>) {
    let mut content = std::mem::take(moved);
    content.extend(said);
    match content.as_slice() {
        [] => {}
        // Some compatible servers take nothing but a string.
        [part] if part.get("type").is_some_and(|kind| kind == "text") => {
            out.push(json!({ "role": "user", "content": part.get("text") }));
        }
        _ => out.push(json!({ "role": "user", "content": content })),
    }
}

fn encode_result(
    call_id: &str,
    parts: &[Part],
    path: &str,
    moved: &mut Vec<Value>,
) -> Result<Value, Untranslatable> {
    let mut text = Part::texts(parts).join("\n");
    let mut others =
        parts.iter().filter(|part| !matches!(part, Part::Text { .. } | Part::CachePoint(_))).peekable();
    if others.peek().is_some() {
        moved.push(json!({ "type": "text", "text": format!("Result of the tool call {call_id}:") }));
        if text.is_empty() {
            "The result is in the next message of the user.".clone_into(&mut text);
        }
    }
    for part in others {
        moved.push(encode_part(part, path)?);
    }
    Ok(json!({ "role": "tool", "tool_call_id": call_id, "content": text }))
}

fn encode_part(part: &Part, path: &str) -> Result<Value, Untranslatable> {
    match part {
        Part::Text { text, .. } => Ok(json!({ "type": "text", "text": text })),
        Part::Image(media) => Ok(json!({ "type": "image_url", "image_url": { "url": write_url(media) } })),
        Part::Document { media: Media::Base64 { media_type, payload }, name }
            if media_type.starts_with("text/") =>
        {
            let text = decode_text(payload)
                .ok_or_else(|| misshapen(path, "a document whose base64 holds text in UTF-8"))?;
            let name = name.as_ref().map(|name| format!("{name}\n"));
            Ok(json!({ "type": "text", "text": name.unwrap_or_default() + &text }))
        }
        Part::Document { media: media @ Media::Base64 { .. }, name } => {
            let name = name.as_deref().unwrap_or("document.pdf");
            Ok(json!({ "type": "file", "file": { "filename": name, "file_data": write_url(media) } }))
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
    let text = Part::texts(&message.parts).concat();
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
