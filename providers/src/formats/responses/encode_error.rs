//! An error inside a stream that has begun.

use serde_json::json;

use crate::ClientError;

/// The events `error` and `response.failed`, as OpenAI sends both: some clients stop at the first, some
/// wait for the second.
pub(crate) fn failed_events(error: &ClientError<'_>) -> Vec<u8> {
    let code = error.code.unwrap_or(match error.status {
        429 => "rate_limit_exceeded",
        400..=499 => "invalid_prompt",
        _ => "server_error",
    });
    let nested = json!({ "type": error.kind, "code": code, "message": error.message, "param": error.param });
    let reported = json!({
        "type": "error",
        "sequence_number": 0,
        "code": code,
        "message": error.message,
        "param": error.param,
        "error": nested,
    });
    let failed = json!({
        "type": "response.failed",
        "sequence_number": 1,
        "response": {
            "id": format!("resp_{}", error.request_id),
            "object": "response",
            "created_at": super::encode_item::now(),
            "status": "failed",
            "error": { "code": code, "message": error.message },
            "incomplete_details": null,
            "model": "",
            "usage": null,
            "output": [],
            "parallel_tool_calls": true,
            "tool_choice": "auto",
            "tools": [],
        },
    });
    format!("event: error\ndata: {reported}\n\nevent: response.failed\ndata: {failed}\n\n").into_bytes()
}
