//! The messages of an Anthropic request.

use serde_json::{Map, Value};

use super::decode_answer::signature;
use crate::Untranslatable;
use crate::canonical::{Media, Message, Part, Role};
use crate::fields::{
    inexpressible, misshapen, need_object, need_text, take, take_flag, take_list, take_text,
};

/// Takes `messages` out of the body.
pub(super) fn take_messages(map: &mut Map<String, Value>) -> Result<Vec<Message>, Untranslatable> {
    let mut messages = Vec::new();
    for (index, message) in take_list(map, "messages", "")?.into_iter().enumerate() {
        let path = format!("messages[{index}]");
        let mut message = need_object(message, &path)?;
        let role = match need_text(&mut message, "role", &path)?.as_str() {
            "user" => Role::User,
            "assistant" => Role::Assistant,
            _ => return Err(misshapen(&format!("{path}.role"), "user or assistant")),
        };
        messages.push(Message { index, role, parts: take_content(&mut message, "content", &path)? });
    }
    Ok(messages)
}

/// Takes a string or a list of blocks out.
pub(super) fn take_content(
    map: &mut Map<String, Value>,
    field: &str,
    path: &str,
) -> Result<Vec<Part>, Untranslatable> {
    let path = if path.is_empty() { field.to_owned() } else { format!("{path}.{field}") };
    match take(map, field) {
        None => Ok(Vec::new()),
        Some(Value::String(text)) => Ok(vec![Part::text(text)]),
        Some(Value::Array(items)) => {
            let mut parts = Vec::with_capacity(items.len());
            for (index, item) in items.into_iter().enumerate() {
                parts.extend(decode_block(item, &format!("{path}[{index}]"))?);
            }
            Ok(parts)
        }
        Some(_) => Err(misshapen(&path, "a string or a list of blocks")),
    }
}

fn decode_block(block: Value, path: &str) -> Result<Option<Part>, Untranslatable> {
    let mut map = need_object(block, path)?;
    Ok(Some(match need_text(&mut map, "type", path)?.as_str() {
        // What stands beside the text (cache_control, citations) means something to Anthropic only.
        "text" => Part::text(need_text(&mut map, "text", path)?),
        "image" => Part::Image(take_source(&mut map, path)?),
        "document" => take_document(&mut map, path)?,
        "tool_use" => Part::ToolCall {
            id: need_text(&mut map, "id", path)?,
            name: need_text(&mut map, "name", path)?,
            arguments: take(&mut map, "input").unwrap_or_else(|| Value::Object(Map::new())).to_string(),
        },
        "tool_result" => Part::ToolResult {
            call_id: need_text(&mut map, "tool_use_id", path)?,
            is_error: take_flag(&mut map, "is_error")?.unwrap_or(false),
            parts: take_content(&mut map, "content", path)?,
        },
        "thinking" => Part::Reasoning {
            text: need_text(&mut map, "thinking", path)?,
            signature: take_text(&mut map, "signature", path)?.and_then(signature),
        },
        "redacted_thinking" => {
            return Ok(signature(need_text(&mut map, "data", path)?).map(Part::SealedReasoning));
        }
        other => return Err(inexpressible(path, other)),
    }))
}

fn take_document(map: &mut Map<String, Value>, path: &str) -> Result<Part, Untranslatable> {
    let name = take_text(map, "title", path)?;
    let source = map.get("source");
    if source.and_then(|source| source.get("type")).is_some_and(|kind| kind == "text") {
        let text = source.and_then(|source| source.get("data")).and_then(Value::as_str);
        return text.map(Part::text).ok_or_else(|| misshapen(&format!("{path}.source.data"), "a string"));
    }
    Ok(Part::Document { media: take_source(map, path)?, name })
}

fn take_source(map: &mut Map<String, Value>, path: &str) -> Result<Media, Untranslatable> {
    let path = format!("{path}.source");
    let mut source = need_object(take(map, "source").unwrap_or_default(), &path)?;
    match need_text(&mut source, "type", &path)?.as_str() {
        "url" => Ok(Media::Url(need_text(&mut source, "url", &path)?)),
        "base64" => Ok(Media::Base64 {
            media_type: need_text(&mut source, "media_type", &path)?,
            payload: need_text(&mut source, "data", &path)?,
        }),
        other => Err(inexpressible(&path, other)),
    }
}
