//! `generationConfig` and `toolConfig` of a request, read into the neutral form.

use serde_json::{Map, Value};

use super::decode_request::need_message;
use super::schema::json_schema;
use crate::Untranslatable;
use crate::canonical::{AnswerFormat, AnswerSchema, ChatRequest, ToolChoice};
use crate::fields::{misshapen, take, take_flag, take_number, take_text, take_texts};

/// Takes `toolConfig` out of the body.
pub(super) fn take_tool_config(
    map: &mut Map<String, Value>,
    request: &mut ChatRequest,
) -> Result<(), Untranslatable> {
    let Some(config) = take(map, "toolConfig") else { return Ok(()) };
    let mut config = need_message(config, "toolConfig")?;
    if let Some(calling) = take(&mut config, "functionCallingConfig") {
        take_calling_config(calling, request)?;
    }
    // Without tools of its own a provider does nothing with this.
    take(&mut config, "includeServerSideToolInvocations");
    let left = config.iter().filter(|(_, value)| !value.is_null());
    request.particular.extend(left.map(|(field, _)| format!("toolConfig.{field}")));
    Ok(())
}

fn take_calling_config(calling: Value, request: &mut ChatRequest) -> Result<(), Untranslatable> {
    let path = "toolConfig.functionCallingConfig";
    let mut calling = need_message(calling, path)?;
    let mode = take_text(&mut calling, "mode", path)?.unwrap_or_default().to_ascii_uppercase();
    let mut allowed = take_texts(&mut calling, "allowedFunctionNames")?;
    let all_allowed = request.tools.iter().all(|tool| allowed.contains(&tool.name));
    let choice = match mode.as_str() {
        "" | "MODE_UNSPECIFIED" => return Ok(()),
        "NONE" => ToolChoice::None,
        // Every format holds itself to the schemas it was given.
        "AUTO" | "VALIDATED" => ToolChoice::Auto,
        "ANY" if allowed.len() == 1 => ToolChoice::Named(allowed.remove(0)),
        "ANY" => ToolChoice::Required,
        _ => return Err(misshapen(&format!("{path}.mode"), "AUTO, ANY, NONE or VALIDATED")),
    };
    if !allowed.is_empty() && !all_allowed {
        request.particular.push(format!("{path}.allowedFunctionNames"));
    }
    request.tool_choice = Some(choice);
    Ok(())
}

/// Takes `generationConfig` out of the body.
pub(super) fn take_generation_config(
    map: &mut Map<String, Value>,
    request: &mut ChatRequest,
) -> Result<(), Untranslatable> {
    let Some(config) = take(map, "generationConfig") else { return Ok(()) };
    let mut config = need_message(config, "generationConfig")?;
    request.max_tokens = take_number(&mut config, "maxOutputTokens")?.and_then(|limit| limit.as_u64());
    request.temperature = take_number(&mut config, "temperature")?;
    request.top_p = take_number(&mut config, "topP")?;
    request.top_k = take_number(&mut config, "topK")?;
    request.frequency_penalty = take_number(&mut config, "frequencyPenalty")?;
    request.presence_penalty = take_number(&mut config, "presencePenalty")?;
    request.seed = take_number(&mut config, "seed")?;
    request.choices = take_number(&mut config, "candidateCount")?.and_then(|count| count.as_u64());
    request.stop = take_texts(&mut config, "stopSequences")?;
    let alternatives = take_number(&mut config, "logprobs")?.and_then(|count| count.as_u64());
    if take_flag(&mut config, "responseLogprobs")?.unwrap_or(false) {
        request.logprobs = Some(alternatives.unwrap_or(0));
    }
    take_answer_format(&mut config, request)?;
    take_thinking(&mut config, request)?;
    let modalities = take(&mut config, "responseModalities");
    let is_text = |kind: &Value| kind.as_str().is_some_and(|kind| kind.eq_ignore_ascii_case("text"));
    if modalities.is_some_and(|kinds| !kinds.as_array().is_some_and(|kinds| kinds.iter().all(is_text))) {
        request.particular.push("generationConfig.responseModalities".to_owned());
    }
    let left = config.iter().filter(|(_, value)| !value.is_null());
    request.particular.extend(left.map(|(field, _)| format!("generationConfig.{field}")));
    Ok(())
}

fn take_answer_format(
    config: &mut Map<String, Value>,
    request: &mut ChatRequest,
) -> Result<(), Untranslatable> {
    let kind = take_text(config, "responseMimeType", "generationConfig")?;
    // Before it had its name, the field had one that began with a line.
    let plain = take(config, "responseJsonSchema").or_else(|| take(config, "_responseJsonSchema"));
    let dialect = take(config, "responseSchema");
    match kind.as_deref() {
        None | Some("text/plain") => {}
        Some("application/json") => {
            request.format = Some(match plain.or_else(|| dialect.map(json_schema)) {
                Some(schema) => AnswerFormat::Schema(AnswerSchema { name: None, schema, strict: None }),
                None => AnswerFormat::Json,
            });
        }
        Some(_) => request.particular.push("generationConfig.responseMimeType".to_owned()),
    }
    Ok(())
}

fn take_thinking(config: &mut Map<String, Value>, request: &mut ChatRequest) -> Result<(), Untranslatable> {
    let Some(thinking) = take(config, "thinkingConfig") else { return Ok(()) };
    let path = "generationConfig.thinkingConfig";
    let mut thinking = need_message(thinking, path)?;
    request.reasoning.shown = take_flag(&mut thinking, "includeThoughts")?;
    match take_number(&mut thinking, "thinkingBudget")?.map(|budget| (budget.as_i64(), budget.as_u64())) {
        Some((Some(-1), _)) => request.reasoning.adaptive = true,
        Some((Some(0), _)) => request.reasoning.disabled = true,
        Some((_, Some(budget))) => request.reasoning.budget = Some(budget),
        Some(_) => return Err(misshapen(&format!("{path}.thinkingBudget"), "-1, 0 or a number of tokens")),
        None => {}
    }
    let level = take_text(&mut thinking, "thinkingLevel", path)?.map(|level| level.to_ascii_lowercase());
    request.reasoning.effort = level.filter(|level| level != "thinking_level_unspecified");
    request.particular.extend(thinking.keys().map(|field| format!("{path}.{field}")));
    Ok(())
}
