//! `POST …/messages` and `…/messages/count_tokens`.
//!
//! Sources: <https://docs.anthropic.com/en/api/messages> and
//! <https://docs.anthropic.com/en/docs/build-with-claude/streaming>.

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::conversation::{Content, Conversation};
use super::turn::{Turn, Wanted};
use super::words::Finish;
use super::{Refusal, Reply, model_of, parse, prompt_tokens};
use crate::event_stream::EventStream;
use crate::request::{Context, Request};
use crate::script::{Script, Whole};

/// Stands for the signature of a thinking block, which clients must send back unchanged.
const SIGNATURE: &str = "bW9jayBzaWduYXR1cmU=";

#[derive(Deserialize)]
struct MessagesRequest<'a> {
    #[serde(borrow)]
    model: Option<Content<'a>>,
    #[serde(borrow)]
    messages: Option<Conversation<'a>>,
    #[serde(borrow)]
    system: Option<Content<'a>>,
    max_tokens: Option<u64>,
    stream: Option<bool>,
    #[serde(default)]
    stop_sequences: Vec<String>,
    #[serde(borrow)]
    tools: Option<&'a RawValue>,
    #[serde(borrow)]
    tool_choice: Option<&'a RawValue>,
}

/// Answers one message request.
pub(super) fn answer(context: &mut Context<'_>, request: &Request<'_>) -> Result<Reply, Refusal> {
    let wire = read(request)?;
    let model = model_of(request, wire.model.as_ref().map(|model| model.text.as_ref()))?;
    let limit = wire.max_tokens.ok_or_else(|| Refusal::missing("max_tokens"))?;
    let prompt = prompt(&wire);
    let conversation = wire.messages.filter(|conversation| conversation.messages > 0);
    let conversation = conversation.ok_or_else(|| Refusal::missing("messages"))?;
    context.choose(request, model)?;
    let stream = wire.stream.unwrap_or(false);
    let turn = Turn::new(
        context,
        &Wanted {
            conversation: &conversation,
            tools: wire.tools,
            tool_choice: wire.tool_choice,
            limit: Some(limit),
            stops: &wire.stop_sequences,
            stream,
        },
    )?;
    let dress = Dress { context, model, prompt, turn: &turn };
    if stream {
        return Ok(Reply::Stream(dress.stream()));
    }
    let body = dress.whole().to_string().into_bytes();
    Ok(Reply::Whole(Whole::json(context.behaviour.status.unwrap_or(200), body)))
}

/// Counts the prompt's tokens without answering it.
pub(super) fn count_tokens(context: &mut Context<'_>, request: &Request<'_>) -> Result<Reply, Refusal> {
    let wire = read(request)?;
    let model = model_of(request, wire.model.as_ref().map(|model| model.text.as_ref()))?;
    context.choose(request, model)?;
    let body = json!({"input_tokens": prompt(&wire)}).to_string().into_bytes();
    Ok(Reply::Whole(Whole::json(context.behaviour.status.unwrap_or(200), body)))
}

fn read<'a>(request: &Request<'a>) -> Result<MessagesRequest<'a>, Refusal> {
    if !request.anthropic_version {
        return Err(Refusal::bad_request("anthropic-version: header is required".to_owned()));
    }
    parse(request.body)
}

fn prompt(wire: &MessagesRequest<'_>) -> u64 {
    let system = wire.system.as_ref().map_or(0, |system| system.chars);
    let messages = wire.messages.as_ref().map_or(0, |conversation| conversation.chars);
    let tools = wire.tools.map_or(0, |tools| tools.get().chars().count() as u64);
    prompt_tokens(system + messages + tools)
}

struct Dress<'a> {
    context: &'a Context<'a>,
    model: &'a str,
    prompt: u64,
    turn: &'a Turn,
}

