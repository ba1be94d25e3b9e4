//! The answers of a provider in good health, compiled to scripts.
//!
//! Owns the routes and the order of checks (credential, JSON, fields, behaviour), which is that of the
//! real providers. It must not touch sockets.

mod chat;
mod completions;
mod conversation;
mod embeddings;
mod messages;
mod models;
mod refusal;
mod tool;
mod turn;
mod words;

pub(crate) use refusal::Refusal;

use crate::behaviour::Fault;
use crate::control;
use crate::head::HeadError;
use crate::request::{Context, Format, Request, check_credential};
use crate::script::{Script, Whole};
use crate::state::State;

/// A whole answer, or a stream that is a script already.
pub(crate) enum Reply {
    Whole(Whole),
    Stream(Script),
}

/// Answers one request; `out` is an empty buffer to reuse.
pub(crate) fn compile(state: &State, request: &Request<'_>, out: Vec<u8>) -> Script {
    let mut context = Context::new(state, request, format_of(request));
    let reply = if request.is_control() {
        control::answer(&context, request).map(Reply::Whole)
    } else {
        route(&mut context, request)
    };
    let whole = match reply {
        Ok(Reply::Stream(script)) => return script,
        Ok(Reply::Whole(_)) if context.behaviour.fault == Some(Fault::ErrorEvent) => {
            // Some aggregators report a failed upstream this way: status 200, an error inside.
            Whole::json(200, Refusal::wished(502, "", None).envelope(&context))
        }
        Ok(Reply::Whole(whole)) => whole,
        Err(refusal) => refusal.whole(&context),
    };
    Script::whole(&context, whole, out)
}

/// The answer to a head that cannot be served; the connection ends with it.
pub(crate) fn refuse_head(state: &State, error: HeadError) -> Script {
    let request = Request {
        method: "",
        path: "",
        mock: None,
        credential: None,
        anthropic_version: false,
        keep_alive: false,
        http_10: false,
        body: &[],
    };
    let context = Context::new(state, &request, Format::OpenAi);
    let (status, message) = match error {
        HeadError::Malformed => (400, "the request is not HTTP/1.1, or its length is stated twice"),
        HeadError::TooLarge => (431, "the request's headers are above 64 KiB or 128 lines"),
        HeadError::BodyTooLarge => (413, "the request's body is above 64 MiB"),
    };
    Script::whole(&context, Refusal::new(status, message).whole(&context), Vec::new())
}

fn format_of(request: &Request<'_>) -> Format {
    let path = request.path;
    if path.ends_with("/messages") || path.ends_with("/messages/count_tokens") || request.anthropic_version {
        Format::Anthropic
    } else {
        Format::OpenAi
    }
}

fn route(context: &mut Context<'_>, request: &Request<'_>) -> Result<Reply, Refusal> {
    if let Some(expected) = &context.state.options.credential {
        check_credential(request, expected)?;
    }
    let path = request.path;
    if let Some(model) = models::asked(path) {
        expect_method(request, "GET")?;
        context.choose(request, model.unwrap_or(""))?;
        return Ok(Reply::Whole(models::answer(context, model)));
    }
    // Chat first: it is the path that is measured.
    let answer = if path.ends_with("/chat/completions") {
        chat::answer
    } else if path.ends_with("/completions") {
        completions::answer
    } else if path.ends_with("/messages") {
        messages::answer
    } else if path.ends_with("/embeddings") {
        embeddings::answer
    } else if path.ends_with("/messages/count_tokens") {
        messages::count_tokens
    } else {
        return Err(Refusal::unknown_path(request.method, path));
    };
    expect_method(request, "POST")?;
    answer(context, request)
}

fn expect_method(request: &Request<'_>, method: &str) -> Result<(), Refusal> {
    if request.method == method {
        return Ok(());
    }
    Err(Refusal::new(405, &format!("Not allowed to {} on {}", request.method, request.path)))
}

/// The model in the body, or the deployment in the path as Azure has it.
fn model_of<'a>(request: &Request<'a>, in_body: Option<&'a str>) -> Result<&'a str, Refusal> {
    let in_path = || request.path.split_once("/deployments/").and_then(|(_, rest)| rest.split('/').next());
    in_body.filter(|model| !model.is_empty()).or_else(in_path).ok_or_else(|| Refusal::missing("model"))
}

fn parse<'a, T: serde::Deserialize<'a>>(body: &'a [u8]) -> Result<T, Refusal> {
    serde_json::from_slice(body).map_err(|error| Refusal::malformed(&error))
}

/// Tokens as the mock counts prompts: four characters each, rounded up.
fn prompt_tokens(chars: u64) -> u64 {
    chars.div_ceil(4)
}
