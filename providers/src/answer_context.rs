//! What a translated answer needs to know of its request.

use crate::WireFormat;
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
    /// The model that answers, for providers that do not say.
    pub(crate) model: String,
    /// What a provider without ids should have called its answer.
    pub(crate) id: String,
}

impl AnswerContext {
    /// Names the answer for clients that need an id where the provider gives none.
    pub fn set_id(&mut self, id: &str) {
        id.clone_into(&mut self.id);
    }

    /// Fills in what the provider left out. The prefix is the one that the client's own vendor uses.
    pub(crate) fn complete(&self, client: WireFormat, id: &mut String, model: &mut String) {
        if id.is_empty() && !self.id.is_empty() {
            let prefix = match client {
                WireFormat::OpenAi => "chatcmpl-",
                WireFormat::Anthropic => "msg_",
                WireFormat::Responses => "resp_",
                WireFormat::Gemini | WireFormat::Bedrock | WireFormat::Cohere => "",
            };
            *id = [prefix, &self.id].concat();
        }
        if model.is_empty() {
            model.clone_from(&self.model);
        }
    }
}
