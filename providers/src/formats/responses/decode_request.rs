//! A Responses request, read into the neutral form.

use serde_json::{Map, Value};

use super::decode_input::{not_kept, take_input};
use super::decode_tool::{take_tool_choice, take_tools};
use super::echo::echo;
use crate::Untranslatable;
use crate::answer_context::AnswerContext;
use crate::canonical::{AnswerFormat, AnswerSchema, ChatRequest, Part};
use crate::fields::{
    inexpressible, misshapen, need_object, object, take, take_flag, take_number, take_text, take_texts,
};

/// Parameters of the API that have no neutral meaning.
const PARTICULAR: [&str; 6] =
    ["context_management", "max_tool_calls", "moderation", "multi_agent", "service_tier", "truncation"];

/// Parameters that steer the provider's bookkeeping and not the answer.
const BOOKKEEPING: [&str; 9] = [
    "client_metadata",
    "metadata",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "safety_identifier",
    "store",
    "stream_options",
    "background",
];

/// The wish for log probabilities among the things to include.
const LOGPROBS: &str = "message.output_text.logprobs";

/// Reads a request body, and what its answer needs of it.
///
/// # Errors
/// When a field has the wrong shape, or the conversation holds something no other format has, or lies
/// with another provider.
pub(crate) fn decode_request(body: &[u8]) -> Result<(ChatRequest, AnswerContext), Untranslatable> {
    let mut map = object(body)?;
    let echo = echo(&map);
    refuse_kept(&map)?;
    let mut request = ChatRequest::default();
    request.system.extend(take_text(&mut map, "instructions", "")?.map(Part::text));
    take_input(&mut map, &mut request)?;
    let tools = take_tools(&mut map, &mut request)?;
    take_tool_choice(&mut map, &mut request)?;
    request.parallel_tool_calls = take_flag(&mut map, "parallel_tool_calls")?;
    request.max_tokens = take_number(&mut map, "max_output_tokens")?.and_then(|limit| limit.as_u64());
    request.temperature = take_number(&mut map, "temperature")?;
    request.top_p = take_number(&mut map, "top_p")?;
    request.stream = take_flag(&mut map, "stream")?.unwrap_or(false);
    request.user = take_text(&mut map, "user", "")?;
    take_reasoning(&mut map, &mut request)?;
    take_text_config(&mut map, &mut request)?;
    take_logprobs(&mut map, &mut request)?;
    for field in BOOKKEEPING {
        take(&mut map, field);
    }
    request.keep_rest(map, &PARTICULAR, is_default);
    Ok((request, AnswerContext { echo, tools, ..AnswerContext::default() }))
}

/// The value asks for nothing beyond what happens without it.
fn is_default(field: &str, value: &Value) -> bool {
    match field {
        "service_tier" => value == "auto" || value == "default",
        "truncation" => value == "disabled",
        _ => false,
    }
}

/// A conversation that the provider of an earlier answer keeps, or an answer that is to be kept.
fn refuse_kept(map: &Map<String, Value>) -> Result<(), Untranslatable> {
    let given = |field: &str| map.get(field).is_some_and(|value| !value.is_null());
    if given("previous_response_id") {
        return Err(not_kept("previous_response_id", "an earlier answer that only its provider keeps"));
    }
    if given("conversation") {
        return Err(not_kept("conversation", "a conversation that only its provider keeps"));
    }
    if given("prompt") {
        return Err(inexpressible("prompt", "a prompt that only its provider keeps"));
    }
    if map.get("background").is_some_and(|value| value == true) {
        return Err(Untranslatable {
            message: "`background` cannot be used with this model: its answers are not kept. Leave it out and \
                      set `stream: true` for a long answer, or use a model whose provider has the Responses API."
                .to_owned(),
            param: Some("background".to_owned()),
        });
    }
    Ok(())
}

fn take_reasoning(map: &mut Map<String, Value>, request: &mut ChatRequest) -> Result<(), Untranslatable> {
    let Some(reasoning) = take(map, "reasoning") else { return Ok(()) };
    let mut reasoning = need_object(reasoning, "reasoning")?;
    request.reasoning.effort = take_text(&mut reasoning, "effort", "reasoning")?;
    let older = take_text(&mut reasoning, "generate_summary", "reasoning")?;
    let summary = take_text(&mut reasoning, "summary", "reasoning")?.or(older);
    request.reasoning.shown = summary.map(|summary| summary != "none");
    reasoning.retain(|_, value| !value.is_null());
    request.particular.extend(reasoning.keys().map(|field| format!("reasoning.{field}")));
    Ok(())
}

fn take_text_config(map: &mut Map<String, Value>, request: &mut ChatRequest) -> Result<(), Untranslatable> {
    let Some(text) = take(map, "text") else { return Ok(()) };
    let mut text = need_object(text, "text")?;
    if let Some(format) = take(&mut text, "format") {
        let path = "text.format";
        let mut format = need_object(format, path)?;
        match take_text(&mut format, "type", path)?.as_deref() {
            None | Some("text") => {}
            Some("json_object") => request.format = Some(AnswerFormat::Json),
            Some("json_schema") => {
                let schema = take(&mut format, "schema")
                    .ok_or_else(|| misshapen("text.format.schema", "an object"))?;
                request.format = Some(AnswerFormat::Schema(AnswerSchema {
                    name: take_text(&mut format, "name", path)?,
                    schema,
                    strict: take_flag(&mut format, "strict")?,
                }));
            }
            Some(other) => request.particular.push(format!("{path} ({other})")),
        }
    }
    if take(&mut text, "verbosity").is_some_and(|value| value != "medium") {
        request.particular.push("text.verbosity".to_owned());
    }
    Ok(())
}

/// What else can be included belongs to tools that the provider runs, and to thoughts, which a
/// translated answer always includes.
fn take_logprobs(map: &mut Map<String, Value>, request: &mut ChatRequest) -> Result<(), Untranslatable> {
    let alternatives = take_number(map, "top_logprobs")?.and_then(|count| count.as_u64());
    let asked = take_texts(map, "include")?.iter().any(|wish| wish == LOGPROBS);
    request.logprobs = match alternatives {
        Some(0) | None => asked.then_some(0),
        some => some,
    };
    Ok(())
}
