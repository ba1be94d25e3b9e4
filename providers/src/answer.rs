//! A whole, unstreamed answer: checked, counted, and translated when the formats differ.

use bytes::Bytes;
use domain::Usage;

use crate::formats::{anthropic, gemini, openai};
use crate::{Operation, WireFormat};

/// An answer for the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The body in the client's format; the provider's own bytes when the formats are the same.
    pub body: Bytes,
    /// What the provider counted, when it did.
    pub usage: Option<Usage>,
}

/// A 2xx answer that is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct MalformedAnswer {
    /// What is wrong with it; may be shown to the client.
    pub reason: String,
}

impl From<String> for MalformedAnswer {
    fn from(reason: String) -> Self {
        Self { reason }
    }
}

/// Reads the whole body of a 2xx answer.
///
/// # Errors
/// When it is not a JSON object, cut short, or an error in disguise.
pub fn decode_answer(
    operation: Operation,
    provider: WireFormat,
    body: Bytes,
) -> Result<Answer, MalformedAnswer> {
    let text = std::str::from_utf8(&body).map_err(|error| format!("the answer is not UTF-8: {error}"))?;
    let usage = match provider {
        WireFormat::OpenAi => openai::probe_answer(text)?,
        WireFormat::Anthropic => anthropic::probe_answer(text)?,
        WireFormat::Gemini => gemini::probe_answer(text)?,
    };
    if operation.wire_format() == provider {
        return Ok(Answer { body, usage });
    }
    let body = crate::translate::answer(operation.wire_format(), provider, text)?;
    Ok(Answer { body, usage })
}
