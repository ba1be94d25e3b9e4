//! An OpenAI chat completion request, read into the neutral form.

use serde_json::{Map, Number, Value};

use super::decode_message::take_messages;
use super::effort::take_reasoning;
use crate::Untranslatable;
use crate::canonical::{AnswerFormat, AnswerSchema, ChatRequest, Tool, ToolChoice};
use crate::fields::{
    inexpressible, misshapen, need_object, need_text, object, take, take_flag, take_list, take_number,
    take_text, take_texts,
};
use crate::formats::cache_control::take_cache_point;

/// Parameters of the chat API that have no neutral meaning.
const PARTICULAR: [&str; 10] = [
    "audio",
    "function_call",
    "functions",
    "logit_bias",
    "modalities",
    "moderation",
    "prediction",
    "service_tier",
    "verbosity",
    "web_search_options",
];

/// Parameters that steer the provider's bookkeeping and not the answer.
const BOOKKEEPING: [&str; 6] = [
    "metadata",
    "prompt_cache_key",
    "prompt_cache_retention",
    "safety_identifier",
    "store",
    "stream_options",
];

/// Reads a request body.
///
/// # Errors
/// When a field has the wrong shape, or the conversation holds something no other format has.
pub(crate) fn decode_request(body: &[u8]) -> Result<ChatRequest, Untranslatable> {
    let mut map = object(body)?;
    let mut request = ChatRequest::default();
    take_messages(&mut map, &mut request)?;
    for (index, tool) in take_list(&mut map, "tools", "")?.into_iter().enumerate() {
        request.tools.push(decode_tool(tool, &format!("tools[{index}]"))?);
    }
    request.tool_choice = take(&mut map, "tool_choice").as_ref().map(decode_tool_choice).transpose()?;
    request.parallel_tool_calls = take_flag(&mut map, "parallel_tool_calls")?;
    let plain_limit = take_number(&mut map, "max_tokens")?;
    let limit = take_number(&mut map, "max_completion_tokens")?.or(plain_limit);
    request.max_tokens = limit.and_then(|limit| limit.as_u64());
    take_sampling(&mut map, &mut request)?;
    request.stop = take_texts(&mut map, "stop")?;
    request.stream = take_flag(&mut map, "stream")?.unwrap_or(false);
    request.user = take_text(&mut map, "user", "")?;
    request.reasoning = take_reasoning(&mut map)?;
    take_response_format(&mut map, &mut request)?;
    for field in BOOKKEEPING {
        take(&mut map, field);
    }
    request.keep_rest(map, &PARTICULAR, is_default);
    Ok(request)
}

/// How tokens are chosen, how often, and what is told of the choice. A value that asks for nothing beyond
/// what happens without it counts as absent, because the other formats could not say it.
fn take_sampling(map: &mut Map<String, Value>, request: &mut ChatRequest) -> Result<(), Untranslatable> {
    request.temperature = take_number(map, "temperature")?;
    request.top_p = take_number(map, "top_p")?;
    // Not OpenAI's own, but many compatible servers and their clients have it.
    request.top_k = take_number(map, "top_k")?;
    let penalty = |number: &Number| number.as_f64() != Some(0.0);
    request.frequency_penalty = take_number(map, "frequency_penalty")?.filter(penalty);
    request.presence_penalty = take_number(map, "presence_penalty")?.filter(penalty);
    request.seed = take_number(map, "seed")?;
    request.choices = take_number(map, "n")?.and_then(|n| n.as_u64()).filter(|n| *n != 1);
    let alternatives = take_number(map, "top_logprobs")?.and_then(|n| n.as_u64()).unwrap_or(0);
    if take_flag(map, "logprobs")?.unwrap_or(false) {
        request.logprobs = Some(alternatives);
    } else if alternatives > 0 {
        return Err(misshapen("top_logprobs", "given together with `logprobs: true`"));
    }
    Ok(())
}

/// The value asks for nothing beyond what happens without it.
fn is_default(field: &str, value: &Value) -> bool {
    match field {
        "logit_bias" => value.as_object().is_some_and(Map::is_empty),
        "functions" => value.as_array().is_some_and(Vec::is_empty),
        "modalities" => value.as_array().is_some_and(|kinds| kinds.iter().all(|kind| kind == "text")),
        "service_tier" => value == "auto" || value == "default",
        "verbosity" => value == "medium",
        _ => false,
    }
}

fn decode_tool(tool: Value, path: &str) -> Result<Tool, Untranslatable> {
    let mut map = need_object(tool, path)?;
    let kind = take_text(&mut map, "type", path)?;
    if kind.as_deref().is_some_and(|kind| kind != "function") {
        return Err(inexpressible(path, &kind.unwrap_or_default()));
    }
    let path = format!("{path}.function");
    let mut function = need_object(take(&mut map, "function").unwrap_or_default(), &path)?;
    let cache_point = take_cache_point(&mut map);
    Ok(Tool {
        name: need_text(&mut function, "name", &path)?,
        description: take_text(&mut function, "description", &path)?,
        parameters: take(&mut function, "parameters"),
        strict: take_flag(&mut function, "strict")?,
        cache_point: cache_point.or_else(|| take_cache_point(&mut function)),
        rest: map,
    })
}

fn decode_tool_choice(choice: &Value) -> Result<ToolChoice, Untranslatable> {
    match choice.as_str() {
        Some("auto") => return Ok(ToolChoice::Auto),
        Some("none") => return Ok(ToolChoice::None),
        // Mistral's word is `any`.
        Some("required" | "any") => return Ok(ToolChoice::Required),
        _ => {}
    }
    choice
        .pointer("/function/name")
        .and_then(Value::as_str)
        .map(|name| ToolChoice::Named(name.to_owned()))
        .ok_or_else(|| misshapen("tool_choice", "auto, none, required or the name of one function"))
}

fn take_response_format(
    map: &mut Map<String, Value>,
    request: &mut ChatRequest,
) -> Result<(), Untranslatable> {
    let Some(format) = take(map, "response_format") else { return Ok(()) };
    let mut format = need_object(format, "response_format")?;
    match take_text(&mut format, "type", "response_format")?.as_deref() {
        Some("text") => {}
        Some("json_schema") => {
            let path = "response_format.json_schema";
            let mut inner = need_object(take(&mut format, "json_schema").unwrap_or_default(), path)?;
            let schema = take(&mut inner, "schema")
                .ok_or_else(|| misshapen("response_format.json_schema.schema", "an object"))?;
            request.format = Some(AnswerFormat::Schema(AnswerSchema {
                name: take_text(&mut inner, "name", path)?,
                schema,
                strict: take_flag(&mut inner, "strict")?,
            }));
        }
        Some("json_object") => request.format = Some(AnswerFormat::Json),
        _ => request.particular.push("response_format".to_owned()),
    }
    Ok(())
}
