//! The neutral request, spelt for Converse.

use serde_json::{Map, Number, Value, json};

use super::encode_message::{cache_point, encode_instructions, encode_messages};
use super::encode_reasoning::{Wanted, encode_reasoning};
use super::family::Family;
use crate::Untranslatable;
use crate::canonical::{AnswerFormat, ChatRequest, Message, Part, Tool, ToolChoice};
use crate::fields::unsupported;

/// The field for what only some models know.
const EXTRA: &str = "additionalModelRequestFields";

/// The path for a model id or an ARN, whose colons and slashes are escaped.
pub(crate) fn path(model: &str, stream: bool) -> String {
    let mut path = "/model/".to_owned();
    for byte in model.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            path.push(char::from(byte));
        } else {
            path.push_str(&format!("%{byte:02X}"));
        }
    }
    path.push_str(if stream { "/converse-stream" } else { "/converse" });
    path
}

/// Spells a request; `max_output` is what the model can write at most, in tokens. Who the end user is has
/// no place here: it steers no answer.
///
/// # Errors
/// When the format has no form for a field and `drop_params` is off, or for a piece of the conversation.
pub(crate) fn encode_request(
    request: &ChatRequest,
    model: &str,
    max_output: Option<u32>,
    drop_params: bool,
) -> Result<Vec<u8>, Untranslatable> {
    let family = Family::of(model);
    refuse_parameters(request, drop_params)?;
    let wanted = encode_reasoning(request, model, family, max_output.map(u64::from), drop_params)?;
    let mut body = Map::new();
    let system = encode_instructions(&request.system, family);
    if !system.is_empty() {
        body.insert("system".to_owned(), system.into());
    }
    body.insert("messages".to_owned(), encode_messages(&request.messages, family)?.into());
    let (inference, mut extra) = encode_parameters(request, wanted, family, drop_params)?;
    if !inference.is_empty() {
        body.insert("inferenceConfig".to_owned(), inference.into());
    }
    if let Some(tools) = encode_tools(request, family, drop_params)? {
        body.insert("toolConfig".to_owned(), tools);
    }
    if let Some(AnswerFormat::Schema(wanted)) = &request.format {
        // The schema is text here.
        let name = wanted.name.as_deref().unwrap_or("answer");
        let schema = json!({ "name": name, "schema": wanted.schema.to_string() });
        let format = json!({ "type": "json_schema", "structure": { "jsonSchema": schema } });
        body.insert("outputConfig".to_owned(), json!({ "textFormat": format }));
    }
    for (field, value) in &request.rest {
        match value {
            Value::Object(own) if field == EXTRA => extra.extend(own.clone()),
            _ => {
                body.insert(field.clone(), value.clone());
            }
        }
    }
    if !extra.is_empty() {
        body.insert(EXTRA.to_owned(), extra.into());
    }
    Ok(Value::Object(body).to_string().into_bytes())
}

/// What Converse has no parameter for.
fn refuse_parameters(request: &ChatRequest, drop_params: bool) -> Result<(), Untranslatable> {
    let is_set = |penalty: &Option<Number>| penalty.as_ref().is_some_and(|value| value.as_f64() != Some(0.0));
    let present = [
        ("n", request.choices.is_some_and(|choices| choices > 1)),
        ("seed", request.seed.is_some()),
        ("frequency_penalty", is_set(&request.frequency_penalty)),
        ("presence_penalty", is_set(&request.presence_penalty)),
        ("logprobs", request.logprobs.is_some()),
        ("response_format", request.format == Some(AnswerFormat::Json)),
        ("parallel_tool_calls", request.parallel_tool_calls == Some(false) && !request.tools.is_empty()),
    ];
    match present.iter().find(|(_, present)| *present && !drop_params) {
        Some((field, _)) => Err(unsupported(field)),
        None => Ok(()),
    }
}

type Fields = Map<String, Value>;

