//! Reads the few fields of a request body that the gateway acts on, in one pass and without building
//! a tree. Everything else is checked for JSON syntax and skipped; it reaches the provider as it is.

use std::borrow::Cow;
use std::ops::Range;

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::formats::{gemini, offset_in};
use crate::multipart::find_model;
use crate::{Operation, WireFormat};

/// The touched fields of a request body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestHead {
    /// The model the client asks for, unescaped.
    pub model: String,
    /// Where the model's JSON string literal, quotes included, lies in the body, in a form its value; None when only the path
    /// names the model.
    pub model_span: Option<Range<usize>>,
    /// The client wants an event stream.
    pub stream: bool,
    /// The client asked for a usage chunk (`stream_options.include_usage`; OpenAI's formats only).
    pub include_usage: bool,
    /// Where the value of `stream_options` lies in the body, if the field is there.
    pub stream_options_span: Option<Range<usize>>,
    /// `max_completion_tokens`, else `max_tokens`; for Responses `max_output_tokens`.
    pub max_tokens: Option<u64>,
    /// How many answers are wanted (`n`).
    pub choices: u64,
    /// `temperature` is 0: of every token the likeliest.
    pub is_greedy: bool,
    /// What decides whether the answer may be kept.
    pub caching: Caching,
}

/// What a request says about keeping its answer. Not read of Google's operations and of forms.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Caching {
    /// Asked again it is meant to be answered alike: a temperature of 0.3 at most, or a seed.
    pub is_steady: bool,
    /// The model may call tools.
    pub has_tools: bool,
    /// Its answer goes on with what the provider keeps, or is kept there.
    pub is_stateful: bool,
    /// The object `cache`, which is the gateway's, as JSON text; and where in the body its value lies.
    pub controls: Option<(String, Range<usize>)>,
}

/// From here on two answers to one question are meant to differ.
const STEADY_TEMPERATURE: f64 = 0.3;

/// The body cannot be used. The message is for the client.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct BadRequest {
    /// What is wrong, where, and what was expected.
    pub message: String,
    /// The field at fault.
    pub param: Option<String>,
}

#[derive(Deserialize)]
struct Fields<'a> {
    #[serde(borrow)]
    model: Option<&'a RawValue>,
    #[serde(borrow)]
    stream: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "even_null")]
    stream_options: Option<&'a RawValue>,
    #[serde(borrow)]
    max_tokens: Option<&'a RawValue>,
    #[serde(borrow)]
    max_completion_tokens: Option<&'a RawValue>,
    #[serde(borrow)]
    max_output_tokens: Option<&'a RawValue>,
    #[serde(borrow)]
    n: Option<&'a RawValue>,
    #[serde(borrow)]
    temperature: Option<&'a RawValue>,
    #[serde(borrow)]
    seed: Option<&'a RawValue>,
    #[serde(borrow)]
    tools: Option<&'a RawValue>,
    #[serde(borrow)]
    functions: Option<&'a RawValue>,
    #[serde(borrow)]
    store: Option<&'a RawValue>,
    #[serde(borrow)]
    previous_response_id: Option<&'a RawValue>,
    #[serde(borrow)]
    conversation: Option<&'a RawValue>,
    #[serde(borrow)]
    background: Option<&'a RawValue>,
    #[serde(borrow)]
    cache: Option<&'a RawValue>,
}

impl Fields<'_> {
    fn caching(&self, text: &str) -> Caching {
        let is_list = |raw: &RawValue| !raw.get().trim_start_matches('[').trim_start().starts_with(']');
        let is_true = |raw: Option<&RawValue>| raw.is_some_and(|raw| raw.get() == "true");
        let is_cool = |raw: &RawValue| raw.get().parse::<f64>().is_ok_and(|it| it <= STEADY_TEMPERATURE);
        let controls = self.cache.filter(|raw| raw.get().starts_with('{'));
        Caching {
            is_steady: self.temperature.is_some_and(is_cool) || self.seed.is_some(),
            has_tools: self.tools.is_some_and(is_list) || self.functions.is_some_and(is_list),
            is_stateful: is_true(self.store)
                || is_true(self.background)
                || self.previous_response_id.is_some()
                || self.conversation.is_some(),
            controls: controls.map(|raw| (raw.get().to_owned(), span_in(text, raw))),
        }
    }
}

#[derive(Default, Deserialize)]
struct StreamOptions {
    include_usage: Option<bool>,
}

/// The raw value also when it is null, because null has a place in the body too.
pub(crate) fn even_null<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

