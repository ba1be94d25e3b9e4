//! A Gemini request, read into the neutral form.

use serde_json::{Map, Value};

use super::decode_content::{fields, system_parts, take_contents};
use super::schema::{camel, to_json_schema};
use crate::Untranslatable;
use crate::canonical::{AnswerFormat, AnswerSchema, ChatRequest, Tool, ToolChoice};
use crate::fields::{
    inexpressible, misshapen, need_text, object, take, take_flag, take_list, take_number, take_text,
    take_texts,
};

/// Fields of the API that have no neutral meaning.
const PARTICULAR: [&str; 1] = ["safetySettings"];

/// Fields that steer the provider's bookkeeping and not the answer.
const BOOKKEEPING: [&str; 4] = ["labels", "serviceTier", "store", "model"];

/// Fields of `generationConfig` that have no neutral meaning, and change nothing with these values.
const PARTICULAR_CONFIG: [(&str, &str); 9] = [
    ("audioTimestamp", "false"),
    ("enableAffectiveDialog", "false"),
    ("enableEnhancedCivicAnswers", "false"),
    ("imageConfig", "{}"),
    ("mediaResolution", r#""MEDIA_RESOLUTION_UNSPECIFIED""#),
    ("modelSelectionConfig", "{}"),
    ("responseModalities", r#"["TEXT"]"#),
    ("routingConfig", "{}"),
    ("speechConfig", "{}"),
];

/// Reads a request body. Model and stream are the path's.
///
/// # Errors
/// When a field has the wrong shape, or the conversation holds something no other format has.
pub(crate) fn decode_request(body: &[u8]) -> Result<ChatRequest, Untranslatable> {
    let mut map: Map<String, Value> =
        object(body)?.into_iter().map(|(field, value)| (camel(&field), value)).collect();
    if take(&mut map, "cachedContent").is_some() {
        return Err(inexpressible("cachedContent", "a part of the conversation that only Google keeps"));
    }
    let mut request = ChatRequest::default();
    if let Some(system) = take(&mut map, "systemInstruction") {
        request.system = system_parts(system)?;
    }
    request.messages = take_contents(&mut map)?;
    take_tools(&mut map, &mut request)?;
    take_tool_config(&mut map, &mut request)?;
    if let Some(config) = take(&mut map, "generationConfig") {
        take_config(fields(config, "generationConfig")?, &mut request)?;
    }
    for field in BOOKKEEPING {
        take(&mut map, field);
    }
    request.keep_rest(map, &PARTICULAR, |_, value| filters_nothing(value));
    Ok(request)
}

/// No other provider filters by these settings.
fn filters_nothing(settings: &Value) -> bool {
    let threshold = |setting: &Value| setting.get("threshold").and_then(Value::as_str).map(str::to_owned);
    settings.as_array().is_some_and(|settings| {
        settings.iter().all(|setting| {
            matches!(
                threshold(setting).as_deref(),
                None | Some("BLOCK_NONE" | "OFF" | "HARM_BLOCK_THRESHOLD_UNSPECIFIED")
            )
        })
    })
}

fn take_tools(map: &mut Map<String, Value>, request: &mut ChatRequest) -> Result<(), Untranslatable> {
    for (index, tool) in take_list(map, "tools", "")?.into_iter().enumerate() {
        let path = format!("tools[{index}]");
        let mut tool = fields(tool, &path)?;
        for (index, function) in take_list(&mut tool, "functionDeclarations", &path)?.into_iter().enumerate() {
            let path = format!("{path}.functionDeclarations[{index}]");
            request.tools.push(decode_function(function, &path)?);
        }
        // What is left are tools that Google runs.
        tool.retain(|_, value| !value.is_null());
        request.particular.extend(tool.keys().map(|kind| format!("{path}.{kind}")));
    }
    Ok(())
}

fn decode_function(function: Value, path: &str) -> Result<Tool, Untranslatable> {
    let mut map = fields(function, path)?;
    let json_schema = take(&mut map, "parametersJsonSchema");
    Ok(Tool {
        name: need_text(&mut map, "name", path)?,
        description: take_text(&mut map, "description", path)?.filter(|text| !text.is_empty()),
        parameters: json_schema.or_else(|| take(&mut map, "parameters").map(to_json_schema)),
        strict: None,
        cache_point: None,
        rest: Map::new(),
    })
}

fn take_tool_config(map: &mut Map<String, Value>, request: &mut ChatRequest) -> Result<(), Untranslatable> {
    let Some(config) = take(map, "toolConfig") else { return Ok(()) };
    let mut config = fields(config, "toolConfig")?;
    let path = "toolConfig.functionCallingConfig";
    if let Some(calling) = take(&mut config, "functionCallingConfig") {
        let mut calling = fields(calling, path)?;
        let names = take_texts(&mut calling, "allowedFunctionNames")?;
        // VALIDATED is AUTO with arguments that hold to their schema.
        request.tool_choice = match (take_text(&mut calling, "mode", path)?.as_deref(), names.as_slice()) {
            (None | Some("MODE_UNSPECIFIED"), _) => None,
            (Some("AUTO" | "VALIDATED"), _) => Some(ToolChoice::Auto),
            (Some("NONE"), _) => Some(ToolChoice::None),
            (Some("ANY"), [name]) => Some(ToolChoice::Named(name.clone())),
            (Some("ANY"), _) => Some(ToolChoice::Required),
            (Some(_), _) => return Err(misshapen(&format!("{path}.mode"), "AUTO, ANY, NONE or VALIDATED")),
        };
        // Some of several tools: the others are not offered.
        if names.len() > 1 {
            request.tools.retain(|tool| names.contains(&tool.name));
        }
    }
    config.retain(|_, value| !value.is_null() && *value != false);
    request.particular.extend(config.keys().map(|field| format!("toolConfig.{field}")));
    Ok(())
}

fn take_config(mut config: Map<String, Value>, request: &mut ChatRequest) -> Result<(), Untranslatable> {
    let whole = |number: Option<serde_json::Number>| number.and_then(|number| number.as_u64());
    request.temperature = take_number(&mut config, "temperature")?;
    request.top_p = take_number(&mut config, "topP")?;
    request.top_k = take_number(&mut config, "topK")?;
    request.max_tokens = whole(take_number(&mut config, "maxOutputTokens")?);
    request.stop = take_texts(&mut config, "stopSequences")?;
    request.seed = take_number(&mut config, "seed")?;
    request.choices = whole(take_number(&mut config, "candidateCount")?).filter(|choices| *choices != 1);
    request.presence_penalty = take_number(&mut config, "presencePenalty")?;
    request.frequency_penalty = take_number(&mut config, "frequencyPenalty")?;
    let alternatives = whole(take_number(&mut config, "logprobs")?);
    if take_flag(&mut config, "responseLogprobs")?.unwrap_or(false) {
        request.logprobs = Some(alternatives.unwrap_or(0));
    }
    take_format(&mut config, request)?;
    if let Some(thinking) = take(&mut config, "thinkingConfig") {
        take_thinking(fields(thinking, "generationConfig.thinkingConfig")?, request)?;
    }
    for (field, default) in PARTICULAR_CONFIG {
        if take(&mut config, field).is_some_and(|value| value.to_string() != default) {
            request.particular.push(format!("generationConfig.{field}"));
        }
    }
    config.retain(|_, value| !value.is_null());
    request.particular.extend(config.keys().map(|field| format!("generationConfig.{field}")));
    Ok(())
}

fn take_format(config: &mut Map<String, Value>, request: &mut ChatRequest) -> Result<(), Untranslatable> {
    let own = take(config, "responseSchema").map(to_json_schema);
    let schema = take(config, "responseJsonSchema").or_else(|| take(config, "_responseJsonSchema")).or(own);
    let kind = take_text(config, "responseMimeType", "generationConfig")?;
    request.format = match (kind.as_deref(), schema) {
        (Some("text/x.enum"), _) => {
            request.particular.push("generationConfig.responseMimeType".to_owned());
            None
        }
        (_, Some(schema)) => {
            Some(AnswerFormat::Schema(AnswerSchema { name: None, schema, strict: Some(true) }))
        }
        (Some("application/json"), None) => Some(AnswerFormat::Json),
        _ => None,
    };
    Ok(())
}

fn take_thinking(mut config: Map<String, Value>, request: &mut ChatRequest) -> Result<(), Untranslatable> {
    let wanted = &mut request.reasoning;
    wanted.shown = take_flag(&mut config, "includeThoughts")?;
    match take_number(&mut config, "thinkingBudget")? {
        None => {}
        Some(budget) if budget.as_i64() == Some(-1) => wanted.adaptive = true,
        Some(budget) if budget.as_u64() == Some(0) => wanted.disabled = true,
        Some(budget) => wanted.budget = budget.as_u64(),
    }
    let level = take_text(&mut config, "thinkingLevel", "generationConfig.thinkingConfig")?;
    wanted.effort = level.map(|level| level.to_ascii_lowercase()).filter(|level| !level.contains('_'));
    Ok(())
}
