//! Responses events, read as neutral steps. Items are told apart by `output_index` alone: a proxy gives
//! every event of one item another id.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::Value;

use super::decode_answer::Response;
use super::decode_item::Item;
use super::item_queue::ItemQueue;
use crate::StreamFault;
use crate::canonical::{Finish, StreamEvent};
use crate::provider_error::read_error_value;

/// The state between two events.
#[derive(Debug, Default)]
pub(crate) struct StreamDecoder {
    started: bool,
    items: ItemQueue,
}

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(borrow)]
    r#type: Cow<'a, str>,
    output_index: Option<u64>,
    content_index: Option<u64>,
    summary_index: Option<u64>,
    response: Option<Response>,
    item: Option<Item>,
    #[serde(default)]
    delta: Value,
    text: Option<String>,
    refusal: Option<String>,
    arguments: Option<Value>,
    logprobs: Option<Vec<Value>>,
    error: Option<Value>,
}

impl StreamDecoder {
    /// Reads the data of one event. An event of an unknown type, or of the provider's own tools, is
    /// passed over.
    ///
    /// # Errors
    /// When it is no event, or reports an error or a failed answer.
    pub(crate) fn decode(&mut self, data: &str, out: &mut Vec<StreamEvent>) -> Result<(), StreamFault> {
        // A marker of other formats, which some servers add.
        if data.trim_ascii() == "[DONE]" {
            return Ok(());
        }
        let mut event: Event<'_> = serde_json::from_str(data)
            .map_err(|error| StreamFault::Malformed(format!("an event cannot be read: {error}")))?;
        let kind = std::mem::take(&mut event.r#type);
        match kind.as_ref() {
            "response.created" | "response.in_progress" => self.start(event.response.as_ref(), out),
            "response.completed" | "response.incomplete" => {
                let response = event.response.ok_or_else(|| malformed("an answer ends without itself"))?;
                self.end(response, kind == "response.incomplete", out)?;
            }
            "response.failed" | "response.cancelled" => {
                let error = event.response.and_then(|response| response.error).unwrap_or_default();
                return Err(StreamFault::Provider(read_error_value(&error)));
            }
            "error" => {
                let error = event.error.filter(|error| !error.is_null());
                // OpenAI's reference has the fields in the event itself.
                let error = error.or_else(|| serde_json::from_str(data).ok()).unwrap_or_default();
                return Err(StreamFault::Provider(read_error_value(&error)));
            }
            kind => self.take_piece(kind, event, out)?,
        }
        Ok(())
    }

    fn start(&mut self, response: Option<&Response>, out: &mut Vec<StreamEvent>) {
        if !self.started {
            self.started = true;
            let id = response.and_then(|response| response.id.clone()).unwrap_or_default();
            let model = response.and_then(|response| response.model.clone()).unwrap_or_default();
            out.push(StreamEvent::Start { id, model });
        }
    }

    fn end(
        &mut self,
        mut response: Response,
        incomplete: bool,
        out: &mut Vec<StreamEvent>,
    ) -> Result<(), StreamFault> {
        if let Some(error) = response.error.as_ref().filter(|error| !error.is_null()) {
            return Err(StreamFault::Provider(read_error_value(error)));
        }
        self.start(Some(&response), out);
        let output = response.output.take().unwrap_or_default();
        // Some servers send nothing but the end.
        if self.items.is_unused() {
            for (index, item) in (0_u64..).zip(output) {
                self.items.add(index, &item)?;
                self.items.item_done(index, item)?;
            }
        }
        self.items.finish(out);
        let finish = match response.finish() {
            Finish::Stop if incomplete => Finish::Length,
            finish => finish,
        };
        let finish = finish.with_calls(self.items.has_calls());
        out.push(StreamEvent::Finish { finish, stop_sequence: None });
        out.extend(response.usage.map(|fields| StreamEvent::Usage(fields.usage())));
        out.push(StreamEvent::Done);
        Ok(())
    }

    fn take_piece(
        &mut self,
        kind: &str,
        event: Event<'_>,
        out: &mut Vec<StreamEvent>,
    ) -> Result<(), StreamFault> {
        let index = event.output_index.unwrap_or(0);
        let part = event.content_index.or(event.summary_index).unwrap_or(0);
        let delta = || event.delta.as_str().unwrap_or_default().to_owned();
        match kind {
            "response.output_item.added" => {
                if let Some(item) = &event.item {
                    self.start(None, out);
                    self.items.add(index, item)?;
                }
            }
            "response.output_item.done" => {
                if let Some(item) = event.item {
                    self.start(None, out);
                    self.items.item_done(index, item)?;
                }
            }
            "response.output_text.delta" | "response.refusal.delta" => {
                self.items.text(index, part, delta())?;
                self.items.logprobs(index, event.logprobs.unwrap_or_default())?;
            }
            "response.output_text.done" | "response.refusal.done" => {
                let whole = event.text.or(event.refusal).unwrap_or_default();
                self.items.whole_text(index, part, whole)?;
            }
            "response.reasoning_summary_text.delta" => {
                self.items.thought(index, part, true, delta())?;
            }
            "response.reasoning_summary_text.done" => {
                self.items.whole_thought(index, part, true, event.text.unwrap_or_default())?;
            }
            "response.reasoning_text.delta" => self.items.thought(index, part, false, delta())?,
            "response.reasoning_text.done" => {
                self.items.whole_thought(index, part, false, event.text.unwrap_or_default())?;
            }
            "response.function_call_arguments.delta" => self.items.arguments(index, delta())?,
            "response.function_call_arguments.done" => {
                let whole = match event.arguments {
                    Some(Value::String(text)) => text,
                    Some(Value::Null) | None => String::new(),
                    Some(object) => object.to_string(),
                };
                self.items.whole_arguments(index, whole)?;
            }
            _ => return Ok(()),
        }
        self.items.release(out);
        Ok(())
    }
}

fn malformed(reason: &str) -> StreamFault {
    StreamFault::Malformed(reason.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::canonical::{Maker, Signature};

    fn decode(events: &[&str]) -> Vec<StreamEvent> {
        let (mut decoder, mut out) = (StreamDecoder::default(), Vec::new());
        events.iter().for_each(|event| decoder.decode(event, &mut out).unwrap());
        out
    }

    #[test]
    fn sealed_thoughts_and_the_signature_of_shown_ones_are_told_apart() {
        let sealed = r#"{"type":"response.output_item.done","output_index":0,"item":{"type":"reasoning","summary":[],"encrypted_content":"g"}}"#;
        let delta = r#"{"type":"response.reasoning_summary_text.delta","output_index":1,"summary_index":0,"delta":"Hm."}"#;
        let shown = r#"{"type":"response.output_item.done","output_index":1,"item":{"type":"reasoning","summary":[{"text":"Hm."}],"encrypted_content":"h"}}"#;
        let own = |value: &str| Signature { maker: Maker::OpenAi, value: value.to_owned() };
        let expected = [
            StreamEvent::Start { id: String::new(), model: String::new() },
            StreamEvent::SealedReasoning(own("g")),
            StreamEvent::Reasoning("Hm.".to_owned()),
            StreamEvent::Signature(own("h")),
        ];
        assert_eq!(decode(&[sealed, delta, shown]), expected);
        assert_eq!(decode(&[sealed, shown]), expected);
    }

    #[test]
    fn an_item_goes_out_when_the_one_before_it_is_done() {
        let first = r#"{"type":"response.output_item.added","output_index":0,"item":{"type":"message"}}"#;
        let second = r#"{"type":"response.output_text.delta","output_index":1,"delta":"b"}"#;
        let piece = r#"{"type":"response.output_text.delta","output_index":0,"delta":"a"}"#;
        let done = r#"{"type":"response.output_item.done","output_index":0,"item":{"type":"message"}}"#;
        let text = |text: &str| StreamEvent::Text(text.to_owned());
        assert_eq!(decode(&[first, second, piece])[1..], [text("a")]);
        assert_eq!(decode(&[first, second, piece, done])[1..], [text("a"), text("b")]);
    }
}
