//! An Anthropic Messages request, read into the neutral form.

use serde_json::{Map, Value};

use super::decode_message::{take_content, take_messages};
use crate::Untranslatable;
use crate::canonical::{AnswerFormat, AnswerSchema, ChatRequest, Part, Reasoning, Tool, ToolChoice};
use crate::fields::{
    inexpressible, misshapen, need_object, need_text, object, take, take_flag, take_list, take_number,
    take_text, take_texts,
};
use crate::formats::cache_control::take_cache_point;

/// Parameters of the Messages API that have no neutral meaning.
const PARTICULAR: [&str; 6] =
    ["container", "context_management", "inference_geo", "mcp_servers", "service_tier", "speed"];

/// Reads a request body.
///
/// # Errors
/// When a field has the wrong shape, or the conversation holds something no other format has.
pub(crate) fn decode_request(body: &[u8]) -> Result<ChatRequest, Untranslatable> {
    let mut map = object(body)?;
    let mut request = ChatRequest { system: take_content(&mut map, "system", "")?, ..ChatRequest::default() };
    request.messages = take_messages(&mut map, &mut request.system)?;
    for (index, tool) in take_list(&mut map, "tools", "")?.into_iter().enumerate() {
        request.tools.push(decode_tool(tool, &format!("tools[{index}]"))?);
    }
    take_tool_choice(&mut map, &mut request)?;
    request.max_tokens = take_number(&mut map, "max_tokens")?.and_then(|limit| limit.as_u64());
    request.temperature = take_number(&mut map, "temperature")?;
    request.top_p = take_number(&mut map, "top_p")?;
    request.top_k = take_number(&mut map, "top_k")?;
    request.stop = take_texts(&mut map, "stop_sequences")?;
    request.stream = take_flag(&mut map, "stream")?.unwrap_or(false);
    if let Some(metadata) = take(&mut map, "metadata") {
        request.user = take_text(&mut need_object(metadata, "metadata")?, "user_id", "metadata")?;
    }
    take_thinking(&mut map, &mut request.reasoning)?;
    take_output_config(&mut map, &mut request)?;
    if let Some(point) = take_cache_point(&mut map) {
        // Without a place it means the end of the prompt.
        let end = request.messages.last_mut().map(|message| &mut message.parts);
        if let Some(parts) = end.filter(|parts| !matches!(parts.last(), Some(Part::CachePoint(_)))) {
            parts.push(Part::CachePoint(point));
        }
    }
    request.keep_rest(map, &PARTICULAR, is_default);
    Ok(request)
}

/// The value asks for nothing beyond what happens without it.
fn is_default(field: &str, value: &Value) -> bool {
    match field {
        // Old thoughts are cleared for every other provider anyway: it is never given them.
        "context_management" => value
            .get("edits")
            .and_then(Value::as_array)
            .is_some_and(|edits| edits.iter().all(clears_thinking)),
        "service_tier" => value == "auto",
        "speed" => value == "standard",
        "mcp_servers" => value.as_array().is_some_and(Vec::is_empty),
        _ => false,
    }
}

fn clears_thinking(edit: &Value) -> bool {
    edit.get("type").and_then(Value::as_str).is_some_and(|kind| kind.starts_with("clear_thinking"))
}

fn take_thinking(map: &mut Map<String, Value>, wanted: &mut Reasoning) -> Result<(), Untranslatable> {
    let Some(thinking) = take(map, "thinking") else { return Ok(()) };
    let mut thinking = need_object(thinking, "thinking")?;
    match need_text(&mut thinking, "type", "thinking")?.as_str() {
        "enabled" => {
            let budget = take_number(&mut thinking, "budget_tokens")?.and_then(|budget| budget.as_u64());
            wanted.budget =
                Some(budget.ok_or_else(|| misshapen("thinking.budget_tokens", "a number of tokens"))?);
        }
        "adaptive" => wanted.adaptive = true,
        "disabled" => wanted.disabled = true,
        _ => return Err(misshapen("thinking.type", "enabled, adaptive or disabled")),
    }
    wanted.shown = take_text(&mut thinking, "display", "thinking")?.map(|display| display != "omitted");
    Ok(())
}

fn decode_tool(tool: Value, path: &str) -> Result<Tool, Untranslatable> {
    let mut map = need_object(tool, path)?;
    let kind = take_text(&mut map, "type", path)?.unwrap_or_else(|| "custom".to_owned());
    if kind != "custom" {
        return Err(inexpressible(path, &format!("a tool of the provider's own, {kind}")));
    }
    let tool = Tool {
        name: need_text(&mut map, "name", path)?,
        description: take_text(&mut map, "description", path)?,
        parameters: take(&mut map, "input_schema"),
        strict: take_flag(&mut map, "strict")?,
        cache_point: take_cache_point(&mut map),
        rest: Map::new(),
    };
    Ok(tool)
}

fn take_tool_choice(map: &mut Map<String, Value>, request: &mut ChatRequest) -> Result<(), Untranslatable> {
    let Some(choice) = take(map, "tool_choice") else { return Ok(()) };
    let mut choice = need_object(choice, "tool_choice")?;
    let one_at_a_time = take_flag(&mut choice, "disable_parallel_tool_use")?.unwrap_or(false);
    request.parallel_tool_calls = one_at_a_time.then_some(false);
    request.tool_choice = Some(match need_text(&mut choice, "type", "tool_choice")?.as_str() {
        "auto" => ToolChoice::Auto,
        "none" => ToolChoice::None,
        "any" => ToolChoice::Required,
        "tool" => ToolChoice::Named(need_text(&mut choice, "name", "tool_choice")?),
        _ => return Err(misshapen("tool_choice.type", "auto, any, tool or none")),
    });
    Ok(())
}

fn take_output_config(map: &mut Map<String, Value>, request: &mut ChatRequest) -> Result<(), Untranslatable> {
    // The name while it was a beta.
    if let Some(format) = take(map, "output_format") {
        request.format = Some(decode_format(format, "output_format")?);
    }
    let Some(config) = take(map, "output_config") else { return Ok(()) };
    let mut config = need_object(config, "output_config")?;
    request.reasoning.effort = take_text(&mut config, "effort", "output_config")?;
    if let Some(format) = take(&mut config, "format") {
        request.format = Some(decode_format(format, "output_config.format")?);
    }
    request.particular.extend(config.keys().map(|field| format!("output_config.{field}")));
    Ok(())
}

fn decode_format(format: Value, path: &str) -> Result<AnswerFormat, Untranslatable> {
    let mut format = need_object(format, path)?;
    let schema =
        take(&mut format, "schema").ok_or_else(|| misshapen(&format!("{path}.schema"), "an object"))?;
    Ok(AnswerFormat::Schema(AnswerSchema { name: None, schema, strict: Some(true) }))
}
