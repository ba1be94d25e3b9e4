//! A streamed answer, event by event.

use domain::Usage;

use super::Finish;

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
