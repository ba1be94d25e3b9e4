//! The messages of an Anthropic request.

use serde_json::{Map, Value};

use super::decode_answer::signature;
use crate::Untranslatable;
use crate::canonical::{Media, Message, Part, Role};
use crate::fields::{
    inexpressible, misshapen, need_object, need_text, take, take_flag, take_list, take_text,
};
use crate::formats::cache_control::take_cache_point;

/// Takes `messages` out of the body. Instructions between the turns (beta `mid-conversation-system`) go to
/// `system`, because the other formats have one place for them.
pub(super) fn take_messages(
    map: &mut Map<String, Value>,
    system: &mut Vec<Part>,
) -> Result<Vec<Message>, Untranslatable> {
    let mut messages = Vec::new();
    for (index, message) in take_list(map, "messages", "")?.into_iter().enumerate() {
        let path = format!("messages[{index}]");
        let mut message = need_object(message, &path)?;
        let role = match need_text(&mut message, "role", &path)?.as_str() {
            "user" => Role::User,
            "assistant" => Role::Assistant,
            "system" => {
                system.extend(take_content(&mut message, "content", &path)?);
                continue;
            }
            _ => return Err(misshapen(&format!("{path}.role"), "user, assistant or system")),
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
                decode_block(item, &format!("{path}[{index}]"), &mut parts)?;
            }
            Ok(parts)
        }
        Some(_) => Err(misshapen(&path, "a string or a list of blocks")),
    }
}

fn decode_block(block: Value, path: &str, out: &mut Vec<Part>) -> Result<(), Untranslatable> {
    let mut map = need_object(block, path)?;
    let mut cache_point = take_cache_point(&mut map);
    match need_text(&mut map, "type", path)?.as_str() {
        // Citations beside the text mean something to Anthropic only.
        "text" => out.push(Part::text(need_text(&mut map, "text", path)?)),
        "image" => out.push(Part::Image(take_source(&mut map, path)?)),
        "document" => take_document(&mut map, path, out)?,
        "tool_use" => out.push(Part::ToolCall {
            id: need_text(&mut map, "id", path)?,
            name: need_text(&mut map, "name", path)?,
            arguments: take(&mut map, "input").unwrap_or_else(|| Value::Object(Map::new())).to_string(),
        }),
        "tool_result" => {
            let mut parts = take_content(&mut map, "content", path)?;
            // A point within a result lies as well behind it, where every format can have one.
            while let Some(at) = parts.iter().rposition(|part| matches!(part, Part::CachePoint(_))) {
                if let Part::CachePoint(inner) = parts.remove(at) {
                    cache_point = cache_point.or(Some(inner));
                }
            }
            let call_id = need_text(&mut map, "tool_use_id", path)?;
            let is_error = take_flag(&mut map, "is_error")?.unwrap_or(false);
            out.push(Part::ToolResult { call_id, parts, is_error });
        }
        "thinking" => out.push(Part::Reasoning {
            text: need_text(&mut map, "thinking", path)?,
            signature: take_text(&mut map, "signature", path)?.and_then(signature),
        }),
        "redacted_thinking" => {
            out.extend(signature(need_text(&mut map, "data", path)?).map(Part::SealedReasoning));
        }
        other => return Err(inexpressible(path, other)),
    }
    out.extend(cache_point.map(Part::CachePoint));
    Ok(())
}

/// A document of text becomes text behind its title, because most formats know no other documents than
/// PDF.
fn take_document(
    map: &mut Map<String, Value>,
    path: &str,
    out: &mut Vec<Part>,
) -> Result<(), Untranslatable> {
    let name = take_text(map, "title", path)?;
    let context = take_text(map, "context", path)?;
    let kind = map.get("source").and_then(|source| source.get("type")).and_then(Value::as_str);
    if !matches!(kind, Some("text" | "content")) {
        out.extend(context.map(Part::text));
        out.push(Part::Document { media: take_source(map, path)?, name });
        return Ok(());
    }
    let plain = kind == Some("text");
    let path = format!("{path}.source");
    let mut source = need_object(take(map, "source").unwrap_or_default(), &path)?;
    let heading: Vec<String> = name.into_iter().chain(context).collect();
    if plain {
        let text = need_text(&mut source, "data", &path)?;
        out.push(Part::text(heading.into_iter().chain([text]).collect::<Vec<_>>().join("\n")));
    } else {
        out.extend(heading.into_iter().map(Part::text));
        out.extend(take_content(&mut source, "content", &path)?);
    }
    Ok(())
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
