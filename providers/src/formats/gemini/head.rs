//! The few fields of a Gemini request that the gateway acts on. Model and operation stand in the path.

use percent_encoding::percent_decode_str;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::split_path;
use crate::formats::raw::offset_in;
use crate::{BadRequest, Operation, RequestHead};

#[derive(Deserialize)]
struct Fields<'a> {
    #[serde(rename = "generationConfig", alias = "generation_config")]
    generation_config: Option<GenerationConfig>,
    // A count of tokens may hold a whole request, which repeats the model.
    #[serde(borrow, rename = "generateContentRequest", alias = "generate_content_request")]
    inner: Option<Inner<'a>>,
}

#[derive(Deserialize)]
struct GenerationConfig {
    #[serde(rename = "maxOutputTokens", alias = "max_output_tokens")]
    max_output_tokens: Option<u64>,
    #[serde(rename = "candidateCount", alias = "candidate_count")]
    candidate_count: Option<u64>,
    temperature: Option<f64>,
}

#[derive(Deserialize)]
struct Inner<'a> {
    #[serde(borrow)]
    model: Option<&'a RawValue>,
}

/// Reads the head of a body that is an object. `target` is the path with its query.
///
/// # Errors
/// When a touched field has the wrong type, or a stream is asked for that is not one of events.
pub(crate) fn read_head(operation: Operation, target: &str, text: &str) -> Result<RequestHead, BadRequest> {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let stream = operation == Operation::StreamGenerateContent;
    if stream && !query.split('&').any(|pair| pair == "alt=sse") {
        let message = "streamGenerateContent is answered with server-sent events only: add `?alt=sse` to the \
                       path, as Google's SDKs do.";
        return Err(BadRequest { message: message.to_owned(), param: Some("alt".to_owned()) });
    }
    let model = split_path(path).map_or("", |(model, _)| model);
    let model = percent_decode_str(model).decode_utf8().map_err(|_| BadRequest {
        message: "The model in the path is not valid UTF-8.".to_owned(),
        param: Some("model".to_owned()),
    })?;
    if model.trim().is_empty() {
        return Err(BadRequest {
            message: "The path names no model: it is /v1beta/models/MODEL:generateContent.".to_owned(),
            param: Some("model".to_owned()),
        });
    }
    let fields: Fields<'_> = serde_json::from_str(text).map_err(|error| BadRequest {
        message: format!("The request body is not valid: {error}."),
        param: None,
    })?;
    let model_span = fields.inner.and_then(|inner| inner.model).map(|raw| {
        let start = offset_in(text, raw);
        start..start + raw.get().len()
    });
    let config = fields.generation_config;
    Ok(RequestHead {
        stream_options_span: None,
        model: model.into_owned(),
        model_span,
        stream,
        include_usage: false,
        max_tokens: config.as_ref().and_then(|config| config.max_output_tokens),
        choices: config.as_ref().and_then(|config| config.candidate_count).unwrap_or(1),
        is_greedy: config.and_then(|config| config.temperature) == Some(0.0),
        caching: crate::Caching::default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(target: &str, body: &str) -> Result<RequestHead, BadRequest> {
        read_head(Operation::StreamGenerateContent, target, body)
    }

    #[test]
    fn model_limit_and_number_of_answers_are_read_in_either_spelling() {
        let target = "/v1beta/models/openai%2Fgpt-4o:streamGenerateContent?key=k&alt=sse";
        for body in [
            r#"{"generationConfig":{"maxOutputTokens":9,"candidateCount":2,"topK":1}}"#,
            r#"{"generation_config":{"max_output_tokens":9,"candidate_count":2}}"#,
        ] {
            let head = stream(target, body).unwrap();
            assert_eq!((head.model.as_str(), head.stream), ("openai/gpt-4o", true));
            assert_eq!((head.max_tokens, head.choices, head.model_span), (Some(9), 2, None));
        }
        let head = read_head(Operation::GenerateContent, "/models/m:generateContent", "{}").unwrap();
        assert_eq!((head.stream, head.max_tokens, head.choices), (false, None, 1));
    }

    #[test]
    fn the_model_inside_a_count_of_tokens_is_located() {
        let body = r#"{"generateContentRequest":{"model":"models/m","contents":[]}}"#;
        let head = read_head(Operation::GeminiCountTokens, "/v1beta/models/m:countTokens", body).unwrap();
        assert_eq!(&body[head.model_span.unwrap()], "\"models/m\"");
    }

    #[test]
    fn a_stream_as_a_list_and_a_wrong_type_are_refused() {
        let error = stream("/v1beta/models/m:streamGenerateContent", "{}").unwrap_err();
        assert!(error.message.contains("?alt=sse"), "{error}");
        let target = "/v1beta/models/m:streamGenerateContent?alt=sse";
        assert!(stream(target, r#"{"generationConfig":{"maxOutputTokens":-1}}"#).is_err());
        assert!(stream("/v1beta/models/%FF:streamGenerateContent?alt=sse", "{}").is_err());
        assert!(stream("", "{}").is_err());
    }
}
