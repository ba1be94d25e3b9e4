//! `generationConfig` and `toolConfig` of a request.

use serde_json::{Map, Value, json};

use crate::Untranslatable;
use crate::canonical::{AnswerFormat, ChatRequest, Reasoning, ToolChoice};
use crate::fields::unsupported;

/// Spells everything that shapes the answer.
pub(super) fn encode_generation_config(
    request: &ChatRequest,
    model: &str,
    drop_params: bool,
) -> Result<Map<String, Value>, Untranslatable> {
    let mut config = Map::new();
    let mut put = |field: &str, value: Option<Value>| {
        if let Some(value) = value {
            config.insert(field.to_owned(), value);
        }
    };
    put("maxOutputTokens", request.max_tokens.map(Value::from));
    put("temperature", request.temperature.clone().map(Value::Number));
    put("topP", request.top_p.clone().map(Value::Number));
    put("topK", request.top_k.clone().map(Value::Number));
    put("frequencyPenalty", request.frequency_penalty.clone().map(Value::Number));
    put("presencePenalty", request.presence_penalty.clone().map(Value::Number));
    put("seed", request.seed.clone().map(Value::Number));
    put("candidateCount", request.choices.map(Value::from));
    put("stopSequences", (!request.stop.is_empty()).then(|| request.stop.clone().into()));
    put("responseLogprobs", request.logprobs.map(|_| true.into()));
    put("logprobs", request.logprobs.filter(|alternatives| *alternatives > 0).map(Value::from));
    put("responseMimeType", request.format.as_ref().map(|_| "application/json".into()));
    if let Some(AnswerFormat::Schema(wanted)) = &request.format {
        put("responseJsonSchema", Some(wanted.schema.clone()));
    }
    put("thinkingConfig", encode_thinking(&request.reasoning, model, drop_params)?);
    Ok(config)
}

/// Gemini 3 and later take a level, earlier models a number of tokens, and no model both.
fn takes_budget(model: &str) -> bool {
    ["gemini-1", "gemini-2"].iter().any(|family| model.contains(family))
}

/// Calls in the conversation have to be signed: Gemini 3 and later refuse them otherwise.
pub(super) fn wants_signatures(model: &str) -> bool {
    !takes_budget(model)
}

fn encode_thinking(
    reasoning: &Reasoning,
    model: &str,
    drop_params: bool,
) -> Result<Option<Value>, Untranslatable> {
    let level = match reasoning.effort.as_deref() {
        Some(known @ ("none" | "minimal" | "low" | "medium" | "high" | "xhigh" | "max")) => Some(known),
        Some(_) if !drop_params => return Err(unsupported("reasoning_effort")),
        _ => None,
    };
    let level = if reasoning.disabled { Some("none") } else { level };
    let mut config = Map::new();
    if let Some(shown) = reasoning.shown {
        config.insert("includeThoughts".to_owned(), shown.into());
    }
    let (field, value) = match (takes_budget(model), reasoning.budget.filter(|_| !reasoning.disabled), level)
    {
        (true, Some(budget), _) => ("thinkingBudget", json!(budget)),
        (true, None, Some(level)) => ("thinkingBudget", json!(budget_of(level))),
        (true, None, None) if reasoning.adaptive => ("thinkingBudget", json!(-1)),
        (false, _, Some(level)) => ("thinkingLevel", level_of(level, model).into()),
        (false, Some(budget), None) => ("thinkingBudget", json!(budget)),
        // Later models decide by themselves unless told a level.
        _ => return Ok((!config.is_empty()).then_some(Value::Object(config))),
    };
    config.insert(field.to_owned(), value);
    Ok(Some(Value::Object(config)))
}

/// Google's own numbers for OpenAI's levels. Source: <https://ai.google.dev/gemini-api/docs/openai>.
fn budget_of(level: &str) -> u64 {
    match level {
        "none" => 0,
        "minimal" | "low" => 1_024,
        "medium" => 8_192,
        _ => 24_576,
    }
}

/// The nearest level there is: thinking cannot be turned off, and the Pro models have no `minimal`.
fn level_of<'a>(level: &'a str, model: &str) -> &'a str {
    match level {
        "none" | "minimal" if model.contains("pro") => "low",
        "none" => "minimal",
        "xhigh" | "max" => "high",
        level => level,
    }
}