/// `inferenceConfig`, and what stands in [`EXTRA`].
fn encode_parameters(
    request: &ChatRequest,
    wanted: Wanted,
    family: Family,
    drop_params: bool,
) -> Result<(Fields, Fields), Untranslatable> {
    let (mut inference, mut extra) = (Map::new(), wanted.extra);
    // A model that thinks takes the usual temperature alone, as with its own maker.
    let within = |number: &Number, least: f64| number.as_f64().is_some_and(|n| (least..=1.0).contains(&n));
    let allowed = |field, number: &Option<Number>, fits: bool| match number {
        Some(number) if fits => Ok(Some(number.clone())),
        Some(_) if !drop_params => Err(unsupported(field)),
        _ => Ok(None),
    };
    let at_least = |number: &Option<Number>, least| number.as_ref().is_some_and(|n| within(n, least));
    let fixed = wanted.fixed_sampling;
    let warm = at_least(&request.temperature, if fixed { 1.0 } else { 0.0 });
    let temperature = allowed("temperature", &request.temperature, warm)?;
    let top_p = allowed("top_p", &request.top_p, !fixed || at_least(&request.top_p, 0.95))?;
    let top_k = allowed("top_k", &request.top_k, !fixed && family != Family::GptOss)?;
    if let Some(limit) = request.max_tokens {
        inference.insert("maxTokens".to_owned(), limit.into());
    }
    for (field, number) in [("temperature", temperature), ("topP", top_p)] {
        if let Some(number) = number {
            inference.insert(field.to_owned(), number.into());
        }
    }
    if !request.stop.is_empty() {
        inference.insert("stopSequences".to_owned(), request.stop.clone().into());
    }
    match (top_k, family) {
        (Some(top_k), Family::Nova { .. }) => {
            extra.insert("inferenceConfig".to_owned(), json!({ "topK": top_k }));
        }
        (Some(top_k), _) => {
            extra.insert("top_k".to_owned(), top_k.into());
        }
        (None, _) => {}
    }
    Ok((inference, extra))
}

/// There is no way to forbid the tools but to leave them out, and that only before the first call.
fn encode_tools(
    request: &ChatRequest,
    family: Family,
    drop_params: bool,
) -> Result<Option<Value>, Untranslatable> {
    if request.tools.is_empty() {
        return Ok(None);
    }
    let choice = match &request.tool_choice {
        None => None,
        Some(ToolChoice::Auto) => Some(json!({ "auto": {} })),
        Some(ToolChoice::Required) => Some(json!({ "any": {} })),
        Some(ToolChoice::Named(name)) => Some(json!({ "tool": { "name": name } })),
        Some(ToolChoice::None) if !request.messages.iter().any(has_tools) => return Ok(None),
        Some(ToolChoice::None) if drop_params => None,
        Some(ToolChoice::None) => return Err(unsupported("tool_choice")),
    };
    let mut tools = Vec::with_capacity(request.tools.len());
    for tool in &request.tools {
        tools.push(json!({ "toolSpec": encode_tool(tool) }));
        // Nova's cache keeps no tools.
        let caches = family.takes_cache_points() && !matches!(family, Family::Nova { .. });
        tools.extend(tool.cache_point.as_ref().filter(|_| caches).map(|point| cache_point(point, family)));
    }
    let mut config = json!({ "tools": tools });
    if let (Some(choice), Some(config)) = (choice, config.as_object_mut()) {
        config.insert("toolChoice".to_owned(), choice);
    }
    Ok(Some(config))
}

fn has_tools(message: &Message) -> bool {
    message.parts.iter().any(|part| matches!(part, Part::ToolCall { .. } | Part::ToolResult { .. }))
}

fn encode_tool(tool: &Tool) -> Value {
    let mut spec = Map::new();
    spec.insert("name".to_owned(), tool.name.clone().into());
    if let Some(description) = tool.description.as_ref().filter(|text| !text.is_empty()) {
        spec.insert("description".to_owned(), description.clone().into());
    }
    let parameters = tool.parameters.clone().unwrap_or_else(|| json!({ "type": "object", "properties": {} }));
    spec.insert("inputSchema".to_owned(), json!({ "json": parameters }));
    // Strictness is off unless asked for, and not every model knows the field.
    if tool.strict == Some(true) {
        spec.insert("strict".to_owned(), true.into());
    }
    spec.into()
}
