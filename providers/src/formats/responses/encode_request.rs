//! The neutral request, spelt as a Responses request. Nothing is kept at the provider: a request that
//! comes from another format holds its whole conversation.

use serde_json::{Map, Value, json};

use super::encode_input::{encode_input, instructions};
use crate::Untranslatable;
use crate::canonical::{AnswerFormat, ChatRequest, Maker, Part, Reasoning, Signature, Tool, ToolChoice};
use crate::fields::unsupported;

/// Spells a request.
///
/// # Errors
/// When the format has no form for a field and `drop_params` is off, or for a piece of the conversation.
pub(crate) fn encode_request(
    request: &ChatRequest,
    model: &str,
    drop_params: bool,
) -> Result<Vec<u8>, Untranslatable> {
    if let Some(field) = unsupported_field(request).filter(|_| !drop_params) {
        return Err(unsupported(field));
    }
    let mut body = Map::new();
    let mut put = |field: &str, value: Value| body.insert(field.to_owned(), value);
    put("model", model.into());
    if let Some(text) = instructions(&request.system) {
        put("instructions", text.into());
    }
    put("input", encode_input(&request.messages)?.into());
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
        put("max_output_tokens", limit.into());
    }
    if let Some(temperature) = &request.temperature {
        put("temperature", temperature.clone().into());
    }
    if let Some(top_p) = &request.top_p {
        put("top_p", top_p.clone().into());
    }
    let reasoning = encode_reasoning(&request.reasoning);
    let mut include = Vec::new();
    if !reasoning.is_empty() || thinks(model) || has_own_reasoning(request) {
        include.push("reasoning.encrypted_content");
    }
    if !reasoning.is_empty() {
        put("reasoning", Value::Object(reasoning));
    }
    if let Some(format) = &request.format {
        put("text", json!({ "format": encode_format(format) }));
    }
    if let Some(alternatives) = request.logprobs {
        include.push("message.output_text.logprobs");
        put("top_logprobs", alternatives.into());
    }
    if !include.is_empty() {
        put("include", include.into());
    }
    put("store", false.into());
    if request.stream {
        put("stream", true.into());
    }
    if let Some(user) = &request.user {
        put("user", user.clone().into());
    }
    for (field, value) in &request.rest {
        put(field, value.clone());
    }
    Ok(Value::Object(body).to_string().into_bytes())
}

fn unsupported_field(request: &ChatRequest) -> Option<&'static str> {
    [
        ("stop", !request.stop.is_empty()),
        ("seed", request.seed.is_some()),
        ("n", request.choices.is_some_and(|choices| choices != 1)),
        ("top_k", request.top_k.is_some()),
        ("frequency_penalty", is_set(request.frequency_penalty.as_ref())),
        ("presence_penalty", is_set(request.presence_penalty.as_ref())),
    ]
    .into_iter()
    .find_map(|(field, given)| given.then_some(field))
}

fn is_set(penalty: Option<&serde_json::Number>) -> bool {
    penalty.is_some_and(|penalty| penalty.as_f64() != Some(0.0))
}

/// A budget in tokens becomes the effort it is worth; whoever turns thinking off gets what the model
/// does by itself, because not every model takes `none`.
fn encode_reasoning(wanted: &Reasoning) -> Map<String, Value> {
    let mut out = Map::new();
    if wanted.disabled {
        return out;
    }
    let effort = match (wanted.effort.as_deref(), wanted.budget) {
        // OpenAI's highest level has another name.
        (Some("max"), _) => Some("xhigh"),
        (Some(effort), _) => Some(effort),
        (None, Some(0..=4_096)) => Some("low"),
        (None, Some(4_097..=16_384)) => Some("medium"),
        (None, Some(_)) => Some("high"),
        (None, None) => None,
    };
    if let Some(effort) = effort {
        out.insert("effort".to_owned(), effort.into());
    }
    if wanted.shown == Some(true) {
        out.insert("summary".to_owned(), "auto".into());
    }
    out
}

/// Models that take the wish for their sealed thoughts; others refuse it.
fn thinks(model: &str) -> bool {
    let name = model.rsplit('/').next().unwrap_or(model);
    let numbered = name.strip_prefix('o').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    numbered || (name.starts_with("gpt-5") && !name.contains("chat"))
}

fn has_own_reasoning(request: &ChatRequest) -> bool {
    let own = |signature: &Signature| signature.maker == Maker::OpenAi;
    request.messages.iter().flat_map(|message| &message.parts).any(|part| match part {
        Part::SealedReasoning(signature) | Part::Reasoning { signature: Some(signature), .. } => {
            own(signature)
        }
        _ => false,
    })
}

fn encode_format(format: &AnswerFormat) -> Value {
    match format {
        AnswerFormat::Json => json!({ "type": "json_object" }),
        AnswerFormat::Schema(wanted) => {
            let name = wanted.name.as_deref().unwrap_or("answer");
            let mut out = json!({ "type": "json_schema", "name": name, "schema": wanted.schema });
            if let (Some(strict), Some(out)) = (wanted.strict, out.as_object_mut()) {
                out.insert("strict".to_owned(), strict.into());
            }
            out
        }
    }
}

fn encode_tool(tool: &Tool) -> Value {
    let mut out = Map::new();
    out.insert("type".to_owned(), "function".into());
    out.insert("name".to_owned(), tool.name.clone().into());
    if let Some(description) = &tool.description {
        out.insert("description".to_owned(), description.clone().into());
    }
    let parameters = tool.parameters.clone().unwrap_or_else(|| json!({ "type": "object", "properties": {} }));
    out.insert("parameters".to_owned(), parameters);
    // Left out, it would mean strict here and not strict everywhere else.
    out.insert("strict".to_owned(), tool.strict.unwrap_or(false).into());
    Value::Object(out)
}

fn encode_tool_choice(choice: &ToolChoice) -> Value {
    match choice {
        ToolChoice::Auto => "auto".into(),
        ToolChoice::None => "none".into(),
        ToolChoice::Required => "required".into(),
        ToolChoice::Named(name) => json!({ "type": "function", "name": name }),
    }
}
