//! `POST …/chat/completions`.
//!
//! Source: <https://platform.openai.com/docs/api-reference/chat>. This is the measured path: one
//! borrowed parse, one buffer, no tree of values.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::conversation::{Content, Conversation};
use super::turn::{Stops, Turn, Wanted};
use super::words::Finish;
use super::{Refusal, Reply, model_of, parse, prompt_tokens};
use crate::digits::{push_decimal, push_hexadecimal};
use crate::event_stream::EventStream;
use crate::request::{Context, Request};
use crate::script::{Script, Whole};

const MAX_CHOICES: usize = 128;
const FINGERPRINT: &str = "fp_6d6f636b01";

#[derive(Deserialize)]
struct ChatRequest<'a> {
    #[serde(borrow)]
    model: Option<Content<'a>>,
    #[serde(borrow)]
    messages: Option<Conversation<'a>>,
    stream: Option<bool>,
    stream_options: Option<StreamOptions>,
    n: Option<usize>,
    max_tokens: Option<u64>,
    max_completion_tokens: Option<u64>,
    stop: Option<Stops>,
    #[serde(borrow)]
    tools: Option<&'a RawValue>,
    #[serde(borrow)]
    tool_choice: Option<&'a RawValue>,
}

#[derive(Deserialize)]
pub(super) struct StreamOptions {
    pub(super) include_usage: Option<bool>,
}

/// Token counts as OpenAI reports them.
#[derive(Clone, Copy, Serialize)]
pub(super) struct Usage {
    prompt_tokens: u64,
    completion_tokens: u64,
    total_tokens: u64,
    prompt_tokens_details: PromptDetails,
    completion_tokens_details: CompletionDetails,
}

#[derive(Clone, Copy, Serialize)]
struct PromptDetails {
    cached_tokens: u64,
    audio_tokens: u64,
}

#[derive(Clone, Copy, Serialize)]
struct CompletionDetails {
    reasoning_tokens: u64,
    audio_tokens: u64,
    accepted_prediction_tokens: u64,
    rejected_prediction_tokens: u64,
}

impl Usage {
    /// `None` when the request wants no usage.
    pub(super) fn new(context: &Context<'_>, prompt: u64, completion: u64, reasoning: u64) -> Option<Self> {
        let behaviour = &context.behaviour;
        let cached = behaviour.cached.unwrap_or(0).min(prompt);
        (!behaviour.no_usage).then_some(Self {
            prompt_tokens: prompt,
            completion_tokens: completion,
            total_tokens: prompt + completion,
            prompt_tokens_details: PromptDetails { cached_tokens: cached, audio_tokens: 0 },
            completion_tokens_details: CompletionDetails {
                reasoning_tokens: reasoning,
                audio_tokens: 0,
                accepted_prediction_tokens: 0,
                rejected_prediction_tokens: 0,
            },
        })
    }
}

#[derive(Clone, Serialize)]
struct ToolCall<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    index: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    kind: Option<&'static str>,
    function: Function<'a>,
}

#[derive(Clone, Serialize)]
struct Function<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    arguments: &'a str,
}

#[derive(Serialize)]
struct Chunk<'a> {
    id: &'a str,
    object: &'static str,
    created: u64,
    model: &'a str,
    service_tier: &'static str,
    system_fingerprint: &'static str,
    choices: &'a [ChunkChoice<'a>],
    /// Outer `None`: left out; inner `None`: null, as every chunk but the last has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<Option<Usage>>,
}

#[derive(Serialize)]
struct ChunkChoice<'a> {
    index: usize,
    delta: Delta<'a>,
    logprobs: Option<()>,
    finish_reason: Option<&'static str>,
}

#[derive(Default, Serialize)]
struct Delta<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_content: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_calls: Option<[ToolCall<'a>; 1]>,
}

