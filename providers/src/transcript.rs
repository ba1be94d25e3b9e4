//! What of a streamed answer has gone to the client: enough for another attempt to go on behind it.

use crate::canonical::StreamEvent;

/// Longer answers are not kept, so that nobody goes on behind them; in bytes.
const LONGEST_TEXT: usize = 1024 * 1024;

/// The answer so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Transcript {
    /// The text of the only choice.
    pub(crate) text: String,
    /// Something was sent behind which nobody can go on: a tool call, a second choice, too much.
    pub(crate) is_closed: bool,
    /// The data of the first event, which names the answer. Only of a stream that is passed through.
    pub(crate) first: String,
    /// Anthropic's blocks. Only of a stream that is passed through.
    pub(crate) blocks: Blocks,
}

/// How far Anthropic's content blocks have come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Blocks {
    /// Blocks that are complete.
    pub(crate) done: usize,
    /// The kind of the open one.
    pub(crate) open: Option<BlockKind>,
}

/// The blocks that a text can follow or go on with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BlockKind {
    Text,
    /// Its signature is still to come, and only its maker can write that.
    Thinking,
}

impl Transcript {
    pub(crate) fn push(&mut self, text: &str) {
        if self.text.len() + text.len() > LONGEST_TEXT {
            self.is_closed = true;
        } else if !self.is_closed {
            self.text.push_str(text);
        }
    }

    pub(crate) fn name(&mut self, data: &str) {
        if self.first.is_empty() {
            data.clone_into(&mut self.first);
        }
    }

    pub(crate) fn see(&mut self, step: &StreamEvent) {
        match step {
            StreamEvent::Text(text) => self.push(text),
            StreamEvent::ToolCall { .. } | StreamEvent::Logprobs(_) => self.is_closed = true,
            StreamEvent::Choice(index) => self.is_closed |= *index != 0,
            _ => {}
        }
    }
}
