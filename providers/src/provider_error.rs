//! Reads the reason out of a provider's error, whatever its shape. What it returns may be shown to a
//! client: credentials are removed and the length is bounded.

use std::time::Duration;

use serde_json::Value;

use crate::WireFormat;
use crate::redact::redact;

const MAX_MESSAGE_CHARS: usize = 1_000;

/// What a provider says went wrong.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProviderError {
    /// The reason, without anything that looks like a credential, at most 1,000 characters.
    pub message: String,
    /// The provider's class of error (`error.type`, Google's `status`).
    pub kind: Option<String>,
    /// The provider's code.
    pub code: Option<String>,
    /// The field at fault.
    pub param: Option<String>,
    /// The prompt is longer than the model's window.
    pub context_length: bool,
    /// When to ask again, where the body says so and no header does (Google's `RetryInfo`).
    pub retry_after: Option<Duration>,
}

impl ProviderError {
    /// The status that the provider would have answered with, had the stream not begun: its own code when
    /// that is one, else what its class of error usually comes with, else 500.
    pub fn implied_status(&self) -> u16 {
        let code = self.code.as_deref().and_then(|code| code.parse().ok());
        if let Some(status) = code.filter(|status| (400..=599).contains(status)) {
            return status;
        }
        if self.context_length {
            return 400;
        }
        let names = [self.kind.as_deref(), self.code.as_deref()].map(Option::unwrap_or_default).join(" ");
        let names = names.to_ascii_lowercase();
        let found = IMPLIED_STATUS.iter().find(|(word, _)| names.contains(word));
        found.map_or(500, |(_, status)| *status)
    }
}

/// Words in the error classes of OpenAI, Anthropic, Google and Bedrock, and the status of each.
const IMPLIED_STATUS: [(&str, u16); 14] = [
    ("rate_limit", 429),
    ("too_many_requests", 429),
    ("throttling", 429),
    ("resource_exhausted", 429),
    ("insufficient_quota", 429),
    ("overloaded", 529),
    ("unavailable", 503),
    ("authentication", 401),
    ("permission", 403),
    ("accessdenied", 403),
    ("not_found", 404),
    ("invalid_request", 400),
    ("invalid_argument", 400),
    ("validationexception", 400),
];

/// Phrases of OpenAI, Azure, Anthropic, Bedrock, Google, Mistral, Cohere, vLLM, llama.cpp and Ollama.
const CONTEXT_LENGTH_PHRASES: [&str; 13] = [
    "maximum context length",
    "max context length",
    "context length",
    "context window",
    "context_length",
    "available context size",
    "prompt is too long",
    "prompt too long",
    "input is too long",
    "too many tokens",
    "input token count",
    "too large for model",
    "reduce the length of",
];

/// Reads a provider's error body: OpenAI's object, a plain string, Anthropic's, FastAPI's `detail`,
/// Google's object or array, HTML or text. `provider` is the format of the deployment that failed;
/// the shapes are told apart by the body alone, since proxies before a provider answer in their own.
pub fn read_provider_error(provider: WireFormat, status: u16, body: &[u8]) -> ProviderError {
    let text = String::from_utf8_lossy(body);
    let text = text.trim();
    let mut error = match serde_json::from_str::<Value>(text) {
        Ok(value) => read_value(&value),
        Err(_) => ProviderError { message: describe_text(status, text), ..ProviderError::default() },
    };
    if error.message.trim().is_empty() {
        error.message = format!("HTTP {status} from the {} provider without a reason", provider.as_str());
    }
    clean(error, status)
}

/// An error event inside a stream.
pub(crate) fn read_error_value(value: &Value) -> ProviderError {
    let mut error = read_value(value);
    if error.message.trim().is_empty() {
        error.message = "The provider reported an error without a reason".to_owned();
    }
    clean(error, 200)
}

fn clean(mut error: ProviderError, status: u16) -> ProviderError {
    error.message = redact(&error.message).chars().take(MAX_MESSAGE_CHARS).collect();
    error.context_length = is_context_length(&error, status);
    error
}

