//! What a translated answer needs to know of its request.

use crate::formats::responses::ToolNames;

/// Made with the request by [`encode_request`](crate::encode_request), used with its answer by
/// [`decode_answer_for`](crate::decode_answer_for) and
/// [`AnswerStream::with_context`](crate::AnswerStream::with_context). Empty for most formats.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AnswerContext {
    /// The fields that a Responses answer repeats, as JSON text.
    pub(crate) echo: String,
    /// The tools that were turned into plain functions.
    pub(crate) tools: ToolNames,
}
