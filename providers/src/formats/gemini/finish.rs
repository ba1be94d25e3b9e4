//! `finishReason`. Reference: <https://ai.google.dev/api/generate-content#FinishReason>.

use crate::canonical::Finish;

/// None: the model failed, and what there is of its answer must not pass for one. Every other end that
/// the model did not choose itself is the filter's, an unknown one included.
pub(super) fn read_finish(reason: &str) -> Option<Finish> {
    match reason {
        "STOP" => Some(Finish::Stop),
        "MAX_TOKENS" => Some(Finish::Length),
        "MALFORMED_FUNCTION_CALL"
        | "MALFORMED_RESPONSE"
        | "MISSING_THOUGHT_SIGNATURE"
        | "TOO_MANY_TOOL_CALLS"
        | "UNEXPECTED_TOOL_CALL" => None,
        _ => Some(Finish::ContentFilter),
    }
}

/// Google's word for it: a tool call is an ordinary end.
pub(super) fn write_finish(finish: Finish) -> &'static str {
    match finish {
        Finish::Stop | Finish::ToolCalls => "STOP",
        Finish::Length => "MAX_TOKENS",
        Finish::ContentFilter => "SAFETY",
    }
}

/// What to say of an answer that failed.
pub(super) fn failure(reason: &str, message: Option<&str>) -> String {
    match message {
        Some(message) => format!("the model's answer failed ({reason}): {message}"),
        None => format!("the model's answer failed ({reason})"),
    }
}
