//! Neutral steps, spelt as Google's events. Each event is a whole `GenerateContentResponse` with the
//! next parts; a call is one part, so its pieces wait until it is complete.

use std::io::Write;

use bytes::{BufMut, BytesMut};
use domain::Usage;
use serde_json::{Value, json};

use super::encode_answer::{call_part, parse_arguments, text_part, thought_part};
use super::finish::write_finish;
use super::logprobs::encode_logprobs;
use super::signature::write_signature;
use super::usage::encode_usage;
use crate::canonical::{Finish, Signature, StreamEvent};
use crate::sse::MAX_EVENT_BYTES;

/// The state between two steps.
#[derive(Clone, Debug, Default)]
pub(crate) struct StreamEncoder {
    tail: Tail,
    /// The candidate that the steps belong to.
    current: u32,
    call: Option<Call>,
    /// The last part was a thought without its signature.
    thinking: bool,
    /// Signs the next part that is no thought.
    waiting: Option<String>,
    /// A call had to be left out: its arguments are no object.
    malformed: bool,
    ends: Vec<(u32, &'static str)>,
    usage: Usage,
}

/// The call whose arguments are arriving.
#[derive(Clone, Debug)]
struct Call {
    id: String,
    name: String,
    arguments: String,
}

impl StreamEncoder {
    /// For an answer whose first event was this.
    pub(crate) fn resumed(first: &str) -> Option<Self> {
        let first: Value = serde_json::from_str(first).ok()?;
        let text = |field: &str| first.get(field).and_then(Value::as_str).unwrap_or_default();
        Some(Self { tail: Tail::new(text("responseId"), text("modelVersion")), ..Self::default() })
    }

    /// Spells one step behind `out`. Reason and usage wait for the end, where they stand in one event.
    pub(crate) fn encode(&mut self, event: StreamEvent, out: &mut BytesMut) {
        if let StreamEvent::Arguments(piece) = event {
            // Longer than an event may be, they break the call instead of filling the memory.
            if let Some(call) = self.call.as_mut().filter(|call| call.arguments.len() <= MAX_EVENT_BYTES) {
                call.arguments.push_str(&piece);
            }
            return;
        }
        if !matches!(event, StreamEvent::Usage(_)) {
            let finish = if let StreamEvent::Finish { finish, .. } = event { finish } else { Finish::Stop };
            self.close_call(finish, out);
        }
        match event {
            StreamEvent::Start { id, model } => self.tail = Tail::new(&id, &model),
            StreamEvent::Text(text) => {
                self.thinking = false;
                match self.waiting.take() {
                    None => self.text(&text, out),
                    signature => self.part(&text_part(&text, signature), out),
                }
            }
            StreamEvent::Reasoning(text) => {
                self.thinking = true;
                self.part(&thought_part(&text, None), out);
            }
            StreamEvent::Signature(signature) => self.sign(&signature, out),
            StreamEvent::SealedReasoning(sealed) => {
                self.thinking = false;
                self.part(&thought_part("", Some(write_signature(&sealed))), out);
            }
            StreamEvent::Logprobs(tokens) => {
                let candidate = json!({ "logprobsResult": encode_logprobs(&tokens), "index": self.current });
                self.write(&json!([candidate]), None, out);
            }
            StreamEvent::Choice(index) => {
                self.flush_signature(out);
                (self.current, self.thinking) = (index, false);
            }
            StreamEvent::ToolCall { id, name } => {
                self.thinking = false;
                self.call = Some(Call { id, name, arguments: String::new() });
            }
            StreamEvent::Finish { finish, .. } => {
                self.flush_signature(out);
                self.end(finish);
            }
            StreamEvent::Usage(usage) => self.usage = usage,
            StreamEvent::Done => self.done(out),
            StreamEvent::Arguments(_) => {}
        }
    }

    fn sign(&mut self, signature: &Signature, out: &mut BytesMut) {
        let value = write_signature(signature);
        if self.thinking {
            self.thinking = false;
            self.part(&thought_part("", Some(value)), out);
        } else {
            self.waiting = Some(value);
        }
    }

    /// A signature with nothing behind it stands alone.
    fn flush_signature(&mut self, out: &mut BytesMut) {
        if let Some(signature) = self.waiting.take() {
            self.part(&text_part("", Some(signature)), out);
        }
    }

    fn close_call(&mut self, finish: Finish, out: &mut BytesMut) {
        let Some(call) = self.call.take() else { return };
        match parse_arguments(&call.arguments, finish) {
            Some(args) => {
                let part = call_part(&call.id, &call.name, &args, self.waiting.take());
                self.part(&part, out);
            }
            None => self.malformed = true,
        }
    }

    fn end(&mut self, finish: Finish) {
        // Google's own word for a call that cannot be read.
        let reason = if self.malformed { "MALFORMED_FUNCTION_CALL" } else { write_finish(finish) };
        self.ends.push((self.current, reason));
        self.malformed = false;
    }

    fn done(&mut self, out: &mut BytesMut) {
        self.flush_signature(out);
        if self.ends.is_empty() {
            self.end(Finish::Stop);
        }
        let candidates: Value = std::mem::take(&mut self.ends)
            .into_iter()
            .map(|(index, reason)| {
                let content = json!({ "parts": [{ "text": "" }], "role": "model" });
                json!({ "content": content, "finishReason": reason, "index": index })
            })
            .collect();
        let usage = encode_usage(&self.usage);
        self.write(&candidates, Some(usage), out);
    }

