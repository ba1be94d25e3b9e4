//! A whole response object, read into the neutral form.

use domain::Usage;
use serde::Deserialize;
use serde_json::Value;

use super::UsageFields;
use super::decode_item::Item;
use crate::canonical::{ChatAnswer, Choice, Finish, Part};
use crate::provider_error::read_error_value;

/// A response object.
#[derive(Debug, Deserialize)]
pub(super) struct Response {
    pub(super) id: Option<String>,
    pub(super) model: Option<String>,
    pub(super) status: Option<String>,
    pub(super) error: Option<Value>,
    incomplete_details: Option<Details>,
    pub(super) output: Option<Vec<Item>>,
    pub(super) usage: Option<UsageFields>,
}

#[derive(Debug, Deserialize)]
struct Details {
    reason: Option<String>,
}

impl Response {
    /// Why it ended.
    pub(super) fn finish(&self) -> Finish {
        let details = self.incomplete_details.as_ref().and_then(|details| details.reason.as_deref());
        match (self.status.as_deref(), details) {
            (_, Some("content_filter")) => Finish::ContentFilter,
            (Some("incomplete"), _) | (_, Some(_)) => Finish::Length,
            _ => Finish::Stop,
        }
    }
}

/// Reads an answer's body.
///
/// # Errors
/// The reason, when it failed, has not ended, or cannot be read.
pub(crate) fn decode_answer(body: &str) -> Result<ChatAnswer, String> {
    let response: Response =
        serde_json::from_str(body).map_err(|error| format!("the answer cannot be read: {error}"))?;
    if let Some(error) = response.error.as_ref().filter(|error| !error.is_null()) {
        return Err(format!("the answer is an error: {}", read_error_value(error).message));
    }
    if let Some(status @ ("failed" | "cancelled" | "in_progress" | "queued")) = response.status.as_deref() {
        return Err(format!("the answer is {status}"));
    }
    let finish = response.finish();
    let (mut parts, mut logprobs) = (Vec::new(), Vec::new());
    for item in response.output.ok_or("the answer has no `output`")? {
        parts.extend(item.parts(&mut logprobs)?);
    }
    let has_calls = parts.iter().any(|part| matches!(part, Part::ToolCall { .. }));
    let logprobs = (!logprobs.is_empty()).then_some(logprobs);
    Ok(ChatAnswer {
        id: response.id.unwrap_or_default(),
        model: response.model.unwrap_or_default(),
        choices: vec![Choice { parts, finish: finish.with_calls(has_calls), stop_sequence: None, logprobs }],
        usage: response.usage.map_or_else(Usage::default, |fields| fields.usage()),
    })
}
