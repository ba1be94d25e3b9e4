//! Going on with a streamed answer that broke off after part of it was sent. Either the next attempt is
//! given what was said, as the beginning of its own answer (prefill), or it answers anew and its answer
//! is held back until it has repeated, letter by letter, what the client already has.

mod prefill;
mod splice;

use bytes::Bytes;
use serde_json::Value;

use crate::answer_stream::AnswerStream;
use crate::formats::StreamEncoder;
use crate::{AnswerContext, Operation, RequestHead, WireFormat};

pub(crate) use splice::Splice;

/// What another attempt needs to go on with an answer.
#[derive(Clone, Debug)]
pub struct Resume {
    encoder: StreamEncoder,
    client: WireFormat,
    text: String,
}

/// How an attempt goes on with an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// The request ends with what was said; only what is new comes back.
    Prefill {
        /// What was said, in tokens of the answering model: prompt to it, but answer to the client.
        tokens: u64,
    },
    /// The request is the client's own, and the answer has to begin with what was said.
    Regenerate,
}

impl Resume {
    pub(crate) fn new(encoder: StreamEncoder, client: WireFormat, text: String) -> Self {
        Self { encoder, client, text }
    }

    /// What the client has of the answer's text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The client's request with what was said at its end; None where that cannot be asked for.
    pub fn prefilled(
        &self,
        operation: Operation,
        head: &RequestHead,
        body: &Bytes,
    ) -> Option<(RequestHead, Bytes)> {
        prefill::request(operation, head, body, self.text.trim_end())
    }

    /// The stream that goes on, from a provider of this format. `note` becomes a comment in front of its
    /// first event: what happened, for people who look at the wire.
    pub fn stream(
        &self,
        provider: WireFormat,
        way: Way,
        context: &AnswerContext,
        note: &str,
    ) -> AnswerStream {
        let splice = Splice::new(&self.text, way, self.client, note);
        AnswerStream::resumed(self.client, provider, self.encoder.clone(), self.text.clone(), splice)
            .with_context(context)
    }
}

/// Whether an answer to this request may be pieced together from two: free text, and only one.
pub(crate) fn is_resumable(operation: Operation, head: &RequestHead, body: &[u8]) -> bool {
    let Ok(body) = serde_json::from_slice::<Value>(body) else { return false };
    let structured = match operation {
        Operation::ChatCompletions => body.get("response_format"),
        Operation::Messages => body.pointer("/output_config/format").or(body.get("output_format")),
        Operation::Responses => body.pointer("/text/format"),
        Operation::StreamGenerateContent => body
            .pointer("/generationConfig/responseMimeType")
            .or(body.pointer("/generation_config/response_mime_type")),
        _ => return false,
    };
    let is_text = |format: &Value| {
        let kind = format.as_str().or_else(|| format.get("type")?.as_str());
        format.is_null() || matches!(kind, Some("text" | "text/plain"))
    };
    head.choices <= 1 && structured.is_none_or(is_text)
}
