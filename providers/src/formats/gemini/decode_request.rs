//! A generateContent request, read into the neutral form. Google takes every field in two spellings,
//! `maxOutputTokens` and `max_output_tokens`, and one thing where a list of it is due.

use serde_json::{Map, Value};

use super::decode_config::{take_generation_config, take_tool_config};
use super::decode_contents::{take_contents, take_instruction};
use super::schema::json_schema;
use crate::Untranslatable;
use crate::canonical::{ChatRequest, Tool};
use crate::fields::{inexpressible, need_object, need_text, object, take, take_text};

/// Parameters that have no neutral meaning.
const PARTICULAR: [&str; 3] = ["safetySettings", "serviceTier", "modelArmorConfig"];

/// Parameters that steer the provider's bookkeeping and not the answer.
const BOOKKEEPING: [&str; 2] = ["labels", "store"];

/// Reads a request body. Whether a stream is wanted, the path says.
///
/// # Errors
/// When a field has the wrong shape, or the conversation holds something no other format has.
pub(crate) fn decode_request(body: &[u8]) -> Result<ChatRequest, Untranslatable> {
    let mut map = camel_fields(object(body)?);
    let mut request = ChatRequest { system: take_instruction(&mut map)?, ..ChatRequest::default() };
    request.messages = take_contents(&mut map)?;
    for (index, tool) in take_several(&mut map, "tools").into_iter().enumerate() {
        decode_tools(tool, &format!("tools[{index}]"), &mut request.tools)?;
    }
    take_tool_config(&mut map, &mut request)?;
    take_generation_config(&mut map, &mut request)?;
    if take(&mut map, "cachedContent").is_some() {
        return Err(inexpressible("cachedContent", "a prompt that the provider holds"));
    }
    for field in BOOKKEEPING {
        take(&mut map, field);
    }
    request.keep_rest(map, &PARTICULAR, is_default);
    Ok(request)
}

/// The value asks for nothing beyond what happens without it: other providers have no such filter.
fn is_default(field: &str, value: &Value) -> bool {
    let off = |setting: &Value| {
        matches!(setting.get("threshold").and_then(Value::as_str), Some("BLOCK_NONE" | "OFF"))
    };
    match field {
        "safetySettings" => value.as_array().is_some_and(|settings| settings.iter().all(off)),
        "serviceTier" => value == "standard" || value == "SERVICE_TIER_STANDARD",
        _ => false,
    }
}

/// One entry of `tools` holds any number of functions.
fn decode_tools(tool: Value, path: &str, out: &mut Vec<Tool>) -> Result<(), Untranslatable> {
    let mut map = need_message(tool, path)?;
    let functions = take_several(&mut map, "functionDeclarations");
    if let Some((kind, _)) = map.iter().find(|(_, value)| !value.is_null()) {
        return Err(inexpressible(&format!("{path}.{kind}"), "a tool of the provider's own"));
    }
    for (index, function) in functions.into_iter().enumerate() {
        let path = format!("{path}.functionDeclarations[{index}]");
        let mut function = need_message(function, &path)?;
        let plain = take(&mut function, "parametersJsonSchema");
        let dialect = take(&mut function, "parameters");
        out.push(Tool {
            name: need_text(&mut function, "name", &path)?,
            description: take_text(&mut function, "description", &path)?,
            parameters: plain.or_else(|| dialect.map(json_schema)),
            strict: None,
            cache_point: None,
            // What the function answers with and how it is run has no place elsewhere.
            rest: Map::new(),
        });
    }
    Ok(())
}

/// An object of a known kind, its fields in the usual spelling.
pub(super) fn need_message(value: Value, path: &str) -> Result<Map<String, Value>, Untranslatable> {
    need_object(value, path).map(camel_fields)
}

fn camel_fields(map: Map<String, Value>) -> Map<String, Value> {
    if map.keys().all(|field| !field.contains('_')) {
        return map;
    }
    map.into_iter().map(|(field, value)| (camel(&field), value)).collect()
}

/// `maxOutputTokens` of `max_output_tokens`.
pub(super) fn camel(field: &str) -> String {
    let mut out = String::with_capacity(field.len());
    let mut raise = false;
    for c in field.chars() {
        match c {
            '_' if !out.is_empty() => raise = true,
            c if raise => {
                out.push(c.to_ascii_uppercase());
                raise = false;
            }
            c => out.push(c),
        }
    }
    out
}

/// Takes a list out, or one thing as a list.
pub(super) fn take_several(map: &mut Map<String, Value>, field: &str) -> Vec<Value> {
    match take(map, field) {
        None => Vec::new(),
        Some(Value::Array(items)) => items,
        Some(one) => vec![one],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn either_spelling_becomes_the_usual_one() {
        for (given, expected) in [
            ("max_output_tokens", "maxOutputTokens"),
            ("topK", "topK"),
            ("_x_y", "_xY"),
            ("a_", "a"),
            ("", ""),
        ] {
            assert_eq!(camel(given), expected);
        }
    }
}
