//! Neutral steps, spelt as Responses events: each item is announced, filled piece by piece, repeated
//! whole when it is done, and repeated once more in the event that ends the answer.

use bytes::{BufMut, BytesMut};
use domain::Usage;
use serde_json::{Value, json};

use super::echo::echo_of;
use super::encode_answer::{Head, State, response};
use super::encode_item::{
    call, call_prefix, item_id, message, now, or_empty_object, output_text, reasoning, response_id, status,
    summary_text,
};
use super::tool_names::{Origin, unwrap_input};
use crate::answer_context::AnswerContext;
use crate::canonical::{Finish, Maker, Signature, StreamEvent};
use crate::formats::signature::write_signature;
use crate::splice::json_string;

/// The longest answer that is taken, in bytes: it is repeated whole at its end and held until then.
const MAX_HELD_BYTES: usize = 32 * 1024 * 1024;

/// The state between two steps.
#[derive(Clone, Debug)]
pub(crate) struct StreamEncoder {
    context: AnswerContext,
    /// The repeated fields, as text.
    tail: String,
    id: String,
    model: String,
    created_at: u64,
    started: bool,
    sequence: u64,
    open: Option<Open>,
    /// The items that are done, as the inside of a JSON list.
    output: String,
    items: usize,
    finish: Finish,
    usage: Usage,
    /// What comes belongs to a further answer, for which the format has no place.
    aside: bool,
}

/// The item whose pieces are arriving.
#[derive(Clone, Debug)]
struct Open {
    id: String,
    kind: Kind,
    /// Text or arguments so far.
    text: String,
}

#[derive(Clone, Debug)]
enum Kind {
    Message { logprobs: Vec<Value> },
    Reasoning,
    Call { call_id: String, origin: Origin },
}

impl Default for StreamEncoder {
    fn default() -> Self {
        Self {
            context: AnswerContext::default(),
            tail: String::new(),
            id: String::new(),
            model: String::new(),
            created_at: now(),
            started: false,
            sequence: 0,
            open: None,
            output: String::new(),
            items: 0,
            finish: Finish::Stop,
            usage: Usage::default(),
            aside: false,
        }
    }
}

impl StreamEncoder {
    /// For the answer to this request.
    pub(crate) fn set_context(&mut self, context: &AnswerContext) {
        self.context = context.clone();
    }

    /// The answer has become too long to be held.
    pub(crate) fn is_too_long(&self) -> bool {
        let open = self.open.as_ref().map_or(0, |open| open.text.len());
        self.output.len().saturating_add(open) > MAX_HELD_BYTES
    }

    /// Spells one step behind `out`. Reason and usage wait for the end, where they stand in one event.
    pub(crate) fn encode(&mut self, event: StreamEvent, out: &mut BytesMut) {
        match event {
            StreamEvent::Choice(choice) => self.aside = choice != 0,
            StreamEvent::Usage(usage) => self.usage = usage,
            StreamEvent::Start { id, model } => self.start(&id, &model, out),
            StreamEvent::Done => self.done(out),
            _ if self.aside => {}
            StreamEvent::Text(text) => self.text(&text, out),
            StreamEvent::Reasoning(text) => self.reasoning(&text, out),
            StreamEvent::Signature(signature) => self.sign(&signature, out),
            StreamEvent::SealedReasoning(signature) => self.sealed(&signature, out),
            StreamEvent::Logprobs(more) => {
                if let Some(Open { kind: Kind::Message { logprobs }, .. }) = &mut self.open {
                    logprobs.extend(more);
                }
            }
            StreamEvent::ToolCall { id, name } => self.call(id, &name, out),
            StreamEvent::Arguments(text) => self.arguments(&text, out),
            StreamEvent::Finish { finish, .. } => {
                self.finish = finish;
                self.close(status(finish).0, out);
            }
        }
    }

    fn start(&mut self, id: &str, model: &str, out: &mut BytesMut) {
        if self.started {
            return;
        }
        self.started = true;
        self.tail = echo_of(&self.context);
        self.id = response_id(id);
        self.model = model.to_owned();
        self.response_event("response.created", None, out);
        self.response_event("response.in_progress", None, out);
    }

    fn done(&mut self, out: &mut BytesMut) {
        let finish = self.finish;
        self.ensure_started(out);
        self.close(status(finish).0, out);
        let name = if status(finish).0 == "completed" { "response.completed" } else { "response.incomplete" };
        self.response_event(name, Some(finish), out);
    }

    fn ensure_started(&mut self, out: &mut BytesMut) {
        if !self.started {
            self.start("", "", out);
        }
    }

