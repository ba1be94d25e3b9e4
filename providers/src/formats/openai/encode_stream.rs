//! Neutral steps, spelt as OpenAI's chunks.

use std::collections::BTreeMap;
use std::io::Write;

use bytes::{BufMut, BytesMut};
use domain::{Price, Usage};
use serde_json::{Value, json};

use super::content::write_finish;
use super::encode_answer::{encode_call, encode_logprobs, encode_usage, now};
use super::reasoning_details::{Reader, sealed_detail, signs_call, text_detail};
use super::with_cost;
use crate::canonical::{Finish, Signature, StreamEvent};

/// Reasoning that is kept until its signature comes, in bytes; a longer one stays unsigned.
const LONGEST_THOUGHT: usize = 1024 * 1024;

/// The state between two steps.
#[derive(Clone, Debug)]
pub(crate) struct StreamEncoder {
    include_usage: bool,
    price: Option<Price>,
    /// What every chunk begins with, up to its choices: written once, since a chunk is mostly this.
    head: Vec<u8>,
    id: String,
    /// The choice that the step belongs to, and those that wait.
    current: u32,
    state: ChoiceState,
    parked: BTreeMap<u32, ChoiceState>,
    usage: Usage,
}

/// The state of one of several answers.
#[derive(Clone, Debug, Default)]
struct ChoiceState {
    begun: bool,
    finished: bool,
    calls: usize,
    details: usize,
    /// The reasoning since the last signature: signature and text go into one entry, so that a client
    /// can send it back as it came.
    thought: String,
    thought_too_long: bool,
    /// A signature that belongs to the tool call behind it, if one follows.
    held: Option<Signature>,
}

impl ChoiceState {
    fn keep_thought(&mut self, text: &str) {
        if self.thought.len() + text.len() > LONGEST_THOUGHT {
            self.thought_too_long = true;
        } else {
            self.thought.push_str(text);
        }
    }

    fn forget_thought(&mut self) {
        self.thought.clear();
        self.thought_too_long = false;
    }
}

impl StreamEncoder {
    pub(crate) fn new(include_usage: bool, price: Option<Price>) -> Self {
        Self {
            include_usage,
            price,
            head: head("", ""),
            id: String::new(),
            current: 0,
            state: ChoiceState::default(),
            parked: BTreeMap::new(),
            usage: Usage::default(),
        }
    }

    /// For an answer whose first chunk was this.
    pub(crate) fn resumed(include_usage: bool, price: Option<Price>, first: &str) -> Option<Self> {
        let first: Value = serde_json::from_str(first).ok()?;
        let text = |field: &str| first.get(field).and_then(Value::as_str).unwrap_or_default();
        let mut encoder = Self::new(include_usage, price);
        text("id").clone_into(&mut encoder.id);
        encoder.head = head(text("id"), text("model"));
        encoder.state.begun = true;
        Some(encoder)
    }