/// Answers one chat request.
pub(super) fn answer(context: &mut Context<'_>, request: &Request<'_>) -> Result<Reply, Refusal> {
    let chat: ChatRequest<'_> = parse(request.body)?;
    let model = model_of(request, chat.model.as_ref().map(|model| model.text.as_ref()))?;
    let conversation = chat.messages.filter(|conversation| conversation.messages > 0);
    let conversation = conversation.ok_or_else(|| Refusal::missing("messages"))?;
    let choices = chat.n.unwrap_or(1);
    if !(1..=MAX_CHOICES).contains(&choices) {
        return Err(Refusal::bad_request(format!("n: must be 1 to {MAX_CHOICES}, not {choices}")));
    }
    context.choose(request, model)?;
    let stream = chat.stream.unwrap_or(false);
    let turn = Turn::new(
        context,
        &Wanted {
            conversation: &conversation,
            tools: chat.tools,
            tool_choice: chat.tool_choice,
            limit: chat.max_completion_tokens.or(chat.max_tokens),
            stops: &Stops::list(chat.stop),
            stream,
        },
    )?;
    let completion = turn.completion_tokens() * choices as u64;
    let usage = Usage::new(context, prompt_tokens(conversation.chars), completion, turn.reasoning_tokens());
    let dress = Dress { context, model, id: answer_id("chatcmpl-", context.id), choices, usage };
    if stream {
        let include_usage = chat.stream_options.and_then(|options| options.include_usage).unwrap_or(false);
        return Ok(Reply::Stream(dress.stream(&turn, include_usage)));
    }
    Ok(Reply::Whole(Whole::json(context.behaviour.status.unwrap_or(200), dress.whole(&turn))))
}

/// What is the same in every part of one answer.
struct Dress<'a> {
    context: &'a Context<'a>,
    model: &'a str,
    id: String,
    choices: usize,
    usage: Option<Usage>,
}