    fn text(&mut self, text: &str, out: &mut BytesMut) {
        if !matches!(&self.open, Some(Open { kind: Kind::Message { .. }, .. })) {
            let id = self.next_id("msg", out);
            let item = json!({
                "id": id, "type": "message", "status": "in_progress", "role": "assistant", "content": []
            });
            self.open(id, Kind::Message { logprobs: Vec::new() }, &item, out);
            let part = output_text("", &[]);
            self.piece("response.content_part.added", json!({ "content_index": 0, "part": part }), out);
        }
        self.grow(text);
        self.delta("response.output_text.delta", "\"content_index\":0,\"logprobs\":[],", text, out);
    }

    fn reasoning(&mut self, text: &str, out: &mut BytesMut) {
        if !matches!(&self.open, Some(Open { kind: Kind::Reasoning, .. })) {
            self.open_reasoning(out);
        }
        self.grow(text);
        self.delta("response.reasoning_summary_text.delta", "\"summary_index\":0,", text, out);
    }

    fn open_reasoning(&mut self, out: &mut BytesMut) {
        let id = self.next_id("rs", out);
        let item = reasoning(&id, None, None);
        self.open(id, Kind::Reasoning, &item, out);
        let fields = json!({ "summary_index": 0, "part": summary_text("") });
        self.piece("response.reasoning_summary_part.added", fields, out);
    }

    /// Ends the reasoning with its signature. A signature without reasoning is an item of its own, with
    /// an empty summary, before the part it belongs to.
    fn sign(&mut self, signature: &Signature, out: &mut BytesMut) {
        if !matches!(&self.open, Some(Open { kind: Kind::Reasoning, .. })) {
            self.open_reasoning(out);
        }
        if let Some(open) = self.open.take() {
            self.close_reasoning(&open, Some(write_signature(signature, Maker::OpenAi).into_owned()), out);
        }
    }

    fn sealed(&mut self, signature: &Signature, out: &mut BytesMut) {
        let id = self.next_id("rs", out);
        self.open(id.clone(), Kind::Reasoning, &reasoning(&id, None, None), out);
        self.open = None;
        self.item_done(
            &reasoning(&id, None, Some(write_signature(signature, Maker::OpenAi).into_owned())),
            out,
        );
    }

    fn call(&mut self, call_id: String, name: &str, out: &mut BytesMut) {
        let origin = self.context.tools.origin(name);
        let id = self.next_id(call_prefix(&origin), out);
        let item = call(&id, "in_progress", &call_id, &origin, "");
        self.open(id, Kind::Call { call_id, origin }, &item, out);
    }

    /// The text of a custom tool is known only with the last piece of the arguments around it.
    fn arguments(&mut self, text: &str, out: &mut BytesMut) {
        let Some(Open { kind: Kind::Call { origin, .. }, .. }) = &self.open else { return };
        let custom = origin.custom;
        self.grow(text);
        if !custom {
            self.delta("response.function_call_arguments.delta", "", text, out);
        }
    }

    fn grow(&mut self, text: &str) {
        if let Some(open) = &mut self.open {
            open.text.push_str(text);
        }
    }

    /// Closes what is open and gives the next item's id.
    fn next_id(&mut self, prefix: &str, out: &mut BytesMut) -> String {
        self.ensure_started(out);
        self.close("completed", out);
        item_id(prefix, &self.id, self.items)
    }

    fn open(&mut self, id: String, kind: Kind, item: &Value, out: &mut BytesMut) {
        let fields = json!({ "output_index": self.items, "item": item });
        self.event("response.output_item.added", &fields, out);
        self.open = Some(Open { id, kind, text: String::new() });
    }

    fn close(&mut self, status: &str, out: &mut BytesMut) {
        let Some(open) = self.open.take() else { return };
        match &open.kind {
            Kind::Reasoning => self.close_reasoning(&open, None, out),
            Kind::Message { logprobs } => {
                let fields = json!({ "content_index": 0, "text": open.text, "logprobs": logprobs });
                self.piece_of(&open.id, "response.output_text.done", fields, out);
                let part = output_text(&open.text, logprobs);
                let fields = json!({ "content_index": 0, "part": part });
                self.piece_of(&open.id, "response.content_part.done", fields, out);
                self.item_done(&message(&open.id, status, &open.text, logprobs), out);
            }
            Kind::Call { call_id, origin } => {
                let arguments = or_empty_object(&open.text);
                if origin.custom {
                    let input = unwrap_input(arguments);
                    let fields = json!({ "delta": input });
                    self.piece_of(&open.id, "response.custom_tool_call_input.delta", fields, out);
                    let fields = json!({ "input": input });
                    self.piece_of(&open.id, "response.custom_tool_call_input.done", fields, out);
                } else {
                    // Some clients put the arguments together from the pieces alone.
                    if arguments != open.text {
                        let fields = json!({ "delta": arguments });
                        self.piece_of(&open.id, "response.function_call_arguments.delta", fields, out);
                    }
                    let fields = json!({ "name": origin.name, "arguments": arguments });
                    self.piece_of(&open.id, "response.function_call_arguments.done", fields, out);
                }
                self.item_done(&call(&open.id, status, call_id, origin, arguments), out);
            }
        }
    }