fn is_context_length(error: &ProviderError, status: u16) -> bool {
    if !matches!(status, 200 | 400 | 413 | 422 | 500) {
        return false;
    }
    if error.code.as_deref() == Some("context_length_exceeded") {
        return true;
    }
    let message = error.message.to_ascii_lowercase();
    CONTEXT_LENGTH_PHRASES.iter().any(|phrase| message.contains(phrase))
}

fn read_value(value: &Value) -> ProviderError {
    match value {
        // Google's streaming paths wrap the error in an array.
        Value::Array(items) => items.first().map(read_value).unwrap_or_default(),
        Value::String(text) => ProviderError { message: text.clone(), ..ProviderError::default() },
        Value::Object(_) => read_object(value),
        _ => ProviderError::default(),
    }
}

fn read_object(value: &Value) -> ProviderError {
    let inner = match value.get("error") {
        Some(object @ Value::Object(_)) => object,
        _ => value,
    };
    let message = text(inner, "message")
        .or_else(|| text(value, "error"))
        .or_else(|| inner.get("detail").map(read_detail))
        .or_else(|| text(value, "message"))
        // Amazon's front door.
        .or_else(|| text(value, "Message"))
        .or_else(|| text(inner, "error_description"))
        .unwrap_or_default();
    ProviderError {
        message: with_upstream_reason(message, inner),
        kind: text(inner, "type").or_else(|| text(inner, "status")).or_else(|| text(value, "error_type")),
        code: text(inner, "code").or_else(|| text(value, "code")),
        param: text(inner, "param"),
        context_length: false,
        retry_after: inner.get("details").and_then(retry_delay),
    }
}

/// `retryDelay` of Google's `RetryInfo`: seconds with a fraction, such as `34.4s`.
fn retry_delay(details: &Value) -> Option<Duration> {
    let delay = details.as_array()?.iter().find_map(|detail| detail.get("retryDelay")?.as_str())?;
    Duration::try_from_secs_f64(delay.strip_suffix('s')?.parse().ok()?).ok()
}

/// OpenRouter says only "Provider returned error" and keeps the reason in `metadata.raw`.
fn with_upstream_reason(message: String, error: &Value) -> String {
    match error.get("metadata").and_then(|metadata| text(metadata, "raw")) {
        Some(raw) => format!("{message}: {raw}"),
        None => message,
    }
}

/// FastAPI's `detail`: a sentence, an object, or a list of `{loc, msg}`.
fn read_detail(detail: &Value) -> String {
    match detail {
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(read_validation_fault).collect::<Vec<_>>().join("; "),
        other => text(other, "message").unwrap_or_else(|| other.to_string()),
    }
}

fn read_validation_fault(fault: &Value) -> String {
    let place: Vec<String> = fault
        .get("loc")
        .and_then(Value::as_array)
        .map(|parts| parts.iter().map(|part| plain(part).unwrap_or_default()).collect())
        .unwrap_or_default();
    let reason = text(fault, "msg").unwrap_or_else(|| fault.to_string());
    if place.is_empty() { reason } else { format!("{}: {reason}", place.join(".")) }
}

fn text(value: &Value, field: &str) -> Option<String> {
    plain(value.get(field)?)
}