/// Spells which tools may or must be called.
pub(super) fn encode_tool_config(choice: &ToolChoice) -> Value {
    let config = match choice {
        ToolChoice::Auto => json!({ "mode": "AUTO" }),
        ToolChoice::None => json!({ "mode": "NONE" }),
        ToolChoice::Required => json!({ "mode": "ANY" }),
        ToolChoice::Named(name) => json!({ "mode": "ANY", "allowedFunctionNames": [name] }),
    };
    json!({ "functionCallingConfig": config })
}

#[cfg(test)]
mod tests {
    use serde_json::Number;

    use super::*;
    use crate::canonical::AnswerSchema;

    #[test]
    fn every_parameter_has_its_place() {
        let number = |value| Number::from_f64(value);
        let request = ChatRequest {
            max_tokens: Some(9),
            temperature: number(0.5),
            top_p: number(0.9),
            top_k: Some(Number::from(40)),
            frequency_penalty: number(0.1),
            presence_penalty: number(-0.1),
            seed: Some(Number::from(7)),
            choices: Some(2),
            logprobs: Some(3),
            stop: vec!["END".to_owned()],
            format: Some(AnswerFormat::Schema(AnswerSchema {
                name: Some("n".to_owned()),
                schema: json!({ "type": "object" }),
                strict: Some(true),
            })),
            ..ChatRequest::default()
        };
        assert_eq!(
            Value::Object(encode_generation_config(&request, "gemini-2.5-flash", false).unwrap()),
            json!({
                "maxOutputTokens": 9, "temperature": 0.5, "topP": 0.9, "topK": 40, "frequencyPenalty": 0.1,
                "presencePenalty": -0.1, "seed": 7, "candidateCount": 2, "stopSequences": ["END"],
                "responseLogprobs": true, "logprobs": 3, "responseMimeType": "application/json",
                "responseJsonSchema": { "type": "object" },
            })
        );
        let request =
            ChatRequest { format: Some(AnswerFormat::Json), logprobs: Some(0), ..ChatRequest::default() };
        assert_eq!(
            Value::Object(encode_generation_config(&request, "m", false).unwrap()),
            json!({ "responseLogprobs": true, "responseMimeType": "application/json" })
        );
    }

    #[test]
    fn thinking_is_a_budget_or_a_level_as_the_model_takes_it() {
        let effort = |effort: &str| Reasoning { effort: Some(effort.to_owned()), ..Reasoning::default() };
        let budget = Reasoning { budget: Some(2_000), shown: Some(true), ..Reasoning::default() };
        for (reasoning, old, new, pro) in [
            (effort("low"), json!({ "thinkingBudget": 1024 }), "low", "low"),
            (effort("minimal"), json!({ "thinkingBudget": 1024 }), "minimal", "low"),
            (effort("none"), json!({ "thinkingBudget": 0 }), "minimal", "low"),
            (effort("max"), json!({ "thinkingBudget": 24576 }), "high", "high"),
            (
                Reasoning { disabled: true, ..Reasoning::default() },
                json!({ "thinkingBudget": 0 }),
                "minimal",
                "low",
            ),
        ] {
            let encode = |model| encode_thinking(&reasoning, model, false).unwrap();
            assert_eq!(encode("gemini-2.5-pro"), Some(old));
            assert_eq!(encode("gemini-3.5-flash"), Some(json!({ "thinkingLevel": new })));
            assert_eq!(encode("gemini-3.1-pro-preview"), Some(json!({ "thinkingLevel": pro })));
        }
        let expected = json!({ "includeThoughts": true, "thinkingBudget": 2000 });
        for model in ["gemini-2.5-flash", "gemini-3.5-flash"] {
            assert_eq!(encode_thinking(&budget, model, false).unwrap(), Some(expected.clone()), "{model}");
        }
        let adaptive = Reasoning { adaptive: true, ..Reasoning::default() };
        let dynamic = Some(json!({ "thinkingBudget": -1 }));
        assert_eq!(encode_thinking(&adaptive, "gemini-2.5-pro", false).unwrap(), dynamic);
        assert_eq!(encode_thinking(&adaptive, "gemini-3.5-flash", false).unwrap(), None);
        assert!(encode_thinking(&effort("silly"), "m", false).is_err());
        assert_eq!(encode_thinking(&effort("silly"), "m", true).unwrap(), None);
    }
}