impl Dress<'_> {
    /// Written in fragments: serialising thirty field names shows in the profile of plain answers.
    fn whole(&self, turn: &Turn) -> Vec<u8> {
        let mut body = Vec::with_capacity(1 << 10);
        body.extend_from_slice(b"{\"id\":\"");
        body.extend_from_slice(self.id.as_bytes());
        body.extend_from_slice(b"\",\"object\":\"chat.completion\",\"created\":");
        push_decimal(&mut body, self.context.created);
        body.extend_from_slice(b",\"model\":");
        push_json(&mut body, &self.model);
        body.extend_from_slice(b",\"choices\":[");
        for index in 0..self.choices {
            if index > 0 {
                body.push(b',');
            }
            self.push_choice(&mut body, turn, index);
        }
        body.push(b']');
        if let Some(usage) = &self.usage {
            body.extend_from_slice(b",\"usage\":");
            push_json(&mut body, usage);
        }
        body.extend_from_slice(b",\"service_tier\":\"default\",\"system_fingerprint\":\"");
        body.extend_from_slice(FINGERPRINT.as_bytes());
        body.extend_from_slice(b"\"}");
        body
    }

    fn push_choice(&self, body: &mut Vec<u8>, turn: &Turn, index: usize) {
        body.extend_from_slice(b"{\"index\":");
        push_decimal(body, index as u64);
        body.extend_from_slice(b",\"message\":{\"role\":\"assistant\",\"content\":");
        push_json(body, &turn.calls.is_empty().then_some(&turn.text.text));
        if let Some(reasoning) = turn.reasoning {
            body.extend_from_slice(b",\"reasoning_content\":");
            push_json(body, &reasoning);
        }
        body.extend_from_slice(b",\"refusal\":null");
        if !turn.calls.is_empty() {
            let calls: Vec<_> =
                (0..turn.calls.len()).filter_map(|call| self.call(turn, index, call)).collect();
            body.extend_from_slice(b",\"tool_calls\":");
            push_json(body, &calls);
        }
        body.extend_from_slice(b",\"annotations\":[]},\"logprobs\":null,\"finish_reason\":\"");
        body.extend_from_slice(finish_reason(turn).as_bytes());
        body.extend_from_slice(b"\"}");
    }

    fn call<'a>(&self, turn: &'a Turn, choice: usize, call: usize) -> Option<ToolCall<'a>> {
        let one = turn.calls.get(call)?;
        Some(ToolCall {
            index: None,
            id: Some(format!("call_{:016x}_{choice}_{call}", self.context.id)),
            kind: Some("function"),
            function: Function { name: Some(&one.name), arguments: &one.arguments },
        })
    }

    fn stream(&self, turn: &Turn, include_usage: bool) -> Script {
        let include_usage = include_usage && self.usage.is_some();
        let mut stream = EventStream::begin(self.context);
        let null_usage = include_usage.then_some(None);
        let role = || Delta {
            role: Some("assistant"),
            content: turn.calls.is_empty().then_some(""),
            ..Delta::default()
        };
        for index in 0..self.choices {
            stream.event(None, &self.chunk(&[choice(index, role(), None)], null_usage));
        }
        self.deltas(turn, |index, delta| {
            stream.content(None, &self.chunk(&[choice(index, delta, None)], null_usage));
        });
        stream.gap();
        for index in 0..self.choices {
            let last = choice(index, Delta::default(), Some(finish_reason(turn)));
            stream.event(None, &self.chunk(&[last], null_usage));
        }
        if include_usage {
            stream.event(None, &self.chunk(&[], Some(self.usage)));
        }
        stream.done();
        stream.finish()
    }

    /// Reasoning, then tool calls or text, each delta for every choice in turn.
    fn deltas<'t>(&self, turn: &'t Turn, mut send: impl FnMut(usize, Delta<'t>)) {
        for piece in turn.reasoning.iter().flat_map(|text| text.split_inclusive(' ')) {
            for index in 0..self.choices {
                send(index, Delta { reasoning_content: Some(piece), ..Delta::default() });
            }
        }
        if turn.calls.is_empty() {
            for piece in turn.pieces() {
                for index in 0..self.choices {
                    send(index, Delta { content: Some(piece), ..Delta::default() });
                }
            }
            return;
        }
        for index in 0..self.choices {
            for (position, call) in turn.calls.iter().enumerate() {
                let first = self.call(turn, index, position).map(|call| ToolCall {
                    index: Some(position),
                    function: Function { arguments: "", ..call.function },
                    ..call
                });
                send(index, Delta { tool_calls: first.map(|call| [call]), ..Delta::default() });
                for arguments in call.pieces() {
                    let function = Function { name: None, arguments };
                    let piece = ToolCall { index: Some(position), id: None, kind: None, function };
                    send(index, Delta { tool_calls: Some([piece]), ..Delta::default() });
                }
            }
        }
    }

    fn chunk<'b>(&'b self, choices: &'b [ChunkChoice<'b>], usage: Option<Option<Usage>>) -> Chunk<'b> {
        Chunk {
            id: &self.id,
            object: "chat.completion.chunk",
            created: self.context.created,
            model: self.model,
            service_tier: "default",
            system_fingerprint: FINGERPRINT,
            choices,
            usage,
        }
    }
}

fn push_json(out: &mut Vec<u8>, value: &impl Serialize) {
    // Strings and numbers written to a Vec cannot fail.
    let _ = serde_json::to_writer(out, value);
}

/// `prefix` and the answer's number in 29 digits, as long as the real ids.
pub(super) fn answer_id(prefix: &str, number: u64) -> String {
    let mut id = Vec::with_capacity(48);
    id.extend_from_slice(prefix.as_bytes());
    push_hexadecimal(&mut id, number, 29);
    String::from_utf8(id).unwrap_or_default()
}

fn choice<'a>(index: usize, delta: Delta<'a>, finish_reason: Option<&'static str>) -> ChunkChoice<'a> {
    ChunkChoice { index, delta, logprobs: None, finish_reason }
}

fn finish_reason(turn: &Turn) -> &'static str {
    match turn.text.finish {
        _ if !turn.calls.is_empty() => "tool_calls",
        Finish::Length => "length",
        Finish::Stop | Finish::StopSequence(_) => "stop",
    }
}
