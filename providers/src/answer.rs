//! A whole, unstreamed answer: checked, counted, and translated when the formats differ.

use bytes::Bytes;
use domain::Usage;

use crate::answer_context::AnswerContext;
use crate::formats::{anthropic, gemini, openai, responses};
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

/// Reads the whole body of a 2xx answer whose request is not at hand.
///
/// # Errors
/// When it is not a JSON object, cut short, or an error in disguise. Raw operations may answer with
/// something other than JSON.
pub fn decode_answer(
    operation: Operation,
    provider: WireFormat,
    body: Bytes,
) -> Result<Answer, MalformedAnswer> {
    decode_answer_for(operation, provider, body, &AnswerContext::default())
}

/// Reads the whole body of a 2xx answer to the request that `context` was made with.
///
/// # Errors
/// When it is not a JSON object, cut short, or an error in disguise.
pub fn decode_answer_for(
    operation: Operation,
    provider: WireFormat,
    body: Bytes,
    context: &AnswerContext,
) -> Result<Answer, MalformedAnswer> {
    if operation.is_raw() {
        return crate::raw_answer::decode(body);
    }
    // Cohere embeds through its OpenAI-compatible API.
    let provider = if operation == Operation::Embeddings { WireFormat::OpenAi } else { provider };
    let text = std::str::from_utf8(&body).map_err(|error| format!("the answer is not UTF-8: {error}"))?;
    if operation == Operation::CountTokens {
        return anthropic::probe_count(text).map(|()| Answer { body, usage: None }).map_err(Into::into);
    }
    let usage = match provider {
        WireFormat::OpenAi => openai::probe_answer(text)?,
        WireFormat::Anthropic => anthropic::probe_answer(text)?,
        WireFormat::Responses => responses::probe_answer(text)?,
        // Always translated, and counted then.
        WireFormat::Bedrock | WireFormat::Cohere => None,
        WireFormat::Gemini => gemini::probe_answer(text)?,
    };
    if operation.wire_format() == provider {
        return Ok(Answer { body, usage });
    }
    let (body, counted) = crate::translate::answer(operation.wire_format(), provider, text, context)?;
    Ok(Answer { body, usage: usage.or_else(|| (!counted.is_empty()).then_some(counted)) })
}