/// Reads the head of a request. `target` is the path with its query, which Google's operations need;
/// for the others it may be empty.
///
/// # Errors
/// When the body is not UTF-8, not JSON (the message names line and column), not an object, has no
/// usable `model`, names a touched field twice, or gives one of them the wrong type.
pub fn read_request_head(operation: Operation, target: &str, body: &[u8]) -> Result<RequestHead, BadRequest> {
    if operation.is_form() {
        let (model, model_span) = find_model(body)?;
        let (stream, include_usage, max_tokens, choices) = (false, false, None, 1);
        return Ok(RequestHead {
            model,
            model_span: Some(model_span),
            stream,
            include_usage,
            stream_options_span: None,
            max_tokens,
            choices,
            is_greedy: false,
            caching: Caching::default(),
        });
    }
    let text = std::str::from_utf8(body).map_err(|error| {
        refuse(format!("The request body is not valid UTF-8: byte {} is wrong.", error.valid_up_to()), None)
    })?;
    match text.trim_ascii_start().as_bytes().first() {
        Some(b'{') => {}
        None => return Err(refuse("The request body is empty: expected a JSON object.", None)),
        Some(b'[' | b'"' | b't' | b'f' | b'n' | b'-' | b'0'..=b'9') => {
            return Err(refuse("The request body must be a JSON object.", None));
        }
        Some(_) => {
            let syntax = syntax_error(text);
            return Err(refuse(format!("The request body is not valid JSON: {syntax}."), None));
        }
    }
    if operation.wire_format() == WireFormat::Gemini {
        return gemini::read_head(operation, target, text);
    }
    let fields: Fields<'_> = serde_json::from_str(text).map_err(|error| unreadable(&error))?;
    let (model, model_span) = read_model(text, fields.model)?;
    let caching = fields.caching(text);
    let openai = operation.wire_format() == WireFormat::OpenAi;
    let include_usage = match fields.stream_options {
        Some(raw) if openai && raw.get() != "null" => {
            read::<StreamOptions>(raw, "stream_options", "an object")?.include_usage.unwrap_or(false)
        }
        _ => false,
    };
    let whole = "a non-negative integer";
    let responses = operation.wire_format() == WireFormat::Responses;
    let max_tokens = match (fields.max_completion_tokens, fields.max_tokens) {
        _ if responses => {
            fields.max_output_tokens.map(|raw| read(raw, "max_output_tokens", whole)).transpose()?
        }
        (Some(raw), _) => Some(read(raw, "max_completion_tokens", whole)?),
        (None, Some(raw)) => Some(read(raw, "max_tokens", whole)?),
        (None, None) => None,
    };
    let stream = fields.stream.map(|raw| read(raw, "stream", "true or false")).transpose()?.unwrap_or(false);
    // Their events would be no chat's: the answer is taken whole.
    let stream = stream && !operation.is_raw();
    let choices = match fields.n {
        Some(raw) if openai => read(raw, "n", whole)?,
        _ => 1,
    };
    let stream_options_span = fields.stream_options.map(|raw| span_in(text, raw));
    // What is no number is the provider's to refuse.
    let is_greedy = fields.temperature.is_some_and(|raw| raw.get().parse() == Ok(0.0));
    Ok(RequestHead {
        model,
        model_span: Some(model_span),
        stream,
        include_usage,
        stream_options_span,
        max_tokens,
        choices,
        is_greedy,
        caching,
    })
}

fn read_model(text: &str, raw: Option<&RawValue>) -> Result<(String, Range<usize>), BadRequest> {
    let Some(raw) = raw else {
        return Err(refuse("The field `model` is missing: name the model to use.", Some("model")));
    };
    let model: Cow<'_, str> = read(raw, "model", "a string")?;
    if model.trim().is_empty() {
        return Err(refuse("The field `model` is empty: name the model to use.", Some("model")));
    }
    Ok((model.into_owned(), span_in(text, raw)))
}

fn span_in(text: &str, raw: &RawValue) -> Range<usize> {
    let start = offset_in(text, raw);
    start..start + raw.get().len()
}

fn read<'a, T: Deserialize<'a>>(raw: &'a RawValue, field: &str, expected: &str) -> Result<T, BadRequest> {
    serde_json::from_str(raw.get())
        .map_err(|_| refuse(format!("The field `{field}` must be {expected}."), Some(field)))
}

/// Serde's own wording names the field, the expectation, the line and the column.
fn unreadable(error: &serde_json::Error) -> BadRequest {
    let text = error.to_string();
    match text.strip_prefix("duplicate field `").and_then(|rest| rest.split('`').next()) {
        Some(field) => refuse(format!("The field `{field}` is given twice: {text}."), Some(field)),
        None => refuse(format!("The request body is not valid JSON: {text}."), None),
    }
}

fn syntax_error(text: &str) -> String {
    serde_json::from_str::<serde::de::IgnoredAny>(text)
        .map_or_else(|error| error.to_string(), |_| "expected a JSON object".to_owned())
}

