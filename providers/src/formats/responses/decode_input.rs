//! The `input` of a request: a string, or messages, calls, their results and thoughts as one list.

use serde_json::{Map, Value};

use super::decode_content::take_parts;
use super::tool_names::{function_name, wrap_input};
use crate::Untranslatable;
use crate::canonical::{ChatRequest, Maker, Message, Part, Role};
use crate::fields::{inexpressible, misshapen, need_object, need_text, take, take_list, take_text};
use crate::formats::signature::read_signature;

/// Takes `input` out of the body. System and developer messages become instructions, wherever they
/// stand, because most formats have one place for them.
pub(super) fn take_input(
    map: &mut Map<String, Value>,
    request: &mut ChatRequest,
) -> Result<(), Untranslatable> {
    match take(map, "input") {
        None => Ok(()),
        Some(Value::String(text)) => {
            request.messages.push(Message { index: 0, role: Role::User, parts: vec![Part::text(text)] });
            Ok(())
        }
        Some(Value::Array(items)) => {
            for (index, item) in items.into_iter().enumerate() {
                take_item(index, item, request)?;
            }
            Ok(())
        }
        Some(_) => Err(misshapen("input", "a string or a list of items")),
    }
}

fn take_item(index: usize, item: Value, request: &mut ChatRequest) -> Result<(), Untranslatable> {
    let path = format!("input[{index}]");
    let mut item = need_object(item, &path)?;
    let kind = take_text(&mut item, "type", &path)?.unwrap_or_else(|| "message".to_owned());
    match kind.as_str() {
        "message" => return take_message(index, &mut item, request, &path),
        "function_call" => {
            let arguments = take_arguments(&mut item, &path)?;
            said(index, take_call(&mut item, arguments, &path)?, request);
        }
        "custom_tool_call" => {
            let input = take_text(&mut item, "input", &path)?.unwrap_or_default();
            said(index, take_call(&mut item, wrap_input(input), &path)?, request);
        }
        "function_call_output" | "custom_tool_call_output" => {
            let call_id = need_text(&mut item, "call_id", &path)?;
            let parts = take_parts(&mut item, "output", &path)?;
            let result = Part::ToolResult { call_id, parts, is_error: false };
            request.messages.push(Message { index, role: Role::User, parts: vec![result] });
        }
        "reasoning" => {
            if let Some(part) = take_reasoning(&mut item, &path)? {
                said(index, part, request);
            }
        }
        "item_reference" => return Err(not_kept(&path, "an item that only its provider keeps")),
        other => return Err(inexpressible(&path, &format!("an item of the provider's own, {other}"))),
    }
    Ok(())
}

fn take_message(
    index: usize,
    item: &mut Map<String, Value>,
    request: &mut ChatRequest,
    path: &str,
) -> Result<(), Untranslatable> {
    let role = need_text(item, "role", path)?;
    let parts = take_parts(item, "content", path)?;
    match role.as_str() {
        "system" | "developer" => {
            if let Some(at) = parts.iter().position(|part| !matches!(part, Part::Text { .. })) {
                return Err(inexpressible(
                    &format!("{path}.content[{at}]"),
                    "an instruction that is not text",
                ));
            }
            request.system.extend(parts);
        }
        "user" => request.messages.push(Message { index, role: Role::User, parts }),
        "assistant" => parts.into_iter().for_each(|part| said(index, part, request)),
        other => return Err(inexpressible(&format!("{path}.role"), other)),
    }
    Ok(())
}

/// What the assistant says, thinks and calls between two turns of the user is one turn.
fn said(index: usize, part: Part, request: &mut ChatRequest) {
    match request.messages.last_mut() {
        Some(last) if last.role == Role::Assistant => last.parts.push(part),
        _ => request.messages.push(Message { index, role: Role::Assistant, parts: vec![part] }),
    }
}

fn take_call(item: &mut Map<String, Value>, arguments: String, path: &str) -> Result<Part, Untranslatable> {
    let namespace = take_text(item, "namespace", path)?;
    let name = need_text(item, "name", path)?;
    Ok(Part::ToolCall {
        id: need_text(item, "call_id", path)?,
        name: function_name(&name, namespace.as_deref()),
        arguments,
    })
}

/// The JSON text of a call's arguments; the text itself is kept, so that numbers stay as they are.
fn take_arguments(item: &mut Map<String, Value>, path: &str) -> Result<String, Untranslatable> {
    let text = take_text(item, "arguments", path)?.filter(|text| !text.trim().is_empty());
    let text = text.unwrap_or_else(|| "{}".to_owned());
    match serde_json::from_str::<Map<String, Value>>(&text) {
        Ok(_) => Ok(text),
        Err(_) => Err(misshapen(&format!("{path}.arguments"), "the text of a JSON object")),
    }
}

/// An item without any summary is readable by its maker only; one with a summary, even an empty one,
/// is reasoning with its signature.
fn take_reasoning(item: &mut Map<String, Value>, path: &str) -> Result<Option<Part>, Untranslatable> {
    let signature =
        take_text(item, "encrypted_content", path)?.map(|text| read_signature(text, Maker::OpenAi));
    let summary = take_list(item, "summary", path)?;
    let shown = if summary.is_empty() { take_list(item, "content", path)? } else { summary };
    let texts: Vec<&str> = shown.iter().filter_map(|part| part.get("text").and_then(Value::as_str)).collect();
    Ok(match signature {
        Some(signature) if texts.is_empty() => Some(Part::SealedReasoning(signature)),
        None if texts.is_empty() => None,
        signature => Some(Part::Reasoning { text: texts.join("\n\n"), signature }),
    })
}

/// Something that the client left with a provider, when that provider does not answer this request.
pub(super) fn not_kept(path: &str, what: &str) -> Untranslatable {
    Untranslatable {
        message: format!(
            "`{path}` ({what}) cannot be used with this model: send the whole conversation in `input`, with \
             `store: false` and `include: [\"reasoning.encrypted_content\"]`, or use a model whose provider has \
             the Responses API."
        ),
        param: Some(path.to_owned()),
    }
}
