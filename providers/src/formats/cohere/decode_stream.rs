//! Cohere's events, read as neutral steps.

use serde::Deserialize;
use serde_json::Value;

use super::decode_answer::{is_void, no_arguments, read_finish};
use super::usage::UsageFields;
use crate::canonical::StreamEvent;
use crate::provider_error::read_error_value;
use crate::{ProviderError, StreamFault};

/// The state between two events.
#[derive(Debug, Default)]
pub(crate) struct StreamDecoder {
    call: Option<OpenCall>,
}

/// The tool call whose arguments may follow.
#[derive(Debug)]
struct OpenCall {
    index: u64,
    /// The beginning, as long as it may still become `null`, which stands for no arguments.
    held: String,
    has_arguments: bool,
}

#[derive(Deserialize)]
struct Event {
    r#type: Option<String>,
    id: Option<String>,
    #[serde(default)]
    index: u64,
    delta: Option<Delta>,
}

#[derive(Deserialize)]
struct Delta {
    message: Option<Message>,
    finish_reason: Option<String>,
    usage: Option<UsageFields>,
    error: Option<String>,
}

#[derive(Deserialize)]
struct Message {
    // Both are lists, and empty, in the first event, and an object in the others.
    content: Option<Value>,
    tool_plan: Option<String>,
    tool_calls: Option<Value>,
}

impl StreamDecoder {
    /// Reads the data of one event.
    ///
    /// # Errors
    /// When it has another shape, reports an error, or its piece of a tool call belongs to none.
    pub(crate) fn decode(&mut self, data: &str, out: &mut Vec<StreamEvent>) -> Result<(), StreamFault> {
        // Behind the last event stands an end marker, of which nothing depends.
        if data.trim_ascii() == "[DONE]" {
            return Ok(());
        }
        let event: Event = serde_json::from_str(data)
            .map_err(|error| StreamFault::Malformed(format!("an event cannot be read: {error}")))?;
        match event.r#type.as_deref() {
            Some("message-start") => {
                out.push(StreamEvent::Start { id: event.id.unwrap_or_default(), model: String::new() });
            }
            Some("content-start" | "content-delta" | "tool-plan-delta") => {
                self.close(out);
                out.extend(event.delta.and_then(|delta| delta.message).into_iter().flat_map(spoken));
            }
            Some("tool-call-start") => {
                self.close(out);
                let call = call(event.delta);
                let text = |path| call.pointer(path).and_then(Value::as_str).map(str::to_owned);
                let (Some(id), Some(name)) = (text("/id"), text("/function/name")) else {
                    return Err(malformed("a tool call begins without an id or name"));
                };
                out.push(StreamEvent::ToolCall { id, name });
                self.call = Some(OpenCall { index: event.index, held: String::new(), has_arguments: false });
                self.arguments(event.index, &call, out)?;
            }
            Some("tool-call-delta") => self.arguments(event.index, &call(event.delta), out)?,
            Some("tool-call-end") => self.close(out),
            Some("message-end") => self.end(event.delta, out)?,
            // Citations, and what is new.
            Some(_) => {}
            None => {
                let value = serde_json::from_str(data).unwrap_or_default();
                return Err(StreamFault::Provider(read_error_value(&value)));
            }
        }
        Ok(())
    }

    fn arguments(
        &mut self,
        index: u64,
        piece: &Value,
        out: &mut Vec<StreamEvent>,
    ) -> Result<(), StreamFault> {
        let piece = piece.pointer("/function/arguments").and_then(Value::as_str).unwrap_or_default();
        let Some(call) = self.call.as_mut().filter(|call| call.index == index) else {
            return Err(malformed("arguments belong to no open tool call"));
        };
        if piece.is_empty() {
            return Ok(());
        }
        if call.has_arguments {
            out.push(StreamEvent::Arguments(piece.to_owned()));
            return Ok(());
        }
        call.held.push_str(piece);
        if !"null".starts_with(call.held.as_str()) {
            call.has_arguments = true;
            out.push(StreamEvent::Arguments(std::mem::take(&mut call.held)));
        }
        Ok(())
    }

    fn close(&mut self, out: &mut Vec<StreamEvent>) {
        if let Some(call) = self.call.take().filter(|call| !call.has_arguments) {
            let arguments = if is_void(&call.held) { no_arguments() } else { call.held };
            out.push(StreamEvent::Arguments(arguments));
        }
    }

    fn end(&mut self, delta: Option<Delta>, out: &mut Vec<StreamEvent>) -> Result<(), StreamFault> {
        self.close(out);
        let Some(delta) = delta else { return Err(malformed("the last event has no reason")) };
        let reason = delta.finish_reason.unwrap_or_default();
        let finish = match (read_finish(&reason), delta.error) {
            (Ok(finish), None) => finish,
            (Ok(_), Some(message)) => return Err(failed(message)),
            (Err(reason), message) => return Err(failed(message.unwrap_or(reason))),
        };
        out.push(StreamEvent::Finish { finish, stop_sequence: None });
        out.extend(delta.usage.map(|fields| StreamEvent::Usage(fields.usage())));
        out.push(StreamEvent::Done);
        Ok(())
    }
}

/// Text, thoughts, or the plan before tool calls, which is text as other models write it.
fn spoken(message: Message) -> Vec<StreamEvent> {
    let text = |field| {
        let text = message.content.as_ref()?.get(field)?.as_str()?;
        (!text.is_empty()).then(|| text.to_owned())
    };
    let reasoning = text("thinking").map(StreamEvent::Reasoning);
    let plan = message.tool_plan.filter(|text| !text.is_empty());
    let said = text("text").or(plan).map(StreamEvent::Text);
    reasoning.into_iter().chain(said).collect()
}

fn call(delta: Option<Delta>) -> Value {
    delta.and_then(|delta| delta.message).and_then(|message| message.tool_calls).unwrap_or_default()
}

fn malformed(reason: &str) -> StreamFault {
    StreamFault::Malformed(reason.to_owned())
}

fn failed(message: String) -> StreamFault {
    let error: ProviderError = read_error_value(&Value::String(message));
    StreamFault::Provider(error)
}
