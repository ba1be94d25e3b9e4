//! What the assistant says in one turn, before a format dresses it.

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::conversation::Conversation;
use super::tool::{self, Call, Tool};
use super::words::{Bounds, Text};
use super::{Refusal, parse};
use crate::request::Context;

const REASONING: &str = "The user wants these words back, so I repeat them.";

/// One turn: reasoning, then tool calls or text.
pub(super) struct Turn {
    pub(super) reasoning: Option<&'static str>,
    pub(super) calls: Vec<Call>,
    pub(super) text: Text,
    /// Content chunks asked for by the request or the mock's defaults.
    pub(super) chunks: Option<usize>,
}

/// What the request says about its answer, in either format.
pub(super) struct Wanted<'a> {
    pub(super) conversation: &'a Conversation<'a>,
    pub(super) tools: Option<&'a RawValue>,
    pub(super) tool_choice: Option<&'a RawValue>,
    pub(super) limit: Option<u64>,
    pub(super) stops: &'a [String],
    pub(super) stream: bool,
}

/// One stop string or several.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Stops {
    One(String),
    Several(Vec<String>),
}

impl Stops {
    pub(super) fn list(stops: Option<Self>) -> Vec<String> {
        match stops {
            Some(Self::One(stop)) => vec![stop],
            Some(Self::Several(stops)) => stops,
            None => Vec::new(),
        }
    }
}

impl Turn {
    pub(super) fn new(context: &Context<'_>, wanted: &Wanted<'_>) -> Result<Self, Refusal> {
        let behaviour = &context.behaviour;
        let conversation = wanted.conversation;
        let default = context.state.options.chunks.filter(|_| wanted.stream);
        let chunks = behaviour.chunks.or(default);
        let bounds = Bounds {
            chunks,
            limit: wanted.limit,
            stops: wanted.stops,
            prefill: conversation.prefill.as_deref(),
        };
        let text =
            Text::compose(behaviour.say.as_deref().unwrap_or(&conversation.last_user), behaviour, bounds);
        let calls = match wanted.tools {
            Some(tools) if !conversation.ends_with_tool_result => calls(context, wanted, tools)?,
            _ => Vec::new(),
        };
        Ok(Self { reasoning: behaviour.reasoning.then_some(REASONING), calls, text, chunks })
    }

    pub(super) fn pieces(&self) -> Vec<&str> {
        self.text.pieces(self.chunks.filter(|_| self.text.finish == super::words::Finish::Stop))
    }

    pub(super) fn reasoning_tokens(&self) -> u64 {
        self.reasoning.map_or(0, |text| text.split_whitespace().count() as u64)
    }

    /// Reasoning and what follows it.
    pub(super) fn completion_tokens(&self) -> u64 {
        let said =
            if self.calls.is_empty() { self.text.words } else { self.calls.iter().map(Call::words).sum() };
        self.reasoning_tokens() + said
    }
}

fn calls(context: &Context<'_>, wanted: &Wanted<'_>, tools: &RawValue) -> Result<Vec<Call>, Refusal> {
    let tools: Vec<Tool> = parse(tools.get().as_bytes())?;
    let choice: Value = match wanted.tool_choice {
        Some(choice) => parse(choice.get().as_bytes())?,
        None => Value::Null,
    };
    let kind = choice.as_str().or_else(|| choice.get("type")?.as_str());
    if kind == Some("none") {
        return Ok(Vec::new());
    }
    // OpenAI nests the name in `function`, Anthropic does not.
    let chosen = choice.pointer("/function/name").or(choice.get("name")).and_then(Value::as_str);
    let count = context.behaviour.calls.unwrap_or(1);
    Ok(tool::calls(&tools, chosen, count, &wanted.conversation.last_user))
}