fn plain(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

fn describe_text(status: u16, text: &str) -> String {
    let start: String = text.chars().take(200).collect::<String>().to_ascii_lowercase();
    if text.is_empty() {
        format!("HTTP {status} with an empty body")
    } else if start.starts_with('<') && (start.contains("<html") || start.contains("<!doctype")) {
        format!("HTTP {status} with an HTML page")
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(status: u16, body: &str) -> ProviderError {
        read_provider_error(WireFormat::OpenAi, status, body.as_bytes())
    }

    #[test]
    fn every_known_shape_gives_its_reason() {
        for (body, message) in [
            (r#"{"error":{"message":"m","type":"t","param":"p","code":"c"}}"#, "m"),
            (r#"{"error":"m"}"#, "m"),
            (r#"{"code":"invalid-argument","error":"m"}"#, "m"),
            (r#"{"type":"error","error":{"type":"not_found_error","message":"m"},"request_id":"r"}"#, "m"),
            (r#"{"detail":"m"}"#, "m"),
            (r#"{"detail":[{"loc":["body","n",0],"msg":"too small"}]}"#, "body.n.0: too small"),
            (r#"{"error":{"code":404,"message":"m","status":"NOT_FOUND"}}"#, "m"),
            (r#"[{"error":{"code":429,"message":"m","status":"RESOURCE_EXHAUSTED"}}]"#, "m"),
            (r#"{"message":"m"}"#, "m"),
            (r#"{"Message":"m"}"#, "m"),
            (r#""m""#, "m"),
            ("upstream connect error", "upstream connect error"),
            ("<!DOCTYPE html><html><body>x</body></html>", "HTTP 502 with an HTML page"),
            ("", "HTTP 502 with an empty body"),
            ("{}", "HTTP 502 from the openai provider without a reason"),
            (
                r#"{"error":{"code":429,"message":"Provider returned error","metadata":{"raw":"slow down"}}}"#,
                "Provider returned error: slow down",
            ),
        ] {
            assert_eq!(read(502, body).message, message, "{body}");
        }
    }

    #[test]
    fn an_error_in_a_stream_implies_its_status() {
        for (body, status) in [
            (r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#, 529),
            (r#"{"error":{"message":"m","type":"tokens","code":"rate_limit_exceeded"}}"#, 429),
            (r#"{"error":{"message":"m","type":"throttlingException"}}"#, 429),
            (r#"{"error":{"message":"m","code":502}}"#, 502),
            (r#"{"error":{"message":"m","status":"INVALID_ARGUMENT"}}"#, 400),
            (r#"{"error":{"message":"prompt is too long: 9 tokens > 8 maximum"}}"#, 400),
            (r#"{"error":{"message":"m","code":"server_error"}}"#, 500),
        ] {
            let error = read_error_value(&serde_json::from_str(body).unwrap());
            assert_eq!(error.implied_status(), status, "{body}");
        }
    }

    #[test]
    fn kind_code_and_param_are_kept() {
        let error = read(400, r#"{"error":{"message":"m","type":"t","param":"p","code":7}}"#);
        assert_eq!(
            (error.kind.as_deref(), error.code.as_deref(), error.param.as_deref()),
            (Some("t"), Some("7"), Some("p"))
        );
        assert_eq!(
            read(404, r#"[{"error":{"message":"m","status":"NOT_FOUND"}}]"#).kind.as_deref(),
            Some("NOT_FOUND")
        );
    }

    #[test]
    fn googles_delay_is_read_from_the_body() {
        let delay = |delay: &str| {
            let details = format!(r#"[{{"reason":"x"}},{{"@type":"RetryInfo","retryDelay":"{delay}"}}]"#);
            read(429, &format!(r#"{{"error":{{"message":"m","details":{details}}}}}"#)).retry_after
        };
        assert_eq!(delay("34.4s"), Some(Duration::from_millis(34_400)));
        for wrong in ["", "s", "-1s", "1e99s", "NaNs", "34"] {
            assert_eq!(delay(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_prompt_that_is_too_long_is_recognised_by_code_or_wording() {
        for body in [
            r#"{"error":{"message":"x","code":"context_length_exceeded"}}"#,
            r#"{"error":{"message":"This model's maximum context length is 8192 tokens."}}"#,
            r#"{"type":"error","error":{"type":"invalid_request_error","message":"prompt is too long: 208310 tokens > 200000 maximum"}}"#,
            r#"{"error":{"code":400,"message":"The input token count (1250074) exceeds the maximum number of tokens allowed (1048576)."}}"#,
            r#"{"message":"too many tokens: size limit exceeded by 25836 tokens."}"#,
        ] {
            assert!(read(400, body).context_length, "{body}");
        }
        assert!(!read(429, r#"{"error":{"message":"too many tokens per minute"}}"#).context_length);
        assert!(!read(400, r#"{"error":{"message":"max_tokens is too large"}}"#).context_length);
    }

    #[test]
    fn the_message_is_bounded_and_holds_no_credential() {
        let long = read(500, &"é".repeat(5_000)).message;
        assert_eq!(long.chars().count(), 1_000);
        let error = read(401, r#"{"error":{"message":"Incorrect API key provided: sk-abcDEF123456."}}"#);
        assert_eq!(error.message, "Incorrect API key provided: [redacted].");
    }
}
