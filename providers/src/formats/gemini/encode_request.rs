//! The neutral request, spelt for generateContent.

use serde_json::{Map, Value, json};

use super::encode_config::{encode_generation_config, encode_tool_config, wants_signatures};
use super::encode_contents::encode_contents;
use crate::Untranslatable;
use crate::canonical::{ChatRequest, Part, Tool};
use crate::fields::unsupported;

/// Spells a request. Who the end user is has no place here and steers nothing.
///
/// # Errors
/// When the format has no form for a field and `drop_params` is off, or for a piece of the conversation.
pub(crate) fn encode_request(
    request: &ChatRequest,
    model: &str,
    drop_params: bool,
) -> Result<Vec<u8>, Untranslatable> {
    let mut body = Map::new();
    let system: Vec<Value> = request.system.iter().filter_map(encode_instruction).collect();
    if !system.is_empty() {
        body.insert("systemInstruction".to_owned(), json!({ "parts": system }));
    }
    let contents = encode_contents(&request.messages, wants_signatures(model))?;
    body.insert("contents".to_owned(), contents.into());
    if !request.tools.is_empty() {
        let functions: Vec<Value> = request.tools.iter().map(encode_tool).collect();
        body.insert("tools".to_owned(), json!([{ "functionDeclarations": functions }]));
        if let Some(choice) = &request.tool_choice {
            body.insert("toolConfig".to_owned(), encode_tool_config(choice));
        }
        if request.parallel_tool_calls == Some(false) && !drop_params {
            return Err(unsupported("parallel_tool_calls"));
        }
    }
    let config = encode_generation_config(request, model, drop_params)?;
    if !config.is_empty() {
        body.insert("generationConfig".to_owned(), config.into());
    }
    for (field, value) in &request.rest {
        add(&mut body, field, value);
    }
    Ok(Value::Object(body).to_string().into_bytes())
}

/// A field of Google's own that the client gave in another format's body; of `generationConfig` it may
/// be one half.
fn add(body: &mut Map<String, Value>, field: &str, value: &Value) {
    match (body.get_mut(field), value) {
        (Some(Value::Object(present)), Value::Object(more)) => present.extend(more.clone()),
        _ => {
            body.insert(field.to_owned(), value.clone());
        }
    }
}

fn encode_instruction(part: &Part) -> Option<Value> {
    match part {
        Part::Text { text, .. } if !text.is_empty() => Some(json!({ "text": text })),
        _ => None,
    }
}

/// Google refuses fields it does not know, so what stood beside the tool is left out; it has no strict
/// tools and holds itself to the schema anyway.
fn encode_tool(tool: &Tool) -> Value {
    let mut out = Map::new();
    out.insert("name".to_owned(), tool.name.clone().into());
    if let Some(description) = &tool.description {
        out.insert("description".to_owned(), description.clone().into());
    }
    if let Some(parameters) = &tool.parameters {
        out.insert("parametersJsonSchema".to_owned(), parameters.clone());
    }
    Value::Object(out)
}
