//! What an answer repeats of its request. Clients' types require some of it, and some clients read it.

use serde_json::{Map, Value};

use crate::answer_context::AnswerContext;
use crate::splice::json_string;

/// The repeated fields, each with what an answer says of a request that does not have it; without
/// that, the answer is silent too. Nothing is kept here, whatever was asked for.
const REPEATED: [(&str, Option<&str>); 17] = [
    ("instructions", Some("null")),
    ("max_output_tokens", Some("null")),
    ("max_tool_calls", None),
    ("metadata", Some("{}")),
    ("parallel_tool_calls", Some("true")),
    ("prompt_cache_key", None),
    ("reasoning", Some(r#"{"effort":null,"summary":null}"#)),
    ("safety_identifier", None),
    ("service_tier", None),
    ("temperature", Some("null")),
    ("text", Some(r#"{"format":{"type":"text"}}"#)),
    ("tool_choice", Some(r#""auto""#)),
    ("tools", Some("[]")),
    ("top_logprobs", None),
    ("top_p", Some("null")),
    ("truncation", Some(r#""disabled""#)),
    ("user", None),
];

/// What is the same in every answer.
const ALWAYS: &str = r#","background":false,"previous_response_id":null,"store":false"#;

/// The repeated fields of a request as JSON text, each with a comma before it.
pub(super) fn echo(request: &Map<String, Value>) -> String {
    let mut text = ALWAYS.to_owned();
    for (field, default) in REPEATED {
        let given = request.get(field).filter(|value| !value.is_null());
        let value = given.map(Value::to_string).or_else(|| default.map(str::to_owned));
        if let Some(value) = value {
            text.push(',');
            text.push_str(&json_string(field));
            text.push(':');
            text.push_str(&value);
        }
    }
    text
}

/// The repeated fields of the request that is answered.
pub(super) fn echo_of(context: &AnswerContext) -> String {
    if context.echo.is_empty() { echo(&Map::new()) } else { context.echo.clone() }
}
