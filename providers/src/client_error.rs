//! Errors as a client of each format expects them. Owns the envelopes; which error it is, the edge decides.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::WireFormat;
use crate::formats::responses;

/// One error, before it takes a client's format.
#[derive(Clone, Copy, Debug)]
pub struct ClientError<'a> {
    /// The HTTP status; for an error inside a stream, the status it would have had.
    pub status: u16,
    /// OpenAI's `error.type`. Anthropic's is derived from the status.
    pub kind: &'a str,
    /// OpenAI's `error.code`.
    pub code: Option<&'a str>,
    /// OpenAI's `error.param`: the field at fault.
    pub param: Option<&'a str>,
    /// What happened and what to do about it.
    pub message: &'a str,
    /// The request's id, which Anthropic repeats in the body.
    pub request_id: &'a str,
}

#[derive(Serialize)]
struct OpenAiEnvelope<'a> {
    error: OpenAiError<'a>,
}

#[derive(Serialize)]
struct OpenAiError<'a> {
    message: &'a str,
    r#type: &'a str,
    param: Option<&'a str>,
    code: Option<&'a str>,
}

#[derive(Serialize)]
struct GoogleEnvelope<'a> {
    error: GoogleError<'a>,
}

#[derive(Serialize)]
struct GoogleError<'a> {
    code: u16,
    message: &'a str,
    status: &'static str,
}

#[derive(Serialize)]
struct AnthropicEnvelope<'a> {
    r#type: &'static str,
    error: AnthropicError<'a>,
    request_id: &'a str,
}

#[derive(Serialize)]
struct AnthropicError<'a> {
    r#type: &'static str,
    message: &'a str,
}

