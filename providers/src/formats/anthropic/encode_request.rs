//! The neutral request, spelt as Anthropic Messages.

use serde_json::{Map, Number, Value, json};

use super::thinking::{self, Thinking};
use crate::Untranslatable;
use crate::canonical::{
    AnswerFormat, CachePoint, ChatRequest, Maker, Media, Message, Part, Role, Tool, ToolChoice,
};
use crate::fields::{inexpressible, misshapen, unsupported};
use crate::formats::cache_control::cache_control;
use crate::formats::text_document::decode_text;

/// What Anthropic is given when neither client nor catalogue says: every request needs a limit.
const DEFAULT_MAX_TOKENS: u64 = 4_096;

/// Spells a request.
///
/// # Errors
/// When the format has no form for a field and `drop_params` is off, or for a piece of the conversation.
pub(crate) fn encode_request(
    request: &ChatRequest,
    model: &str,
    max_output: Option<u32>,
    drop_params: bool,
) -> Result<Vec<u8>, Untranslatable> {
    refuse_parameters(request, drop_params)?;
    let most = max_output.map(u64::from);
    let thinking = thinking::plan(request, model, most.unwrap_or(DEFAULT_MAX_TOKENS), most, drop_params)?;
    let mut body = Map::new();
    let mut put = |field: &str, value: Value| body.insert(field.to_owned(), value);
    put("model", model.into());
    put("max_tokens", thinking.max_tokens.into());
    let system: Vec<Value> = encode_parts(&request.system, "system")?;
    if !system.is_empty() {
        put("system", system.into());
    }
    put("messages", encode_messages(&request.messages)?.into());
    if !request.tools.is_empty() {
        put("tools", request.tools.iter().map(encode_tool).collect());
        if let Some(choice) = encode_tool_choice(request) {
            put("tool_choice", choice);
        }
    }
    if let Some(field) = &thinking.field {
        put("thinking", field.clone());
    }
    for (field, value) in sampling(request, &thinking, drop_params)? {
        put(field, value.clone().into());
    }
    if !request.stop.is_empty() {
        put("stop_sequences", request.stop.clone().into());
    }
    if request.stream {
        put("stream", true.into());
    }
    if let Some(user) = &request.user {
        put("metadata", json!({ "user_id": user }));
    }
    if let Some(config) = encode_output_config(request, &thinking) {
        put("output_config", config);
    }
    for (field, value) in &request.rest {
        put(field, value.clone());
    }
    Ok(Value::Object(body).to_string().into_bytes())
}

/// What Anthropic has no parameter for. JSON without a schema is among it: an instruction in its place
/// would change the conversation behind the client's back.
fn refuse_parameters(request: &ChatRequest, drop_params: bool) -> Result<(), Untranslatable> {
    let present = [
        ("n", request.choices.is_some_and(|choices| choices > 1)),
        ("seed", request.seed.is_some()),
        ("frequency_penalty", request.frequency_penalty.is_some()),
        ("presence_penalty", request.presence_penalty.is_some()),
        ("logprobs", request.logprobs.is_some()),
        ("response_format", request.format == Some(AnswerFormat::Json)),
    ];
    match present.iter().find(|(_, present)| *present && !drop_params) {
        Some((field, _)) => Err(unsupported(field)),
        None => Ok(()),
    }
}

