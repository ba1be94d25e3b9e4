//! Converse's events, read as neutral steps. An event is an object with one field, which is the event's
//! name, as the event stream's framer writes it.

use serde::Deserialize;
use serde_json::Value;

use super::decode_answer::read_finish;
use super::opaque::read_redacted;
use super::usage::UsageFields;
use crate::StreamFault;
use crate::canonical::{Maker, Signature, StreamEvent};
use crate::provider_error::read_error_value;

/// The state between two events.
#[derive(Debug, Default)]
pub(crate) struct StreamDecoder {
    started: bool,
    finished: bool,
    counted: bool,
    call: Option<OpenCall>,
}

/// The tool call whose arguments may follow.
#[derive(Debug)]
struct OpenCall {
    index: u64,
    has_arguments: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event {
    message_start: Option<Value>,
    content_block_start: Option<Block>,
    content_block_delta: Option<Block>,
    content_block_stop: Option<Block>,
    message_stop: Option<Stop>,
    metadata: Option<Metadata>,
    error: Option<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Block {
    #[serde(default)]
    content_block_index: u64,
    start: Option<Start>,
    delta: Option<Delta>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Start {
    tool_use: Option<ToolUse>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ToolUse {
    tool_use_id: String,
    name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Delta {
    text: Option<String>,
    tool_use: Option<Input>,
    reasoning_content: Option<Reasoning>,
}

#[derive(Deserialize)]
struct Input {
    #[serde(default)]
    input: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Reasoning {
    text: Option<String>,
    signature: Option<String>,
    redacted_content: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Stop {
    stop_reason: String,
}

#[derive(Deserialize)]
struct Metadata {
    usage: Option<UsageFields>,
}

impl StreamDecoder {
    /// Reads one event.
    ///
    /// # Errors
    /// When it has another shape, reports an error, or its piece of a tool call belongs to none.
    pub(crate) fn decode(&mut self, data: &str, out: &mut Vec<StreamEvent>) -> Result<(), StreamFault> {
        let event: Event = serde_json::from_str(data)
            .map_err(|error| StreamFault::Malformed(format!("an event cannot be read: {error}")))?;
        if let Some(error) = event.error {
            return Err(StreamFault::Provider(read_error_value(&error)));
        }
        if event.message_start.is_some() || event.content_block_start.is_some() {
            self.start(out);
        }
        if let Some(Block { content_block_index: index, start: Some(start), .. }) = event.content_block_start
        {
            self.open(index, start, out);
        }
        if let Some(Block { content_block_index: index, delta: Some(delta), .. }) = event.content_block_delta
        {
            self.start(out);
            self.take_delta(index, delta, out)?;
        }
        if event.content_block_stop.is_some() {
            self.close(out);
        }
        if let Some(stop) = event.message_stop {
            self.start(out);
            self.close(out);
            let finish = read_finish(&stop.stop_reason).map_err(StreamFault::Malformed)?;
            self.finished = true;
            out.push(StreamEvent::Finish { finish, stop_sequence: None });
        }
        if let Some(usage) = event.metadata.and_then(|metadata| metadata.usage) {
            self.counted = true;
            out.push(StreamEvent::Usage(usage.usage()));
        }
        // The count comes behind the end of the message; some imitators send it before.
        if self.finished && self.counted {
            out.push(StreamEvent::Done);
        }
        Ok(())
    }

    fn start(&mut self, out: &mut Vec<StreamEvent>) {
        if !self.started {
            self.started = true;
            out.push(StreamEvent::Start { id: String::new(), model: String::new() });
        }
    }

    fn open(&mut self, index: u64, start: Start, out: &mut Vec<StreamEvent>) {
        self.close(out);
        if let Some(ToolUse { tool_use_id: id, name }) = start.tool_use {
            self.call = Some(OpenCall { index, has_arguments: false });
            out.push(StreamEvent::ToolCall { id, name });
        }
    }

    fn take_delta(
        &mut self,
        index: u64,
        delta: Delta,
        out: &mut Vec<StreamEvent>,
    ) -> Result<(), StreamFault> {
        if let Some(Input { input }) = delta.tool_use {
            let Some(call) = self.call.as_mut().filter(|call| call.index == index) else {
                return Err(StreamFault::Malformed("arguments belong to no open tool call".to_owned()));
            };
            if !input.is_empty() {
                call.has_arguments = true;
                out.push(StreamEvent::Arguments(input));
            }
            return Ok(());
        }
        // Blocks of text and reasoning begin with their first piece, without an event of their own.
        if self.call.as_ref().is_some_and(|call| call.index != index) {
            self.close(out);
        }
        out.extend(delta.text.filter(|text| !text.is_empty()).map(StreamEvent::Text));
        if let Some(reasoning) = delta.reasoning_content {
            out.extend(reasoning.text.filter(|text| !text.is_empty()).map(StreamEvent::Reasoning));
            let signature = reasoning.signature.filter(|value| !value.is_empty());
            out.extend(
                signature.map(|value| StreamEvent::Signature(Signature { maker: Maker::Anthropic, value })),
            );
            let redacted = reasoning.redacted_content;
            out.extend(redacted.map(|written| StreamEvent::SealedReasoning(read_redacted(&written))));
        }
        Ok(())
    }

    /// A call without arguments has no pieces.
    fn close(&mut self, out: &mut Vec<StreamEvent>) {
        if self.call.take().is_some_and(|call| !call.has_arguments) {
            out.push(StreamEvent::Arguments("{}".to_owned()));
        }
    }
}
