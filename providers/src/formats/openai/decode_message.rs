//! The messages of an OpenAI chat request.

use serde_json::{Map, Value};

use super::content::Content;
use super::reasoning_details::{read_call_signature, read_details};
use crate::Untranslatable;
use crate::canonical::{ChatRequest, Message, Part, Role};
use crate::fields::{inexpressible, misshapen, need_object, need_text, take, take_list, take_text};
use crate::formats::cache_control::take_cache_point;
use crate::formats::data_url::read_url;

/// Takes `messages` out of the body. System and developer messages become the instructions, wherever
/// they stand, because the other formats have one place for them.
pub(super) fn take_messages(
    map: &mut Map<String, Value>,
    request: &mut ChatRequest,
) -> Result<(), Untranslatable> {
    for (index, message) in take_list(map, "messages", "")?.into_iter().enumerate() {
        let path = format!("messages[{index}]");
        let mut message = need_object(message, &path)?;
        let role = need_text(&mut message, "role", &path)?;
        let named = take(&mut message, "name").is_some();
        match role.as_str() {
            "system" | "developer" => request.system.extend(take_content(&mut message, &path)?),
            "user" => {
                let parts = take_content(&mut message, &path)?;
                request.messages.push(Message { index, role: Role::User, parts });
            }
            "assistant" => {
                let parts = take_assistant(&mut message, &path)?;
                request.messages.push(Message { index, role: Role::Assistant, parts });
            }
            "tool" => {
                let call_id = need_text(&mut message, "tool_call_id", &path)?;
                let (points, parts) = take_content(&mut message, &path)?
                    .into_iter()
                    .partition(|part| matches!(part, Part::CachePoint(_)));
                let mut result: Vec<Part> = vec![Part::ToolResult { call_id, parts, is_error: false }];
                result.extend(Vec::into_iter(points).next_back());
                request.messages.push(Message { index, role: Role::User, parts: result });
            }
            other => return Err(inexpressible(&format!("{path}.role"), other)),
        }
        // A tool's name only repeats the call's; a participant's name has no place elsewhere.
        if named && role != "tool" {
            request.particular.push(format!("{path}.name"));
        }
    }
    Ok(())
}

fn take_assistant(message: &mut Map<String, Value>, path: &str) -> Result<Vec<Part>, Untranslatable> {
    if take(message, "function_call").is_some() {
        return Err(inexpressible(&format!("{path}.function_call"), "a deprecated function call"));
    }
    let mut parts = take_reasoning(message, path)?;
    parts.extend(take_content(message, path)?);
    parts.extend(take_text(message, "refusal", path)?.map(Part::text));
    for (index, call) in take_list(message, "tool_calls", path)?.into_iter().enumerate() {
        let path = format!("{path}.tool_calls[{index}]");
        let mut call = need_object(call, &path)?;
        let Some(function) = take(&mut call, "function") else {
            return Err(inexpressible(&path, "a call of something other than a function"));
        };
        let mut function = need_object(function, &format!("{path}.function"))?;
        let (extra, litellm) =
            (take(&mut call, "extra_content"), take(&mut call, "provider_specific_fields"));
        parts.extend(
            read_call_signature(extra.as_ref(), litellm.as_ref())
                .map(|signature| Part::Reasoning { text: String::new(), signature: Some(signature) }),
        );
        parts.push(Part::ToolCall {
            id: need_text(&mut call, "id", &path)?,
            name: need_text(&mut function, "name", &path)?,
            arguments: take_arguments(&mut function, &format!("{path}.function"))?,
        });
    }
    Ok(parts)
}

/// The reasoning in whichever field says most about it.
fn take_reasoning(message: &mut Map<String, Value>, path: &str) -> Result<Vec<Part>, Untranslatable> {
    let details = take_list(message, "reasoning_details", path)?;
    let blocks = take_list(message, "thinking_blocks", path)?;
    let plain = take_text(message, "reasoning_content", path)?;
    let plain = take_text(message, "reasoning", path)?.or(plain);
    let parts = read_details(if details.is_empty() { &blocks } else { &details });
    if !parts.is_empty() {
        return Ok(parts);
    }
    let plain = plain.filter(|text| !text.is_empty());
    Ok(plain.map(|text| Part::Reasoning { text, signature: None }).into_iter().collect())
}

/// The JSON text of a call's arguments; the text itself is kept, so that numbers stay as they are.
fn take_arguments(function: &mut Map<String, Value>, path: &str) -> Result<String, Untranslatable> {
    let text = take_text(function, "arguments", path)?.filter(|text| !text.trim().is_empty());
    let text = text.unwrap_or_else(|| "{}".to_owned());
    match serde_json::from_str::<Map<String, Value>>(&text) {
        Ok(_) => Ok(text),
        Err(_) => Err(misshapen(&format!("{path}.arguments"), "the text of a JSON object")),
    }
}

fn take_content(message: &mut Map<String, Value>, path: &str) -> Result<Vec<Part>, Untranslatable> {
    let path = format!("{path}.content");
    // LiteLLM's clients mark a whole message.
    let cache_point = take_cache_point(message);
    let mut parts = Vec::new();
    match take(message, "content") {
        None => {}
        Some(Value::String(text)) => parts.push(Part::text(text)),
        Some(Value::Array(items)) => {
            for (index, item) in items.into_iter().enumerate() {
                let path = format!("{path}[{index}]");
                let mut part = need_object(item, &path)?;
                let cache_point = take_cache_point(&mut part);
                parts.push(decode_part(part, &path)?);
                parts.extend(cache_point.map(Part::CachePoint));
            }
        }
        Some(_) => return Err(misshapen(&path, "a string or a list of parts")),
    }
    parts.extend(cache_point.map(Part::CachePoint));
    Ok(parts)
}

fn decode_part(mut map: Map<String, Value>, path: &str) -> Result<Part, Untranslatable> {
    match need_text(&mut map, "type", path)?.as_str() {
        "text" => Ok(Part::Text { text: need_text(&mut map, "text", path)?, rest: map }),
        "refusal" => Ok(Part::text(need_text(&mut map, "refusal", path)?)),
        // Mistral's, which no one else takes back.
        "thinking" => {
            let mut content = Content::default();
            content.take(&Value::Object(map));
            Ok(Part::Reasoning { text: content.reasoning.concat(), signature: None })
        }
        "image_url" => {
            let path = format!("{path}.image_url");
            // Some clients write the URL without its object.
            let url = match take(&mut map, "image_url") {
                Some(Value::String(url)) => url,
                other => need_text(&mut need_object(other.unwrap_or_default(), &path)?, "url", &path)?,
            };
            Ok(Part::Image(read_url(url, &path)?))
        }
        "file" => {
            let path = format!("{path}.file");
            let mut file = need_object(take(&mut map, "file").unwrap_or_default(), &path)?;
            let name = take_text(&mut file, "filename", &path)?;
            let held = take_text(&mut file, "file_id", &path)?;
            // LiteLLM's clients write a web address in place of an id.
            let address = held.filter(|id| id.starts_with("https://") || id.starts_with("http://"));
            match take_text(&mut file, "file_data", &path)?.or(address) {
                Some(url) => Ok(Part::Document { media: read_url(url, &path)?, name }),
                None => Err(inexpressible(&path, "a file that the provider does not hold")),
            }
        }
        // Mistral's.
        "document_url" => {
            let name = take_text(&mut map, "document_name", path)?;
            let url = need_text(&mut map, "document_url", path)?;
            Ok(Part::Document { media: read_url(url, path)?, name })
        }
        other => Err(inexpressible(path, other)),
    }
}
