//! A streamed answer, event by event.

use domain::Usage;

use serde_json::Value;

use super::{Finish, Signature};

/// One step of a streamed answer. The steps of one tool call stand together: a format that could mix
/// them has to refuse that, because clients' libraries cannot take it apart.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum StreamEvent {
    Start {
        id: String,
        model: String,
    },
    Text(String),
    Reasoning(String),
    /// Signs the reasoning so far, or when there is none the part that follows.
    Signature(Signature),
    /// A piece of reasoning that only its maker can read.
    SealedReasoning(Signature),
    /// Log probabilities of the text before it, as in OpenAI's `logprobs.content`.
    Logprobs(Vec<Value>),
    /// What follows belongs to this one of several answers; without it, to the first (0).
    Choice(u32),
    /// A tool call begins; the arguments that follow are its.
    ToolCall {
        id: String,
        name: String,
    },
    /// The next piece of the current call's arguments.
    Arguments(String),
    Finish {
        finish: Finish,
        stop_sequence: Option<String>,
    },
    /// The count so far; the last one holds.
    Usage(Usage),
    Done,
}