    /// Spells one step behind `out`.
    pub(crate) fn encode(&mut self, event: StreamEvent, out: &mut BytesMut) {
        match event {
            StreamEvent::Start { id, model } => {
                if self.id.is_empty() {
                    self.id = id;
                }
                self.head = head(&self.id, &model);
                self.begin(0, out);
            }
            StreamEvent::Choice(index) => self.begin(index, out),
            StreamEvent::Usage(usage) => self.usage = usage,
            StreamEvent::Done => self.done(out),
            StreamEvent::ToolCall { id, name } => {
                let (index, held) = (self.state.calls, self.state.held.take());
                self.state.calls += 1;
                self.state.forget_thought();
                let function = json!({ "name": name, "arguments": "" });
                let call = encode_call(Some(index), &id, function, held.as_ref());
                self.delta(&json!({ "tool_calls": [call] }), out);
            }
            StreamEvent::Arguments(text) => {
                let index = self.state.calls.saturating_sub(1);
                self.open_choice(out);
                write!(out.writer(), r#"{{"tool_calls":[{{"index":{index},"function":{{"arguments":"#).ok();
                write_text(&text, out);
                out.put_slice(b"}}]}");
                close_choice(out);
            }
            StreamEvent::Logprobs(tokens) => {
                let logprobs = encode_logprobs(Some(&tokens));
                self.choice(&json!({}), &logprobs, &Value::Null, out);
            }
            other => {
                self.release(out);
                self.encode_part(other, out);
            }
        }
    }

    fn encode_part(&mut self, event: StreamEvent, out: &mut BytesMut) {
        match event {
            StreamEvent::Text(text) => {
                self.state.forget_thought();
                self.text_delta("content", &text, out);
            }
            StreamEvent::Reasoning(text) => {
                self.state.keep_thought(&text);
                self.text_delta("reasoning_content", &text, out);
            }
            StreamEvent::Signature(signature) if signs_call(&signature) => self.state.held = Some(signature),
            StreamEvent::Signature(signature) => self.sign(&signature, out),
            StreamEvent::SealedReasoning(sealed) => {
                let detail = sealed_detail(self.state.details, &sealed, Reader::Client);
                self.state.details += 1;
                self.delta(&json!({ "reasoning_details": [detail] }), out);
            }
            StreamEvent::Finish { finish, .. } => self.finish(finish, out),
            _ => {}
        }
    }

    fn begin(&mut self, index: u32, out: &mut BytesMut) {
        if index != self.current {
            let state = self.parked.remove(&index).unwrap_or_default();
            self.parked.insert(self.current, std::mem::replace(&mut self.state, state));
            self.current = index;
        }
        if !self.state.begun {
            self.state.begun = true;
            self.delta(&json!({ "role": "assistant", "content": "" }), out);
        }
    }

    /// No tool call has followed: the signature goes where those of thoughts go.
    fn release(&mut self, out: &mut BytesMut) {
        if let Some(signature) = self.state.held.take() {
            self.sign(&signature, out);
        }
    }

    fn sign(&mut self, signature: &Signature, out: &mut BytesMut) {
        let too_long = self.state.thought_too_long;
        let detail = text_detail(self.state.details, &self.state.thought, Some(signature), Reader::Client);
        self.state.forget_thought();
        if !too_long {
            self.state.details += 1;
            self.delta(&json!({ "reasoning_details": [detail] }), out);
        }
    }

    fn finish(&mut self, finish: Finish, out: &mut BytesMut) {
        self.state.finished = true;
        let reason = write_finish(finish.with_calls(self.state.calls > 0));
        self.choice(&json!({}), &Value::Null, &reason.into(), out);
    }

    fn done(&mut self, out: &mut BytesMut) {
        self.parked.insert(self.current, std::mem::take(&mut self.state));
        while let Some((index, state)) = self.parked.pop_first() {
            (self.current, self.state) = (index, state);
            self.release(out);
            if !self.state.finished {
                self.finish(Finish::Stop, out);
            }
        }
        if self.include_usage {
            let usage = encode_usage(&self.usage).to_string();
            let usage = match self.price {
                Some(price) => with_cost(&usage, price.cost(&self.usage)),
                None => usage.into_bytes(),
            };
            out.put_slice(&self.head);
            out.put_slice(b"[]");
            out.put_slice(b",\"usage\":");
            out.put_slice(&usage);
            out.put_slice(b"}\n\n");
        }
        out.put_slice(b"data: [DONE]\n\n");
    }

    fn delta(&self, delta: &Value, out: &mut BytesMut) {
        self.choice(delta, &Value::Null, &Value::Null, out);
    }

    /// The commonest chunk by far, spelt without a tree of values.
    fn text_delta(&self, field: &str, text: &str, out: &mut BytesMut) {
        self.open_choice(out);
        write!(out.writer(), r#"{{"{field}":"#).ok();
        write_text(text, out);
        out.put_slice(b"}");
        close_choice(out);
    }

    fn choice(&self, delta: &Value, logprobs: &Value, reason: &Value, out: &mut BytesMut) {
        self.open_choice(out);
        write!(out.writer(), r#"{delta},"logprobs":{logprobs},"finish_reason":{reason}}}]}}"#).ok();
        out.put_slice(b"\n\n");
    }

    fn open_choice(&self, out: &mut BytesMut) {
        out.put_slice(&self.head);
        write!(out.writer(), r#"[{{"index":{},"delta":"#, self.current).ok();
    }
}

fn close_choice(out: &mut BytesMut) {
    out.put_slice(b",\"logprobs\":null,\"finish_reason\":null}]}\n\n");
}

/// As a JSON string. Writing to memory cannot fail.
fn write_text(text: &str, out: &mut BytesMut) {
    serde_json::to_writer(out.writer(), text).ok();
}

fn head(id: &str, model: &str) -> Vec<u8> {
    let head = json!({ "id": id, "object": "chat.completion.chunk", "created": now(), "model": model });
    let head = head.to_string();
    [b"data: ", head.strip_suffix('}').unwrap_or(&head).as_bytes(), b",\"choices\":"].concat()
}