    /// The commonest event by far, spelt without a tree of values. Writing to memory cannot fail.
    fn text(&self, text: &str, out: &mut BytesMut) {
        out.put_slice(b"data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":");
        serde_json::to_writer(out.writer(), text).ok();
        write!(out.writer(), r#"}}],"role":"model"}},"index":{}}}]"#, self.current).ok();
        out.put_slice(&self.tail.0);
    }

    fn part(&self, part: &Value, out: &mut BytesMut) {
        let content = json!({ "parts": [part], "role": "model" });
        self.write(&json!([{ "content": content, "index": self.current }]), None, out);
    }

    fn write(&self, candidates: &Value, usage: Option<Value>, out: &mut BytesMut) {
        write!(out.writer(), r#"data: {{"candidates":{candidates}"#).ok();
        if let Some(usage) = usage {
            write!(out.writer(), r#","usageMetadata":{usage}"#).ok();
        }
        out.put_slice(&self.tail.0);
    }
}

/// What every event ends with.
#[derive(Clone, Debug)]
struct Tail(Vec<u8>);

impl Tail {
    fn new(id: &str, model: &str) -> Self {
        let fields = json!({ "modelVersion": model, "responseId": id }).to_string();
        Self([b",", fields.strip_prefix('{').unwrap_or_default().as_bytes(), b"\n\n"].concat())
    }
}

impl Default for Tail {
    fn default() -> Self {
        Self::new("", "")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::canonical::Maker;

    /// The candidates of every event, and the last event's usage.
    fn spell(steps: Vec<StreamEvent>) -> (Vec<Value>, Value) {
        let (mut encoder, mut out) = (StreamEncoder::default(), BytesMut::new());
        steps.into_iter().for_each(|step| encoder.encode(step, &mut out));
        let text = String::from_utf8(out.to_vec()).unwrap();
        let events = text.split("\n\n").filter_map(|event| event.strip_prefix("data: "));
        let events: Vec<Value> = events.map(|event| serde_json::from_str(event).unwrap()).collect();
        let usage = events.last().unwrap()["usageMetadata"].clone();
        (events.iter().map(|event| event["candidates"].clone()).collect(), usage)
    }

    fn signature(maker: Maker) -> Signature {
        Signature { maker, value: "s".to_owned() }
    }

    fn call(arguments: &str) -> [StreamEvent; 2] {
        let call = StreamEvent::ToolCall { id: "c".to_owned(), name: "f".to_owned() };
        [call, StreamEvent::Arguments(arguments.to_owned())]
    }

    fn finish(finish: Finish) -> [StreamEvent; 2] {
        [StreamEvent::Finish { finish, stop_sequence: None }, StreamEvent::Done]
    }

    #[test]
    fn a_signature_goes_to_the_thought_before_it_or_to_the_part_behind_it() {
        let mut steps = vec![
            StreamEvent::Reasoning("hm".to_owned()),
            StreamEvent::Signature(signature(Maker::Anthropic)),
            StreamEvent::SealedReasoning(signature(Maker::Anthropic)),
            StreamEvent::Signature(signature(Maker::Gemini)),
        ];
        steps.extend(call("{\"a\": 1}"));
        steps.push(StreamEvent::Signature(signature(Maker::Gemini)));
        steps.extend(finish(Finish::ToolCalls));
        let (events, _) = spell(steps);
        let parts: Vec<&Value> = events.iter().map(|event| &event[0]["content"]["parts"][0]).collect();
        let foreign = write_signature(&signature(Maker::Anthropic));
        assert_eq!(
            parts,
            [
                &json!({ "text": "hm", "thought": true }),
                &json!({ "text": "", "thought": true, "thoughtSignature": foreign }),
                &json!({ "text": "", "thought": true, "thoughtSignature": foreign }),
                &json!({ "functionCall": { "id": "c", "name": "f", "args": { "a": 1 } }, "thoughtSignature": "s" }),
                &json!({ "text": "", "thoughtSignature": "s" }),
                &json!({ "text": "" }),
            ]
        );
        assert_eq!(events.last().unwrap()[0]["finishReason"], "STOP");
    }

    #[test]
    fn a_call_with_broken_arguments_is_left_out_and_said_to_be_malformed() {
        let (events, _) = spell(call("{\"a\":").into_iter().chain(finish(Finish::ToolCalls)).collect());
        assert_eq!(events.len(), 1);
        assert_eq!(events[0][0]["finishReason"], "MALFORMED_FUNCTION_CALL");
        let (events, _) = spell(call("{\"a\":").into_iter().chain(finish(Finish::Length)).collect());
        assert_eq!(events[1][0]["finishReason"], "MAX_TOKENS");
    }

    #[test]
    fn several_answers_have_their_index_and_one_end_with_the_usage() {
        let end = || StreamEvent::Finish { finish: Finish::Stop, stop_sequence: None };
        let usage = Usage { prompt: 3, completion: 4, cached: 0, cache_write: 0, reasoning: 1 };
        let (events, counted) = spell(vec![
            StreamEvent::Text("a".to_owned()),
            StreamEvent::Choice(1),
            StreamEvent::Text("b".to_owned()),
            end(),
            StreamEvent::Choice(0),
            end(),
            StreamEvent::Usage(usage),
            StreamEvent::Done,
        ]);
        let indexes: Vec<&Value> = events.iter().map(|event| &event[0]["index"]).collect();
        assert_eq!(indexes, [&json!(0), &json!(1), &json!(1)]);
        assert_eq!(events[2].as_array().unwrap().len(), 2);
        assert_eq!(counted, encode_usage(&usage));
    }
}