fn refuse(message: impl Into<String>, param: Option<&str>) -> BadRequest {
    BadRequest { message: message.into(), param: param.map(str::to_owned) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chat(body: &str) -> Result<RequestHead, BadRequest> {
        read_request_head(Operation::ChatCompletions, "", body.as_bytes())
    }

    fn fault(body: &str) -> (String, Option<String>) {
        let error = chat(body).unwrap_err();
        (error.message, error.param)
    }

    #[test]
    fn the_touched_fields_are_read_and_the_model_is_located() {
        let body = "\u{20}{\"messages\":[{\"role\":\"user\",\"content\":\"\\u00e9\"}], \"model\" : \"gpt\\u002d4o\",\n\
                    \"stream\":true,\"stream_options\":{\"include_usage\":true,\"x\":1},\"max_tokens\":7,\"n\":2,\"temperature\":0.0}";
        let head = chat(body).unwrap();
        assert!(head.is_greedy);
        assert_eq!(head.model, "gpt-4o");
        assert_eq!(&body[head.model_span.clone().unwrap()], "\"gpt\\u002d4o\"");
        assert!(head.stream && head.include_usage);
        assert_eq!((head.max_tokens, head.choices), (Some(7), 2));
    }

    #[test]
    fn nulls_count_as_absent() {
        let head =
            chat(r#"{"model":"m","stream":null,"stream_options":null,"max_tokens":null,"n":null}"#).unwrap();
        assert_eq!((head.stream, head.include_usage, head.max_tokens, head.choices), (false, false, None, 1));
    }

    #[test]
    fn max_completion_tokens_wins_over_max_tokens() {
        assert_eq!(
            chat(r#"{"model":"m","max_tokens":1,"max_completion_tokens":2}"#).unwrap().max_tokens,
            Some(2)
        );
    }

    #[test]
    fn malformed_json_names_line_and_column_and_what_was_expected() {
        let (message, param) = fault("{\n  \"model\": \"m\"\n  \"n\": 1}");
        assert_eq!(message, "The request body is not valid JSON: expected `,` or `}` at line 3 column 3.");
        assert_eq!(param, None);
        assert!(fault("{\"model\":\"m\"} x").0.contains("trailing characters at line 1 column 15"));
        assert!(fault("{\"model\":\"m").0.contains("EOF while parsing a string"));
        assert!(fault("hello").0.contains("line 1 column 1"));
    }

    #[test]
    fn a_body_that_is_not_an_object_is_refused() {
        for body in ["[\"m\"]", "\"m\"", "3", "null", " true"] {
            assert_eq!(fault(body).0, "The request body must be a JSON object.", "{body}");
        }
        assert!(fault("").0.contains("empty"));
    }

    #[test]
    fn a_model_that_is_missing_empty_or_no_string_is_named() {
        for body in ["{}", r#"{"model":null}"#, r#"{"model":""}"#, r#"{"model":" "}"#, r#"{"model":4}"#] {
            let (message, param) = fault(body);
            assert!(message.contains("`model`"), "{message}");
            assert_eq!(param.as_deref(), Some("model"));
        }
    }

    #[test]
    fn a_second_top_level_model_is_refused_but_a_nested_one_is_not() {
        let (message, param) = fault(r#"{"model":"a","model":"b"}"#);
        assert!(message.contains("twice"), "{message}");
        assert_eq!(param.as_deref(), Some("model"));
        assert!(chat(r#"{"model":"a","metadata":{"model":"b"}}"#).is_ok());
    }

    #[test]
    fn an_escaped_spelling_of_model_is_still_the_same_field() {
        assert!(chat(r#"{"model":"a","mod\u0065l":"b"}"#).is_err());
    }

    #[test]
    fn bytes_that_are_not_utf8_are_refused_even_in_skipped_fields() {
        let body = b"{\"model\":\"m\",\"x\":\"\xff\"}";
        let error = read_request_head(Operation::ChatCompletions, "", body).unwrap_err();
        assert_eq!(error.message, "The request body is not valid UTF-8: byte 18 is wrong.");
    }

    #[test]
    fn a_touched_field_of_the_wrong_type_is_named() {
        for (body, field) in [
            (r#"{"model":"m","stream":"yes"}"#, "stream"),
            (r#"{"model":"m","max_tokens":-1}"#, "max_tokens"),
            (r#"{"model":"m","n":1.5}"#, "n"),
            (r#"{"model":"m","stream_options":true}"#, "stream_options"),
        ] {
            assert_eq!(fault(body).1.as_deref(), Some(field));
        }
    }

    #[test]
    fn deep_nesting_in_skipped_fields_does_not_exhaust_the_stack() {
        let body = format!("{{\"model\":\"m\",\"x\":{}{}}}", "[".repeat(200_000), "]".repeat(200_000));
        assert!(chat(&body).is_ok());
    }
}
