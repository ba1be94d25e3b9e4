//! Neutral steps, spelt as Google's events. Each event is a whole `GenerateContentResponse` with the
//! next parts; a call is one part, so its pieces wait until it is complete.

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
#[derive(Debug, Default)]
pub(crate) struct StreamEncoder {
    id: String,
    model: String,
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
#[derive(Debug)]
struct Call {
    id: String,
    name: String,
    arguments: String,
}

impl StreamEncoder {
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
            StreamEvent::Start { id, model } => (self.id, self.model) = (id, model),
            StreamEvent::Text(text) => {
                self.thinking = false;
                let part = text_part(&text, self.waiting.take());
                self.part(&part, out);
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

    fn part(&self, part: &Value, out: &mut BytesMut) {
        let content = json!({ "parts": [part], "role": "model" });
        self.write(&json!([{ "content": content, "index": self.current }]), None, out);
    }

    fn write(&self, candidates: &Value, usage: Option<Value>, out: &mut BytesMut) {
        let mut event = json!({ "candidates": candidates });
        if let Some(fields) = event.as_object_mut() {
            fields.extend(usage.map(|usage| ("usageMetadata".to_owned(), usage)));
            fields.insert("modelVersion".to_owned(), self.model.clone().into());
            fields.insert("responseId".to_owned(), self.id.clone().into());
        }
        out.put_slice(b"data: ");
        out.put_slice(event.to_string().as_bytes());
        out.put_slice(b"\n\n");
    }
}