/// Temperature, `top_p` and `top_k` as far as the model takes them. Models that think take the usual
/// temperature of 1 and a `top_p` from 0.95 on; models since 4.7 take neither beside the usual 1.
fn sampling<'a>(
    request: &'a ChatRequest,
    thinking: &Thinking,
    drop_params: bool,
) -> Result<Vec<(&'static str, &'a Number)>, Untranslatable> {
    let fixed = thinking.fixed_sampling;
    let within = |number: &Number, least: f64| number.as_f64().is_some_and(|n| (least..=1.0).contains(&n));
    let mut out = Vec::new();
    if let Some(temperature) = &request.temperature {
        if within(temperature, if fixed { 1.0 } else { 0.0 }) {
            out.push(("temperature", temperature));
        } else if !drop_params {
            let limit = if fixed {
                "has to be 1 for a model that thinks"
            } else {
                "is above the provider's limit of 1"
            };
            return Err(Untranslatable {
                message: format!(
                    "`temperature` {limit}: change or remove it, or set `drop_params: true` on the model."
                ),
                param: Some("temperature".to_owned()),
            });
        }
    }
    for (field, value, allowed) in [
        ("top_p", &request.top_p, request.top_p.as_ref().is_some_and(|top_p| !fixed || within(top_p, 0.95))),
        ("top_k", &request.top_k, !fixed),
    ] {
        match value {
            Some(value) if allowed => out.push((field, value)),
            Some(_) if !drop_params => return Err(unsupported(field)),
            _ => {}
        }
    }
    Ok(out)
}

fn encode_output_config(request: &ChatRequest, thinking: &Thinking) -> Option<Value> {
    let mut config = Map::new();
    if let Some(effort) = thinking.effort {
        config.insert("effort".to_owned(), effort.into());
    }
    if let Some(AnswerFormat::Schema(wanted)) = &request.format {
        config.insert("format".to_owned(), json!({ "type": "json_schema", "schema": wanted.schema }));
    }
    (!config.is_empty()).then_some(Value::Object(config))
}

/// Turns alternate: what several tools answered, and the text after it, is one turn of the user.
fn encode_messages(messages: &[Message]) -> Result<Vec<Value>, Untranslatable> {
    let mut turns: Vec<(Role, Vec<Value>)> = Vec::new();
    for message in messages {
        let parts = encode_parts(&message.parts, &format!("messages[{}].content", message.index))?;
        match turns.last_mut() {
            Some((role, so_far)) if *role == message.role => so_far.extend(parts),
            _ => turns.push((message.role, parts)),
        }
    }
    Ok(turns
        .into_iter()
        .filter(|(_, parts)| !parts.is_empty())
        .map(|(role, parts)| {
            let role = if role == Role::User { "user" } else { "assistant" };
            json!({ "role": role, "content": parts })
        })
        .collect())
}

fn encode_parts(parts: &[Part], path: &str) -> Result<Vec<Value>, Untranslatable> {
    let mut blocks = Vec::with_capacity(parts.len());
    for (index, part) in parts.iter().enumerate() {
        if let (Part::CachePoint(point), Some(Value::Object(block))) = (part, blocks.last_mut()) {
            mark_cached(block, point);
        }
        blocks.extend(encode_part(part, &format!("{path}[{index}]"))?);
    }
    Ok(blocks)
}

/// A cache point stands on the block before it. Thinking takes none: it is cached with what follows.
fn mark_cached(block: &mut Map<String, Value>, point: &CachePoint) {
    if !block.get("type").is_some_and(|kind| kind == "thinking" || kind == "redacted_thinking") {
        block.insert("cache_control".to_owned(), cache_control(point));
    }
}

