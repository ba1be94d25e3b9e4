//! Neutral steps, spelt as OpenAI's chunks.

use bytes::{BufMut, BytesMut};
use domain::{Price, Usage};
use serde_json::{Value, json};

use super::content::write_finish;
use super::encode_answer::{encode_usage, now};
use super::with_cost;
use crate::canonical::{Finish, StreamEvent};

/// The state between two steps.
#[derive(Debug)]
pub(crate) struct StreamEncoder {
    include_usage: bool,
    price: Option<Price>,
    id: String,
    model: String,
    created: u64,
    calls: usize,
    finished: bool,
    usage: Usage,
}

impl StreamEncoder {
    pub(crate) fn new(include_usage: bool, price: Option<Price>) -> Self {
        Self {
            include_usage,
            price,
            id: String::new(),
            model: String::new(),
            created: now(),
            calls: 0,
            finished: false,
            usage: Usage::default(),
        }
    }

    /// Spells one step behind `out`.
    pub(crate) fn encode(&mut self, event: StreamEvent, out: &mut BytesMut) {
        match event {
            StreamEvent::Start { id, model } => {
                (self.id, self.model) = (id, model);
                self.delta(&json!({ "role": "assistant", "content": "" }), out);
            }
            StreamEvent::Text(text) => self.delta(&json!({ "content": text }), out),
            StreamEvent::Reasoning(text) => self.delta(&json!({ "reasoning_content": text }), out),
            StreamEvent::ToolCall { id, name } => {
                let index = self.calls;
                self.calls += 1;
                let function = json!({ "name": name, "arguments": "" });
                let call = json!({ "index": index, "id": id, "type": "function", "function": function });
                self.delta(&json!({ "tool_calls": [call] }), out);
            }
            StreamEvent::Arguments(text) => {
                let index = self.calls.saturating_sub(1);
                let call = json!({ "index": index, "function": { "arguments": text } });
                self.delta(&json!({ "tool_calls": [call] }), out);
            }
            StreamEvent::Finish { finish, .. } => self.finish(finish, out),
            StreamEvent::Signature(_)
            | StreamEvent::SealedReasoning(_)
            | StreamEvent::Logprobs(_)
            | StreamEvent::Choice(_) => {}
            StreamEvent::Usage(usage) => self.usage = usage,
            StreamEvent::Done => self.done(out),
        }
    }

    fn finish(&mut self, finish: Finish, out: &mut BytesMut) {
        self.finished = true;
        let reason = write_finish(finish.with_calls(self.calls > 0));
        self.chunk(&json!([{ "index": 0, "delta": {}, "logprobs": null, "finish_reason": reason }]), out);
    }

    fn done(&mut self, out: &mut BytesMut) {
        if !self.finished {
            self.finish(Finish::Stop, out);
        }
        if self.include_usage {
            let usage = encode_usage(&self.usage).to_string();
            let usage = match self.price {
                Some(price) => with_cost(&usage, price.cost(&self.usage)),
                None => usage.into_bytes(),
            };
            let head = self.head(&json!([])).to_string();
            out.put_slice(b"data: ");
            out.put_slice(head.strip_suffix('}').unwrap_or(&head).as_bytes());
            out.put_slice(b",\"usage\":");
            out.put_slice(&usage);
            out.put_slice(b"}\n\n");
        }
        out.put_slice(b"data: [DONE]\n\n");
    }

    fn delta(&self, delta: &Value, out: &mut BytesMut) {
        self.chunk(&json!([{ "index": 0, "delta": delta, "logprobs": null, "finish_reason": null }]), out);
    }

    fn chunk(&self, choices: &Value, out: &mut BytesMut) {
        out.put_slice(b"data: ");
        out.put_slice(self.head(choices).to_string().as_bytes());
        out.put_slice(b"\n\n");
    }

    fn head(&self, choices: &Value) -> Value {
        json!({
            "id": self.id,
            "object": "chat.completion.chunk",
            "created": self.created,
            "model": self.model,
            "choices": choices,
        })
    }
}
