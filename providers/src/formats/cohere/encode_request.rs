//! The neutral request, spelt for Cohere.

use serde_json::{Map, Value, json};

use super::encode_message::encode_messages;
use crate::Untranslatable;
use crate::canonical::{AnswerFormat, ChatRequest, Reasoning, Tool, ToolChoice};
use crate::fields::unsupported;

/// How the names of models begin that do not think; newer ones do.
const THOUGHTLESS: [&str; 6] =
    ["command-r", "command-a-03", "command-a-vision", "command-a-translate", "command-nightly", "c4ai-"];

/// Spells a request. Who the end user is has no place here: it steers no answer.
///
/// # Errors
/// When the format has no form for a field and `drop_params` is off, or for a piece of the conversation.
pub(crate) fn encode_request(
    request: &ChatRequest,
    model: &str,
    drop_params: bool,
) -> Result<Vec<u8>, Untranslatable> {
    refuse_parameters(request, drop_params)?;
    let thinks = !THOUGHTLESS.iter().any(|name| model.starts_with(name));
    let mut body = Map::new();
    let mut put = |field: &str, value: Value| body.insert(field.to_owned(), value);
    put("model", model.into());
    put("messages", encode_messages(request, thinks)?.into());
    for (field, value) in encode_tools(request) {
        put(field, value);
    }
    if let Some(limit) = request.max_tokens {
        put("max_tokens", limit.into());
    }
    for (field, number) in [
        ("temperature", &request.temperature),
        ("p", &request.top_p),
        ("k", &request.top_k),
        ("seed", &request.seed),
        ("frequency_penalty", &request.frequency_penalty),
        ("presence_penalty", &request.presence_penalty),
    ] {
        if let Some(number) = number {
            put(field, number.clone().into());
        }
    }
    if !request.stop.is_empty() {
        put("stop_sequences", request.stop.clone().into());
    }
    match &request.format {
        Some(AnswerFormat::Json) => {
            put("response_format", json!({ "type": "json_object" }));
        }
        Some(AnswerFormat::Schema(wanted)) => {
            put("response_format", json!({ "type": "json_object", "json_schema": wanted.schema }));
        }
        None => {}
    }
    if let Some(thinking) = encode_thinking(&request.reasoning, thinks, drop_params)? {
        put("thinking", thinking);
    }
    // Left out, it means a whole answer at some of Cohere's partners and a stream at others.
    put("stream", request.stream.into());
    for (field, value) in &request.rest {
        put(field, value.clone());
    }
    Ok(Value::Object(body).to_string().into_bytes())
}

/// What Cohere has no parameter for. Its log probabilities are of another shape.
fn refuse_parameters(request: &ChatRequest, drop_params: bool) -> Result<(), Untranslatable> {
    let present = [
        ("n", request.choices.is_some_and(|choices| choices > 1)),
        ("logprobs", request.logprobs.is_some()),
        ("parallel_tool_calls", request.parallel_tool_calls == Some(false) && !request.tools.is_empty()),
    ];
    match present.iter().find(|(_, present)| *present && !drop_params) {
        Some((field, _)) => Err(unsupported(field)),
        None => Ok(()),
    }
}

fn encode_tools(request: &ChatRequest) -> Vec<(&'static str, Value)> {
    // To force one tool, it is the only one offered.
    let offered: Vec<&Tool> = match &request.tool_choice {
        Some(ToolChoice::Named(name)) => request.tools.iter().filter(|tool| tool.name == *name).collect(),
        _ => request.tools.iter().collect(),
    };
    if offered.is_empty() {
        return Vec::new();
    }
    let mut fields = vec![("tools", offered.iter().map(|tool| encode_tool(tool)).collect())];
    match &request.tool_choice {
        Some(ToolChoice::Required | ToolChoice::Named(_)) => fields.push(("tool_choice", "REQUIRED".into())),
        Some(ToolChoice::None) => fields.push(("tool_choice", "NONE".into())),
        Some(ToolChoice::Auto) | None => {}
    }
    if offered.iter().all(|tool| tool.strict == Some(true)) {
        fields.push(("strict_tools", true.into()));
    }
    fields
}

fn encode_tool(tool: &Tool) -> Value {
    let parameters = tool.parameters.clone().unwrap_or_else(|| json!({ "type": "object", "properties": {} }));
    let mut function = Map::new();
    function.insert("name".to_owned(), tool.name.clone().into());
    if let Some(description) = &tool.description {
        function.insert("description".to_owned(), description.clone().into());
    }
    function.insert("parameters".to_owned(), parameters);
    json!({ "type": "function", "function": function })
}

/// Cohere thinks within a budget, or with none to its end.
fn encode_thinking(
    asked: &Reasoning,
    thinks: bool,
    drop_params: bool,
) -> Result<Option<Value>, Untranslatable> {
    let effort = asked.effort.as_deref();
    if asked.disabled || effort == Some("none") || asked.budget == Some(0) {
        return Ok(thinks.then(|| json!({ "type": "disabled" })));
    }
    if effort.is_none() && asked.budget.is_none() && !asked.adaptive {
        return Ok(None);
    }
    if !thinks {
        let field = if effort.is_some() { "reasoning_effort" } else { "thinking" };
        return if drop_params { Ok(None) } else { Err(unsupported(field)) };
    }
    let budget = asked.budget.or(match effort {
        Some("minimal" | "low") => Some(1_024),
        Some("medium") => Some(4_096),
        _ => None,
    });
    Ok(Some(match budget {
        Some(budget) => json!({ "type": "enabled", "token_budget": budget }),
        None => json!({ "type": "enabled" }),
    }))
}
