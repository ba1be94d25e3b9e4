//! Neutral steps, spelt as Anthropic's events.

use std::io::Write;

use bytes::{BufMut, BytesMut};
use domain::Usage;
use serde_json::{Value, json};

use super::decode_answer::write_finish;
use super::encode_answer::encode_usage;
use crate::canonical::{Finish, Maker, StreamEvent};
use crate::formats::signature::write_signature;
use crate::transcript::{BlockKind, Blocks};

/// The state between two steps.
#[derive(Clone, Debug, Default)]
pub(crate) struct StreamEncoder {
    started: bool,
    /// The steps belong to another choice than the first.
    foreign: bool,
    open: Option<Open>,
    blocks: usize,
    calls: usize,
    finish: Option<(Finish, Option<String>)>,
    usage: Usage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Open {
    Text,
    Thinking,
    Sealed,
    ToolCall,
}

impl StreamEncoder {
    /// For an answer whose blocks have come so far; None inside a thought, which only its maker can sign.
    pub(crate) fn resumed(sent: Blocks) -> Option<Self> {
        let open = match sent.open {
            None => None,
            Some(BlockKind::Text) => Some(Open::Text),
            Some(BlockKind::Thinking) => return None,
        };
        Some(Self { started: true, open, blocks: sent.done, ..Self::default() })
    }

    /// Spells one step behind `out`. Reason and usage wait for the end, where they stand in one event.
    pub(crate) fn encode(&mut self, event: StreamEvent, out: &mut BytesMut) {
        match event {
            StreamEvent::Choice(index) => self.foreign = index != 0,
            StreamEvent::Usage(usage) => self.usage = usage,
            StreamEvent::Done => self.done(out),
            // The format has no second answer; a request of this format cannot have asked for one.
            _ if self.foreign => {}
            StreamEvent::Start { id, model } => self.start(&id, &model, out),
            StreamEvent::Text(text) => {
                if self.open != Some(Open::Text) {
                    self.open(Open::Text, &json!({ "type": "text", "text": "" }), out);
                }
                self.text_delta("text_delta", "text", &text, out);
            }
            StreamEvent::Reasoning(text) => {
                self.open_thinking(out);
                self.text_delta("thinking_delta", "thinking", &text, out);
            }
            StreamEvent::ToolCall { id, name } => {
                self.close(out);
                self.calls += 1;
                let block = json!({ "type": "tool_use", "id": id, "name": name, "input": {} });
                self.open(Open::ToolCall, &block, out);
            }
            StreamEvent::Arguments(text) => {
                self.text_delta("input_json_delta", "partial_json", &text, out);
            }
            StreamEvent::Finish { finish, stop_sequence } => {
                self.close(out);
                self.finish = Some((finish, stop_sequence));
            }
            StreamEvent::Signature(signature) => {
                self.open_thinking(out);
                let token = write_signature(&signature, Maker::Anthropic);
                self.delta(&json!({ "type": "signature_delta", "signature": token }), out);
                // What is thought next has a signature of its own.
                self.close(out);
            }
            StreamEvent::SealedReasoning(sealed) => {
                self.close(out);
                let data = write_signature(&sealed, Maker::Anthropic);
                self.open(Open::Sealed, &json!({ "type": "redacted_thinking", "data": data }), out);
                self.close(out);
            }
            StreamEvent::Logprobs(_) => {}
        }
    }

    fn start(&mut self, id: &str, model: &str, out: &mut BytesMut) {
        self.started = true;
        let message = json!({
            "id": id, "type": "message", "role": "assistant", "model": model, "content": [],
            "stop_reason": null, "stop_sequence": null,
            // Known only at the end; the format wants the fields here as well.
            "usage": { "input_tokens": 0, "output_tokens": 0 },
        });
        write("message_start", &json!({ "type": "message_start", "message": message }), out);
    }

    fn done(&mut self, out: &mut BytesMut) {
        if !self.started {
            self.start("", "", out);
        }
        self.close(out);
        let (finish, stop_sequence) = self.finish.take().unwrap_or((Finish::Stop, None));
        let reason = write_finish(finish.with_calls(self.calls > 0), stop_sequence.as_deref());
        let delta = json!({ "stop_reason": reason, "stop_sequence": stop_sequence });
        let usage = encode_usage(&self.usage);
        write("message_delta", &json!({ "type": "message_delta", "delta": delta, "usage": usage }), out);
        write("message_stop", &json!({ "type": "message_stop" }), out);
    }

    fn open_thinking(&mut self, out: &mut BytesMut) {
        if self.open != Some(Open::Thinking) {
            self.open(Open::Thinking, &json!({ "type": "thinking", "thinking": "", "signature": "" }), out);
        }
    }

    fn open(&mut self, kind: Open, block: &Value, out: &mut BytesMut) {
        self.close(out);
        let index = self.blocks;
        let event = json!({ "type": "content_block_start", "index": index, "content_block": block });
        write("content_block_start", &event, out);
        self.open = Some(kind);
    }

    fn delta(&self, delta: &Value, out: &mut BytesMut) {
        let event = json!({ "type": "content_block_delta", "index": self.blocks, "delta": delta });
        write("content_block_delta", &event, out);
    }

    /// The commonest event by far, spelt without a tree of values. Writing to memory cannot fail.
    fn text_delta(&self, kind: &str, field: &str, text: &str, out: &mut BytesMut) {
        out.put_slice(b"event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":");
        write!(out.writer(), r#"{},"delta":{{"type":"{kind}","{field}":"#, self.blocks).ok();
        serde_json::to_writer(out.writer(), text).ok();
        out.put_slice(b"}}\n\n");
    }

    fn close(&mut self, out: &mut BytesMut) {
        if self.open.take().is_some() {
            let event = json!({ "type": "content_block_stop", "index": self.blocks });
            write("content_block_stop", &event, out);
            self.blocks += 1;
        }
    }
}

fn write(name: &str, event: &Value, out: &mut BytesMut) {
    out.put_slice(b"event: ");
    out.put_slice(name.as_bytes());
    out.put_slice(b"\ndata: ");
    out.put_slice(event.to_string().as_bytes());
    out.put_slice(b"\n\n");
}
