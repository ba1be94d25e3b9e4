//! `POST …/completions`, the legacy text completions.
//!
//! Source: <https://platform.openai.com/docs/api-reference/completions>.

use serde::{Deserialize, Serialize};

use super::chat::{StreamOptions, Usage};
use super::conversation::Conversation;
use super::turn::{Stops, Turn, Wanted};
use super::words::Finish;
use super::{Refusal, Reply, model_of, parse, prompt_tokens};
use crate::event_stream::EventStream;
use crate::request::{Context, Request};
use crate::script::{Script, Whole};

#[derive(Deserialize)]
struct CompletionRequest {
    model: Option<String>,
    prompt: Option<Prompt>,
    stream: Option<bool>,
    stream_options: Option<StreamOptions>,
    max_tokens: Option<u64>,
    stop: Option<Stops>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Prompt {
    One(String),
    /// One choice each.
    Several(Vec<String>),
}

#[derive(Serialize)]
struct Completion<'a> {
    id: &'a str,
    object: &'static str,
    created: u64,
    model: &'a str,
    choices: &'a [Choice<'a>],
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<Option<Usage>>,
}

#[derive(Serialize)]
struct Choice<'a> {
    text: &'a str,
    index: usize,
    logprobs: Option<()>,
    finish_reason: Option<&'static str>,
}

/// Answers one completion request.
pub(super) fn answer(context: &mut Context<'_>, request: &Request<'_>) -> Result<Reply, Refusal> {
    let wire: CompletionRequest = parse(request.body)?;
    let model = model_of(request, wire.model.as_deref())?.to_owned();
    let prompts = match wire.prompt.ok_or_else(|| Refusal::missing("prompt"))? {
        Prompt::One(prompt) => vec![prompt],
        Prompt::Several(prompts) => prompts,
    };
    context.choose(request, &model)?;
    let context = &*context;
    let stream = wire.stream.unwrap_or(false);
    let stops = Stops::list(wire.stop);
    let turn = |prompt: &String| {
        let conversation = Conversation { last_user: prompt.as_str().into(), ..Conversation::default() };
        let wanted = Wanted {
            conversation: &conversation,
            tools: None,
            tool_choice: None,
            limit: wire.max_tokens,
            stops: &stops,
            stream,
        };
        Turn::new(context, &wanted)
    };
    let turns = prompts.iter().map(turn).collect::<Result<Vec<_>, _>>()?;
    let chars: usize = prompts.iter().map(|prompt| prompt.chars().count()).sum();
    let completion = turns.iter().map(|turn| turn.text.words).sum();
    let usage = Usage::new(context, prompt_tokens(chars as u64), completion, 0);
    let dress = Dress { context, model: &model, id: format!("cmpl-{:029x}", context.id), usage };
    if stream {
        let include_usage = wire.stream_options.and_then(|options| options.include_usage).unwrap_or(false);
        return Ok(Reply::Stream(dress.stream(&turns, include_usage && usage.is_some())));
    }
    Ok(Reply::Whole(Whole::json(context.behaviour.status.unwrap_or(200), dress.whole(&turns))))
}

struct Dress<'a> {
    context: &'a Context<'a>,
    model: &'a str,
    id: String,
    usage: Option<Usage>,
}

impl Dress<'_> {
    fn part<'b>(&'b self, choices: &'b [Choice<'b>], usage: Option<Option<Usage>>) -> Completion<'b> {
        Completion {
            id: &self.id,
            object: "text_completion",
            created: self.context.created,
            model: self.model,
            choices,
            usage,
        }
    }

    fn whole(&self, turns: &[Turn]) -> Vec<u8> {
        let choice = |(index, turn)| choice(index, text(turn), Some(finish_reason(turn)));
        let choices: Vec<_> = turns.iter().enumerate().map(choice).collect();
        // Strings and numbers cannot fail.
        serde_json::to_vec(&self.part(&choices, self.usage.map(Some))).unwrap_or_default()
    }

    fn stream(&self, turns: &[Turn], include_usage: bool) -> Script {
        let null_usage = include_usage.then_some(None);
        let mut stream = EventStream::begin(self.context);
        for (index, turn) in turns.iter().enumerate() {
            for piece in turn.pieces() {
                stream.content(None, &self.part(&[choice(index, piece, None)], null_usage));
            }
            stream.gap();
            let last = choice(index, "", Some(finish_reason(turn)));
            stream.event(None, &self.part(&[last], null_usage));
        }
        if include_usage {
            stream.event(None, &self.part(&[], Some(self.usage)));
        }
        stream.done();
        stream.finish()
    }
}

fn choice<'a>(index: usize, text: &'a str, finish_reason: Option<&'static str>) -> Choice<'a> {
    Choice { text, index, logprobs: None, finish_reason }
}

fn text(turn: &Turn) -> &str {
    &turn.text.text
}

fn finish_reason(turn: &Turn) -> &'static str {
    if turn.text.finish == Finish::Length { "length" } else { "stop" }
}
