//! The neutral request, spelt as an OpenAI chat completion.

use serde_json::{Map, Value, json};

use super::effort::write_effort;
use super::encode_message::encode_messages;
use crate::canonical::{AnswerFormat, ChatRequest, Tool, ToolChoice};
use crate::fields::unsupported;
use crate::{Quirks, Untranslatable};

/// Spells a request.
///
/// # Errors
/// When the format has no form for a field and `drop_params` is off, or for a piece of the conversation.
pub(crate) fn encode_request(
    request: &ChatRequest,
    model: &str,
    quirks: Quirks,
    drop_params: bool,
) -> Result<Vec<u8>, Untranslatable> {
    // OpenAI has no such limit.
    if request.top_k.is_some() && !drop_params {
        return Err(unsupported("top_k"));
    }
    let mut body = Map::new();
    let mut put = |field: &str, value: Value| body.insert(field.to_owned(), value);
    put("model", model.into());
    put("messages", encode_messages(request, quirks.reasoning)?.into());
    if !request.tools.is_empty() {
        put("tools", request.tools.iter().map(encode_tool).collect());
        if let Some(choice) = &request.tool_choice {
            put("tool_choice", encode_tool_choice(choice));
        }
        if let Some(parallel) = request.parallel_tool_calls {
            put("parallel_tool_calls", parallel.into());
        }
    }
    if let Some(limit) = request.max_tokens {
        put(if quirks.max_completion_tokens { "max_completion_tokens" } else { "max_tokens" }, limit.into());
    }
    for (field, value) in [
        ("temperature", &request.temperature),
        ("top_p", &request.top_p),
        ("frequency_penalty", &request.frequency_penalty),
        ("presence_penalty", &request.presence_penalty),
        ("seed", &request.seed),
    ] {
        if let Some(value) = value {
            put(field, value.clone().into());
        }
    }
    if let Some(choices) = request.choices {
        put("n", choices.into());
    }
    if let Some(alternatives) = request.logprobs {
        put("logprobs", true.into());
        if alternatives > 0 {
            put("top_logprobs", alternatives.into());
        }
    }
    if !request.stop.is_empty() {
        put("stop", request.stop.clone().into());
    }
    if let Some(user) = &request.user {
        put("user", user.clone().into());
    }
    if let Some(effort) = write_effort(&request.reasoning, model, drop_params)? {
        put("reasoning_effort", effort.into());
    }
    if let Some(format) = &request.format {
        put("response_format", encode_format(format));
    }
    if request.stream {
        put("stream", true.into());
        // The other format always ends a stream with its usage.
        if quirks.stream_options {
            put("stream_options", json!({ "include_usage": true }));
        }
    }
    for (field, value) in &request.rest {
        put(field, value.clone());
    }
    Ok(Value::Object(body).to_string().into_bytes())
}

fn encode_format(format: &AnswerFormat) -> Value {
    let AnswerFormat::Schema(wanted) = format else { return json!({ "type": "json_object" }) };
    let name = wanted.name.as_deref().unwrap_or("answer");
    let mut schema = json!({ "name": name, "schema": wanted.schema });
    if let (Some(strict), Some(schema)) = (wanted.strict, schema.as_object_mut()) {
        schema.insert("strict".to_owned(), strict.into());
    }
    json!({ "type": "json_schema", "json_schema": schema })
}

fn encode_tool(tool: &Tool) -> Value {
    let mut function = Map::new();
    function.insert("name".to_owned(), tool.name.clone().into());
    if let Some(description) = &tool.description {
        function.insert("description".to_owned(), description.clone().into());
    }
    if let Some(parameters) = &tool.parameters {
        function.insert("parameters".to_owned(), parameters.clone());
    }
    if let Some(strict) = tool.strict {
        function.insert("strict".to_owned(), strict.into());
    }
    json!({ "type": "function", "function": function })
}

fn encode_tool_choice(choice: &ToolChoice) -> Value {
    match choice {
        ToolChoice::Auto => "auto".into(),
        ToolChoice::None => "none".into(),
        ToolChoice::Required => "required".into(),
        ToolChoice::Named(name) => json!({ "type": "function", "function": { "name": name } }),
    }
}