    fn close_reasoning(&mut self, open: &Open, encrypted: Option<String>, out: &mut BytesMut) {
        let fields = json!({ "summary_index": 0, "text": open.text });
        self.piece_of(&open.id, "response.reasoning_summary_text.done", fields, out);
        let fields = json!({ "summary_index": 0, "part": summary_text(&open.text) });
        self.piece_of(&open.id, "response.reasoning_summary_part.done", fields, out);
        self.item_done(&reasoning(&open.id, Some(&open.text), encrypted), out);
    }

    fn item_done(&mut self, item: &Value, out: &mut BytesMut) {
        let fields = json!({ "output_index": self.items, "item": item });
        self.event("response.output_item.done", &fields, out);
        if self.items > 0 {
            self.output.push(',');
        }
        self.output.push_str(&item.to_string());
        self.items += 1;
    }

    /// A piece of the open item, the one event there are many of. `fields` stands as it is in the event.
    fn delta(&mut self, name: &str, fields: &str, text: &str, out: &mut BytesMut) {
        let Some(open) = &self.open else { return };
        let id = json_string(&open.id);
        let rest = format!(",\"item_id\":{id},\"output_index\":{}}}", self.items);
        self.write(name, &[fields, "\"delta\":", &json_string(text), &rest], out);
    }

    /// An event about the open item.
    fn piece(&mut self, name: &str, fields: Value, out: &mut BytesMut) {
        let id = self.open.as_ref().map(|open| open.id.clone()).unwrap_or_default();
        self.piece_of(&id, name, fields, out);
    }

    fn piece_of(&mut self, id: &str, name: &str, mut fields: Value, out: &mut BytesMut) {
        if let Some(fields) = fields.as_object_mut() {
            fields.insert("item_id".to_owned(), id.into());
            fields.insert("output_index".to_owned(), self.items.into());
        }
        self.event(name, &fields, out);
    }

    fn event(&mut self, name: &str, fields: &Value, out: &mut BytesMut) {
        let text = fields.to_string();
        let inside = text.strip_prefix('{').unwrap_or(&text);
        self.write(name, &[inside], out);
    }

    fn response_event(&mut self, name: &str, finish: Option<Finish>, out: &mut BytesMut) {
        let head = Head { id: &self.id, created_at: self.created_at, model: &self.model };
        let state = finish.map_or(State::Running, |finish| State::Ended(finish, &self.usage));
        let text = response(&head, state, &format!("[{}]", self.output), &self.tail);
        self.write(name, &["\"response\":", &text, "}"], out);
    }

    fn write(&mut self, name: &str, rest: &[&str], out: &mut BytesMut) {
        let head =
            format!("event: {name}\ndata: {{\"type\":\"{name}\",\"sequence_number\":{},", self.sequence);
        out.put_slice(head.as_bytes());
        rest.iter().for_each(|piece| out.put_slice(piece.as_bytes()));
        out.put_slice(b"\n\n");
        self.sequence += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::canonical::Maker;

    #[test]
    fn thoughts_are_spelt_so_that_their_kind_is_known_again() {
        let mut encoder = StreamEncoder::default();
        let mut out = BytesMut::new();
        let signed = |maker, value: &str| Signature { maker, value: value.to_owned() };
        for event in [
            StreamEvent::Start { id: "1".to_owned(), model: "m".to_owned() },
            StreamEvent::SealedReasoning(signed(Maker::OpenAi, "g")),
            StreamEvent::Reasoning("Hm.".to_owned()),
            StreamEvent::Signature(signed(Maker::OpenAi, "h")),
            StreamEvent::Signature(signed(Maker::Gemini, "t")),
            StreamEvent::Choice(1),
            StreamEvent::Text("aside".to_owned()),
            StreamEvent::Choice(0),
            StreamEvent::Text("Yes".to_owned()),
            StreamEvent::Finish { finish: Finish::Length, stop_sequence: None },
            StreamEvent::Done,
        ] {
            encoder.encode(event, &mut out);
        }
        let text = String::from_utf8(out.to_vec()).unwrap();
        let last = text.lines().filter_map(|line| line.strip_prefix("data: ")).next_back().unwrap();
        let last: Value = serde_json::from_str(last).unwrap();
        let expected = json!([
            { "id": "rs_1_0", "type": "reasoning", "summary": [], "encrypted_content": "g" },
            { "id": "rs_1_1", "type": "reasoning", "summary": [summary_text("Hm.")], "encrypted_content": "h" },
            { "id": "rs_1_2", "type": "reasoning", "summary": [summary_text("")], "encrypted_content": "sbx.gemini.t" },
            { "id": "msg_1_3", "type": "message", "status": "incomplete", "role": "assistant",
              "content": [output_text("Yes", &[])] },
        ]);
        assert_eq!(last["type"], "response.incomplete");
        assert_eq!(last["response"]["output"], expected);
        assert!(!text.contains("aside"));
    }
}