/// Whether the body is an error that a client of this format can read as it is: proxies before a provider
/// answer in shapes of their own.
pub fn is_error_envelope(client: WireFormat, body: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Envelope {
        r#type: Option<String>,
        error: Error,
    }
    #[derive(Deserialize)]
    struct Error {
        message: String,
        r#type: Option<String>,
        status: Option<String>,
    }
    let Ok(Envelope { r#type, error }) = serde_json::from_slice(body) else { return false };
    !error.message.is_empty()
        && match client {
            WireFormat::Anthropic => r#type.as_deref() == Some("error") && error.r#type.is_some(),
            WireFormat::Gemini => error.status.is_some(),
            WireFormat::OpenAi | WireFormat::Responses | WireFormat::Bedrock | WireFormat::Cohere => true,
        }
}

/// The body of an error answer.
///
/// Shapes: <https://platform.openai.com/docs/guides/error-codes>, <https://docs.claude.com/en/api/errors>
/// and <https://ai.google.dev/gemini-api/docs/troubleshooting>.
pub fn error_body(client: WireFormat, error: &ClientError<'_>) -> Bytes {
    let body = match client {
        // The last two are spoken to providers only.
        WireFormat::OpenAi | WireFormat::Responses | WireFormat::Bedrock | WireFormat::Cohere => {
            serde_json::to_vec(&OpenAiEnvelope {
                error: OpenAiError {
                    message: error.message,
                    r#type: error.kind,
                    param: error.param,
                    code: error.code,
                },
            })
        }
        WireFormat::Anthropic => serde_json::to_vec(&AnthropicEnvelope {
            r#type: "error",
            error: AnthropicError { r#type: anthropic_type(error.status), message: error.message },
            request_id: error.request_id,
        }),
        WireFormat::Gemini => serde_json::to_vec(&GoogleEnvelope {
            error: GoogleError {
                code: error.status,
                message: error.message,
                status: google_status(error.status),
            },
        }),
    };
    // Strings and options of strings always serialise.
    Bytes::from(body.unwrap_or_default())
}

/// An error for a stream that has already begun. Nothing may follow it, least of all `[DONE]`.
pub fn error_event(client: WireFormat, error: &ClientError<'_>) -> Bytes {
    let prefix: &[u8] = match client {
        WireFormat::OpenAi | WireFormat::Gemini | WireFormat::Bedrock | WireFormat::Cohere => b"data: ",
        WireFormat::Anthropic => b"event: error\ndata: ",
        WireFormat::Responses => return Bytes::from(responses::failed_events(error)),
    };
    Bytes::from([prefix, &error_body(client, error), b"\n\n"].concat())
}

fn anthropic_type(status: u16) -> &'static str {
    match status {
        400 => "invalid_request_error",
        401 => "authentication_error",
        402 => "billing_error",
        403 => "permission_error",
        404 => "not_found_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        504 => "timeout_error",
        503 | 529 => "overloaded_error",
        _ => "api_error",
    }
}

/// Google's canonical code, after the HTTP mapping of its `google.rpc.Code`.
fn google_status(status: u16) -> &'static str {
    match status {
        400 | 413 | 415 | 422 => "INVALID_ARGUMENT",
        401 => "UNAUTHENTICATED",
        402 | 403 => "PERMISSION_DENIED",
        404 => "NOT_FOUND",
        405 | 501 => "UNIMPLEMENTED",
        409 => "ABORTED",
        429 => "RESOURCE_EXHAUSTED",
        499 => "CANCELLED",
        503 | 529 => "UNAVAILABLE",
        408 | 504 => "DEADLINE_EXCEEDED",
        _ => "INTERNAL",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ERROR: ClientError<'_> = ClientError {
        status: 404,
        kind: "invalid_request_error",
        code: Some("model_not_found"),
        param: Some("model"),
        message: "no \"x\"\nhere",
        request_id: "req_1",
    };

    #[test]
    fn only_the_clients_own_envelope_is_given_on() {
        for (client, body, is_envelope) in [
            (WireFormat::OpenAi, r#"{"error":{"message":"m","type":"t","code":7}}"#, true),
            (WireFormat::OpenAi, r#"{"status":"failure","message":"m"}"#, false),
            (WireFormat::OpenAi, r#"{"error":"m"}"#, false),
            (WireFormat::OpenAi, "[]", false),
            (WireFormat::Anthropic, r#"{"type":"error","error":{"type":"t","message":"m"}}"#, true),
            (WireFormat::Anthropic, r#"{"error":{"type":"t","message":"m"}}"#, false),
            (WireFormat::Gemini, r#"{"error":{"code":400,"message":"m","status":"S"}}"#, true),
            (WireFormat::Gemini, r#"{"error":{"code":400,"message":"m"}}"#, false),
        ] {
            assert_eq!(is_error_envelope(client, body.as_bytes()), is_envelope, "{body}");
        }
    }

    #[test]
    fn an_openai_client_gets_message_type_param_and_code() {
        assert_eq!(
            error_body(WireFormat::OpenAi, &ERROR),
            r#"{"error":{"message":"no \"x\"\nhere","type":"invalid_request_error","param":"model","code":"model_not_found"}}"#
        );
        let bare = ClientError { code: None, param: None, ..ERROR };
        let body = error_body(WireFormat::OpenAi, &bare);
        assert!(body.ends_with(br#""param":null,"code":null}}"#));
    }

    #[test]
    fn an_anthropic_client_gets_the_type_of_the_status_and_the_request_id() {
        assert_eq!(
            error_body(WireFormat::Anthropic, &ERROR),
            r#"{"type":"error","error":{"type":"not_found_error","message":"no \"x\"\nhere"},"request_id":"req_1"}"#
        );
        for (status, kind) in [(401, "authentication_error"), (503, "overloaded_error"), (502, "api_error")] {
            assert_eq!(anthropic_type(status), kind);
        }
    }

    #[test]
    fn a_gemini_client_gets_the_code_and_googles_word_for_it() {
        assert_eq!(
            error_body(WireFormat::Gemini, &ERROR),
            r#"{"error":{"code":404,"message":"no \"x\"\nhere","status":"NOT_FOUND"}}"#
        );
        assert!(error_event(WireFormat::Gemini, &ERROR).starts_with(b"data: {\"error\":{\"code\":404,"));
        for (status, kind) in [(401, "UNAUTHENTICATED"), (429, "RESOURCE_EXHAUSTED"), (502, "INTERNAL")] {
            assert_eq!(google_status(status), kind);
        }
    }

    #[test]
    fn an_error_inside_a_stream_is_one_event() {
        assert!(error_event(WireFormat::OpenAi, &ERROR).starts_with(b"data: {\"error\":{"));
        let event = error_event(WireFormat::Anthropic, &ERROR);
        assert!(event.starts_with(b"event: error\ndata: {\"type\":\"error\","));
        assert!(event.ends_with(b"}\n\n"));
        assert_eq!(event.iter().filter(|byte| **byte == b'\n').count(), 3);
    }
}
