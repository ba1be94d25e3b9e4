//! The messages of the neutral request, spelt for Cohere.

use serde_json::{Map, Value, json};

use crate::Untranslatable;
use crate::canonical::{ChatRequest, Message, Part, Role};
use crate::fields::inexpressible;
use crate::formats::data_url::write_url;

/// Instructions and turns as one list. `thinks`: the model takes its earlier thoughts back.
///
/// # Errors
/// When the format has no form for a piece of the conversation.
pub(super) fn encode_messages(request: &ChatRequest, thinks: bool) -> Result<Vec<Value>, Untranslatable> {
    let mut out = Vec::with_capacity(request.messages.len() + 1);
    let system = Part::texts(&request.system);
    if !system.is_empty() {
        out.push(json!({ "role": "system", "content": system.join("\n\n") }));
    }
    for message in &request.messages {
        let path = format!("messages[{}]", message.index);
        match message.role {
            Role::User => encode_user(message, &path, &mut out)?,
            Role::Assistant => out.extend(encode_assistant(message, thinks, &path)?),
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
                let foreign = |part: &Part| !matches!(part, Part::Text { .. } | Part::CachePoint(_));
                if parts.iter().any(foreign) {
                    return Err(inexpressible(&path, "a tool result that is not text"));
                }
                let text = Part::texts(parts).join("\n");
                out.push(json!({ "role": "tool", "tool_call_id": call_id, "content": text }));
            }
            Part::Text { text, .. } => content.push(json!({ "type": "text", "text": text })),
            Part::Image(media) => {
                content.push(json!({ "type": "image_url", "image_url": { "url": write_url(media) } }));
            }
            // Only a hint, for a cache that is told where to cut.
            Part::CachePoint(_) => {}
            Part::Document { .. } => return Err(inexpressible(&path, "a document")),
            _ => return Err(inexpressible(&path, "this content of the user")),
        }
    }
    match content.as_slice() {
        [] => {}
        [only] if only.get("text").is_some() => {
            out.push(json!({ "role": "user", "content": only.get("text") }));
        }
        _ => out.push(json!({ "role": "user", "content": content })),
    }
    Ok(())
}

/// Beside tool calls, text is the plan they follow.
fn encode_assistant(message: &Message, thinks: bool, path: &str) -> Result<Option<Value>, Untranslatable> {
    let (mut content, mut calls) = (Vec::new(), Vec::new());
    for (index, part) in message.parts.iter().enumerate() {
        match part {
            Part::Text { .. } | Part::CachePoint(_) | Part::SealedReasoning(_) => {}
            // Signed thoughts are another maker's.
            Part::Reasoning { text, signature } => {
                if thinks && signature.is_none() && !text.is_empty() {
                    content.push(json!({ "type": "thinking", "thinking": text }));
                }
            }
            Part::ToolCall { id, name, arguments } => calls.push(json!({
                "id": id, "type": "function", "function": { "name": name, "arguments": arguments }
            })),
            _ => {
                let path = format!("{path}.content[{index}]");
                return Err(inexpressible(&path, "this content of the assistant"));
            }
        }
    }
    let text = Part::texts(&message.parts).concat();
    let mut out = Map::new();
    out.insert("role".to_owned(), "assistant".into());
    if !text.is_empty() && !calls.is_empty() {
        out.insert("tool_plan".to_owned(), text.into());
    } else if !text.is_empty() {
        content.push(json!({ "type": "text", "text": text }));
    }
    if !content.is_empty() {
        out.insert("content".to_owned(), content.into());
    }
    if !calls.is_empty() {
        out.insert("tool_calls".to_owned(), calls.into());
    }
    // An empty turn says nothing, and Cohere refuses it.
    Ok((out.len() > 1).then_some(Value::Object(out)))
}
