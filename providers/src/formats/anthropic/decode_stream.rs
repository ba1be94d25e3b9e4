//! Anthropic's events, read as neutral steps.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::Value;

use super::decode_answer::{read_finish, signature};
use super::{RunningUsage, UsageFields};
use crate::StreamFault;
use crate::canonical::StreamEvent;
use crate::provider_error::read_error_value;

/// The state between two events.
#[derive(Debug, Default)]
pub(crate) struct StreamDecoder {
    started: bool,
    blocks: usize,
    open: Option<(u64, Open)>,
    usage: RunningUsage,
}

/// The content block whose pieces are arriving.
#[derive(Debug)]
enum Open {
    Text,
    /// With the input that the block began with, until a piece of it arrives.
    ToolCall {
        input: Option<Value>,
    },
    /// Work of the provider's own tools, which no other format can show.
    Other,
}

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(borrow)]
    r#type: Cow<'a, str>,
    #[serde(default)]
    index: u64,
    message: Option<Message>,
    content_block: Option<Block>,
    delta: Option<Delta>,
    usage: Option<UsageFields>,
    error: Option<Value>,
}

#[derive(Deserialize)]
struct Message {
    id: Option<String>,
    model: Option<String>,
    usage: Option<UsageFields>,
}

#[derive(Deserialize)]
struct Block {
    r#type: String,
    id: Option<String>,
    name: Option<String>,
    input: Option<Value>,
    text: Option<String>,
    thinking: Option<String>,
    signature: Option<String>,
    data: Option<String>,
}

#[derive(Deserialize)]
struct Delta {
    text: Option<String>,
    thinking: Option<String>,
    signature: Option<String>,
    partial_json: Option<String>,
    stop_reason: Option<String>,
    stop_sequence: Option<String>,
}

impl StreamDecoder {
    /// Reads the data of one event. An event of an unknown type is passed over, as the reference asks.
    ///
    /// # Errors
    /// When it is no event, reports an error, or stands where it cannot.
    pub(crate) fn decode(&mut self, data: &str, out: &mut Vec<StreamEvent>) -> Result<(), StreamFault> {
        let event: Event<'_> = serde_json::from_str(data)
            .map_err(|error| StreamFault::Malformed(format!("an event cannot be read: {error}")))?;
        match event.r#type.as_ref() {
            "message_start" => self.start(event.message, out)?,
            "content_block_start" => self.open_block(event.index, event.content_block, out)?,
            "content_block_delta" => self.take_delta(event.index, event.delta, out)?,
            "content_block_stop" => self.close_block(out),
            "message_delta" => {
                self.count(event.usage, out);
                if let Some(delta) = event.delta
                    && let Some(reason) = delta.stop_reason
                {
                    let stop_sequence = delta.stop_sequence;
                    out.push(StreamEvent::Finish { finish: read_finish(&reason), stop_sequence });
                }
            }
            "message_stop" => out.push(StreamEvent::Done),
            "error" => return Err(StreamFault::Provider(read_error_value(&event.error.unwrap_or_default()))),
            _ => {}
        }
        Ok(())
    }

    fn start(&mut self, message: Option<Message>, out: &mut Vec<StreamEvent>) -> Result<(), StreamFault> {
        let Some(message) = message else { return Err(malformed("a message starts without a message")) };
        self.count(message.usage, out);
        match (self.started, self.blocks) {
            (false, _) => {
                self.started = true;
                let (id, model) = (message.id.unwrap_or_default(), message.model.unwrap_or_default());
                out.push(StreamEvent::Start { id, model });
                Ok(())
            }
            // Seen from proxies that retry: harmless as long as nothing was said yet.
            (true, 0) => Ok(()),
            (true, _) => Err(malformed("the message starts anew in the middle")),
        }
    }

    fn open_block(
        &mut self,
        index: u64,
        block: Option<Block>,
        out: &mut Vec<StreamEvent>,
    ) -> Result<(), StreamFault> {
        let Some(block) = block else { return Err(malformed("a content block starts without a block")) };
        if self.open.is_some() {
            return Err(malformed("a content block starts before the last one has stopped"));
        }
        self.blocks += 1;
        let open = match block.r#type.as_str() {
            "text" | "thinking" => {
                out.extend(block.thinking.filter(|text| !text.is_empty()).map(StreamEvent::Reasoning));
                out.extend(block.signature.and_then(signature).map(StreamEvent::Signature));
                out.extend(block.text.filter(|text| !text.is_empty()).map(StreamEvent::Text));
                Open::Text
            }
            "tool_use" => {
                let (Some(id), Some(name)) = (block.id, block.name) else {
                    return Err(malformed("a tool call begins without id and name"));
                };
                out.push(StreamEvent::ToolCall { id, name });
                Open::ToolCall {
                    input: Some(block.input.unwrap_or_else(|| Value::Object(Default::default()))),
                }
            }
            kind => {
                let sealed = block.data.filter(|_| kind == "redacted_thinking").and_then(signature);
                out.extend(sealed.map(StreamEvent::SealedReasoning));
                Open::Other
            }
        };
        self.open = Some((index, open));
        Ok(())
    }

    fn take_delta(
        &mut self,
        index: u64,
        delta: Option<Delta>,
        out: &mut Vec<StreamEvent>,
    ) -> Result<(), StreamFault> {
        let (Some(delta), Some((_, open))) = (delta, self.open.as_mut().filter(|(at, _)| *at == index))
        else {
            return Err(malformed("a delta belongs to no open content block"));
        };
        match open {
            Open::Text => {
                out.extend(delta.thinking.filter(|text| !text.is_empty()).map(StreamEvent::Reasoning));
                out.extend(delta.signature.and_then(signature).map(StreamEvent::Signature));
                out.extend(delta.text.filter(|text| !text.is_empty()).map(StreamEvent::Text));
            }
            Open::ToolCall { input } => {
                if let Some(piece) = delta.partial_json.filter(|piece| !piece.is_empty()) {
                    *input = None;
                    out.push(StreamEvent::Arguments(piece));
                }
            }
            Open::Other => {}
        }
        Ok(())
    }

    /// A call without arguments has no pieces: its input is what the block began with, mostly `{}`.
    fn close_block(&mut self, out: &mut Vec<StreamEvent>) {
        if let Some((_, Open::ToolCall { input: Some(input) })) = self.open.take() {
            out.push(StreamEvent::Arguments(input.to_string()));
        }
    }

    fn count(&mut self, fields: Option<UsageFields>, out: &mut Vec<StreamEvent>) {
        if let Some(fields) = fields {
            self.usage.take(fields);
            out.extend(self.usage.usage().map(StreamEvent::Usage));
        }
    }
}

fn malformed(reason: &str) -> StreamFault {
    StreamFault::Malformed(reason.to_owned())
}