fn encode_part(part: &Part, path: &str) -> Result<Option<Value>, Untranslatable> {
    Ok(Some(match part {
        // Anthropic refuses empty text, which OpenAI's clients send beside tool calls.
        Part::Text { text, .. } if text.is_empty() => return Ok(None),
        Part::Text { text, rest } => {
            let mut block = Map::new();
            block.insert("type".to_owned(), "text".into());
            block.insert("text".to_owned(), text.clone().into());
            block.extend(rest.clone());
            Value::Object(block)
        }
        Part::Image(media) => json!({ "type": "image", "source": encode_media(media) }),
        Part::Document { media, name } => {
            let mut block = json!({ "type": "document", "source": encode_document(media, path)? });
            if let (Some(name), Some(block)) = (name, block.as_object_mut()) {
                block.insert("title".to_owned(), name.clone().into());
            }
            block
        }
        Part::ToolCall { id, name, arguments } => {
            json!({ "type": "tool_use", "id": id, "name": name, "input": parse_arguments(arguments, path)? })
        }
        Part::ToolResult { call_id, parts, is_error } => {
            let content = encode_parts(parts, path)?;
            let mut block = json!({ "type": "tool_result", "tool_use_id": call_id, "content": content });
            if let (true, Some(block)) = (is_error, block.as_object_mut()) {
                block.insert("is_error".to_owned(), true.into());
            }
            block
        }
        Part::Reasoning { text, signature: Some(signature) } if signature.maker == Maker::Anthropic => {
            json!({ "type": "thinking", "thinking": text, "signature": signature.value })
        }
        Part::SealedReasoning(sealed) if sealed.maker == Maker::Anthropic => {
            json!({ "type": "redacted_thinking", "data": sealed.value })
        }
        // Thinking is taken back only with a signature of its own.
        Part::Reasoning { .. } | Part::SealedReasoning(_) | Part::CachePoint(_) => return Ok(None),
    }))
}

fn parse_arguments(arguments: &str, path: &str) -> Result<Value, Untranslatable> {
    serde_json::from_str::<Map<String, Value>>(arguments)
        .map(Value::Object)
        .map_err(|_| misshapen(path, "the text of a JSON object"))
}

/// PDF as it is, text as text; Anthropic reads no other documents.
fn encode_document(media: &Media, path: &str) -> Result<Value, Untranslatable> {
    match media {
        Media::Base64 { media_type, payload } if media_type.starts_with("text/") => {
            let text = decode_text(payload)
                .ok_or_else(|| misshapen(path, "a document whose base64 holds text in UTF-8"))?;
            Ok(json!({ "type": "text", "media_type": "text/plain", "data": text }))
        }
        Media::Base64 { media_type, .. } if media_type != "application/pdf" => {
            Err(inexpressible(path, media_type))
        }
        media => Ok(encode_media(media)),
    }
}

fn encode_media(media: &Media) -> Value {
    match media {
        Media::Url(url) => json!({ "type": "url", "url": url }),
        Media::Base64 { media_type, payload } => {
            json!({ "type": "base64", "media_type": media_type, "data": payload })
        }
    }
}

fn encode_tool(tool: &Tool) -> Value {
    let mut out = Map::new();
    out.insert("name".to_owned(), tool.name.clone().into());
    if let Some(description) = &tool.description {
        out.insert("description".to_owned(), description.clone().into());
    }
    let parameters = tool.parameters.clone().unwrap_or_else(|| json!({ "type": "object", "properties": {} }));
    out.insert("input_schema".to_owned(), parameters);
    // Strictness is off unless asked for, and not every model knows the field.
    if tool.strict == Some(true) {
        out.insert("strict".to_owned(), true.into());
    }
    out.extend(tool.rest.clone());
    if let Some(point) = &tool.cache_point {
        out.insert("cache_control".to_owned(), cache_control(point));
    }
    Value::Object(out)
}

fn encode_tool_choice(request: &ChatRequest) -> Option<Value> {
    let mut choice = match &request.tool_choice {
        Some(ToolChoice::Auto) => json!({ "type": "auto" }),
        Some(ToolChoice::None) => json!({ "type": "none" }),
        Some(ToolChoice::Required) => json!({ "type": "any" }),
        Some(ToolChoice::Named(name)) => json!({ "type": "tool", "name": name }),
        None if request.parallel_tool_calls == Some(false) => json!({ "type": "auto" }),
        None => return None,
    };
    if request.parallel_tool_calls == Some(false)
        && request.tool_choice != Some(ToolChoice::None)
        && let Some(choice) = choice.as_object_mut()
    {
        choice.insert("disable_parallel_tool_use".to_owned(), true.into());
    }
    Some(choice)
}
