//! One item of an answer's `output`, read into the neutral form.

use serde::Deserialize;
use serde_json::Value;

use super::tool_names::wrap_input;
use crate::canonical::{Maker, Part, Signature};
use crate::formats::signature::read_signature;

/// An item, with the fields of all kinds.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Item {
    pub(super) r#type: String,
    pub(super) call_id: Option<String>,
    pub(super) id: Option<String>,
    pub(super) name: Option<String>,
    pub(super) arguments: Option<Value>,
    pub(super) input: Option<String>,
    pub(super) encrypted_content: Option<String>,
    content: Option<Vec<Piece>>,
    summary: Option<Vec<Piece>>,
}

#[derive(Debug, Deserialize)]
struct Piece {
    text: Option<String>,
    refusal: Option<String>,
    logprobs: Option<Vec<Value>>,
}

impl Item {
    /// The parts it stands for; none for the work of the provider's own tools, which no other format can show.
    ///
    /// # Errors
    /// The reason, when a call has no name.
    pub(super) fn parts(self, logprobs: &mut Vec<Value>) -> Result<Vec<Part>, String> {
        Ok(match self.r#type.as_str() {
            "message" => {
                let pieces = self.content.unwrap_or_default();
                let texts = pieces.into_iter().filter_map(|piece| {
                    logprobs.extend(piece.logprobs.unwrap_or_default());
                    piece.text.or(piece.refusal)
                });
                texts.filter(|text| !text.is_empty()).map(Part::text).collect()
            }
            "reasoning" => self.reasoning().into_iter().collect(),
            "function_call" | "custom_tool_call" => vec![self.call()?],
            _ => Vec::new(),
        })
    }

    fn call(self) -> Result<Part, String> {
        let arguments = self.arguments_text();
        let id = self.call_id.or(self.id).filter(|id| !id.is_empty());
        Ok(Part::ToolCall {
            id: id.ok_or("a tool call has no id")?,
            name: self.name.filter(|name| !name.is_empty()).ok_or("a tool call has no name")?,
            arguments,
        })
    }

    /// The text of a call's arguments, as far as the item has them.
    pub(super) fn arguments_text(&self) -> String {
        match (&self.arguments, &self.input) {
            (Some(Value::String(text)), _) => text.clone(),
            (Some(Value::Null) | None, Some(input)) if !input.is_empty() => wrap_input(input.clone()),
            (Some(Value::Null) | None, _) => String::new(),
            (Some(object), _) => object.to_string(),
        }
    }

    /// The summary, else the thoughts themselves, which only open models show.
    pub(super) fn reasoning_text(&self) -> String {
        let texts = |pieces: &Option<Vec<Piece>>| {
            let pieces = pieces.as_deref().unwrap_or_default();
            pieces.iter().filter_map(|piece| piece.text.clone()).collect::<Vec<_>>()
        };
        let summary = texts(&self.summary);
        if summary.is_empty() { texts(&self.content).concat() } else { summary.join("\n\n") }
    }

    /// The token for the next request.
    pub(super) fn signature(&self) -> Option<Signature> {
        let value = self.encrypted_content.clone().filter(|value| !value.is_empty())?;
        // A gateway of ours as the provider marks what others signed.
        Some(read_signature(value, Maker::OpenAi))
    }

    fn reasoning(&self) -> Option<Part> {
        let text = self.reasoning_text();
        match self.signature() {
            Some(signature) if text.is_empty() => Some(Part::SealedReasoning(signature)),
            None if text.is_empty() => None,
            signature => Some(Part::Reasoning { text, signature }),
        }
    }
}