impl Dress<'_> {
    fn whole(&self) -> Value {
        let turn = self.turn;
        let mut blocks = Vec::new();
        if let Some(thinking) = turn.reasoning {
            blocks.push(json!({"type": "thinking", "thinking": thinking, "signature": SIGNATURE}));
        }
        if turn.calls.is_empty() {
            blocks.push(json!({"type": "text", "text": turn.text.text}));
        }
        for (position, call) in turn.calls.iter().enumerate() {
            // The arguments were made from a value, so they parse.
            let input: Value = serde_json::from_str(&call.arguments).unwrap_or_default();
            blocks.push(json!({
                "type": "tool_use", "id": self.call_id(position), "name": call.name, "input": input,
            }));
        }
        let mut message = self.message(turn.completion_tokens());
        if let Some(fields) = message.as_object_mut() {
            fields.insert("content".to_owned(), Value::Array(blocks));
            fields.insert("stop_reason".to_owned(), json!(stop_reason(turn)));
            fields.insert("stop_sequence".to_owned(), json!(stop_sequence(turn)));
        }
        message
    }

    /// The message without content, as `message_start` has it.
    fn message(&self, output_tokens: u64) -> Value {
        let mut message = json!({
            "id": format!("msg_{:024x}", self.context.id), "type": "message", "role": "assistant",
            "model": self.model, "content": [], "stop_reason": null, "stop_sequence": null,
        });
        if !self.context.behaviour.no_usage
            && let Some(fields) = message.as_object_mut()
        {
            fields.insert("usage".to_owned(), self.usage(output_tokens));
        }
        message
    }

    /// Anthropic counts cached tokens beside `input_tokens`, not within.
    fn usage(&self, output_tokens: u64) -> Value {
        let cached = self.context.behaviour.cached.unwrap_or(0).min(self.prompt);
        json!({
            "input_tokens": self.prompt - cached, "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": cached, "output_tokens": output_tokens, "service_tier": "standard",
        })
    }

    fn call_id(&self, position: usize) -> String {
        format!("toolu_{:020x}_{position}", self.context.id)
    }

    fn stream(&self) -> Script {
        let turn = self.turn;
        let mut stream = EventStream::begin(self.context);
        let message = self.message(1);
        stream.event(Some("message_start"), &json!({"type": "message_start", "message": message}));
        stream.event(Some("ping"), &json!({"type": "ping"}));
        let mut index = 0;
        if let Some(thinking) = turn.reasoning {
            start(&mut stream, index, &json!({"type": "thinking", "thinking": "", "signature": ""}));
            for piece in thinking.split_inclusive(' ') {
                delta(&mut stream, index, &json!({"type": "thinking_delta", "thinking": piece}));
            }
            delta(&mut stream, index, &json!({"type": "signature_delta", "signature": SIGNATURE}));
            stop(&mut stream, index);
            index += 1;
        }
        if turn.calls.is_empty() {
            start(&mut stream, index, &json!({"type": "text", "text": ""}));
            for piece in turn.pieces() {
                delta(&mut stream, index, &json!({"type": "text_delta", "text": piece}));
            }
            stop(&mut stream, index);
        }
        for (position, call) in turn.calls.iter().enumerate() {
            let id = self.call_id(position);
            let block = json!({"type": "tool_use", "id": id, "name": call.name, "input": {}});
            start(&mut stream, index + position, &block);
            for piece in call.pieces() {
                let part = json!({"type": "input_json_delta", "partial_json": piece});
                delta(&mut stream, index + position, &part);
            }
            stop(&mut stream, index + position);
        }
        self.end(&mut stream);
        stream.finish()
    }

    fn end(&self, stream: &mut EventStream<'_>) {
        let turn = self.turn;
        let mut end = json!({
            "type": "message_delta",
            "delta": {"stop_reason": stop_reason(turn), "stop_sequence": stop_sequence(turn)},
        });
        if !self.context.behaviour.no_usage
            && let Some(fields) = end.as_object_mut()
        {
            fields.insert("usage".to_owned(), self.usage(turn.completion_tokens()));
        }
        stream.gap();
        stream.event(Some("message_delta"), &end);
        if !stream.withholds_end() {
            stream.event(Some("message_stop"), &json!({"type": "message_stop"}));
        }
    }
}

fn start(stream: &mut EventStream<'_>, index: usize, block: &Value) {
    let event = json!({"type": "content_block_start", "index": index, "content_block": block});
    stream.event(Some("content_block_start"), &event);
}

fn delta(stream: &mut EventStream<'_>, index: usize, delta: &Value) {
    let event = json!({"type": "content_block_delta", "index": index, "delta": delta});
    stream.content(Some("content_block_delta"), &event);
}

fn stop(stream: &mut EventStream<'_>, index: usize) {
    stream.event(Some("content_block_stop"), &json!({"type": "content_block_stop", "index": index}));
}

fn stop_reason(turn: &Turn) -> &'static str {
    match turn.text.finish {
        _ if !turn.calls.is_empty() => "tool_use",
        Finish::Stop => "end_turn",
        Finish::Length => "max_tokens",
        Finish::StopSequence(_) => "stop_sequence",
    }
}

fn stop_sequence(turn: &Turn) -> Option<&str> {
    match &turn.text.finish {
        Finish::StopSequence(stop) if turn.calls.is_empty() => Some(stop),
        _ => None,
    }
}
