//! Where the second answer meets the first.

use domain::Usage;

use super::Way;
use crate::canonical::StreamEvent;
use crate::{StreamFault, WireFormat};

/// Lets through what the client does not have yet.
#[derive(Debug)]
pub(crate) struct Splice {
    /// What the new answer still has to repeat.
    expected: String,
    /// The repetition is proof (else it may be missing).
    is_proof: bool,
    /// Tokens of the prompt that are answer to the client.
    tokens: u64,
    client: WireFormat,
    /// Told once, in front of the first event.
    note: Option<String>,
}

impl Splice {
    pub(crate) fn new(text: &str, way: Way, client: WireFormat, note: &str) -> Self {
        let (expected, is_proof, tokens) = match way {
            Way::Regenerate => (text, true, 0),
            // A prefill has to end without white space; a model may or may not begin with what was cut off.
            Way::Prefill { tokens } => (text.get(text.trim_end().len()..).unwrap_or_default(), false, tokens),
        };
        Self { expected: expected.to_owned(), is_proof, tokens, client, note: Some(note.to_owned()) }
    }

    /// The step as the client gets it, if it does.
    ///
    /// # Errors
    /// [`StreamFault::Diverged`] when the new answer is another one.
    pub(crate) fn take(&mut self, step: StreamEvent) -> Result<Option<StreamEvent>, StreamFault> {
        let step = match step {
            StreamEvent::Text(text) => return self.text(text),
            // OpenAI's chunks name the model; the other formats have named theirs in the first event.
            StreamEvent::Start { id, model } if self.client == WireFormat::OpenAi => {
                Some(StreamEvent::Start { id, model })
            }
            // The client has thoughts of the first attempt. Half of them twice would help nobody.
            StreamEvent::Start { .. }
            | StreamEvent::Reasoning(_)
            | StreamEvent::Signature(_)
            | StreamEvent::SealedReasoning(_)
            | StreamEvent::Logprobs(_) => None,
            StreamEvent::Usage(usage) => Some(StreamEvent::Usage(self.usage(usage))),
            StreamEvent::ToolCall { .. } | StreamEvent::Finish { .. }
                if self.is_proof && !self.expected.is_empty() =>
            {
                return Err(StreamFault::Diverged);
            }
            other => Some(other),
        };
        Ok(step)
    }

    fn text(&mut self, text: String) -> Result<Option<StreamEvent>, StreamFault> {
        if self.expected.is_empty() {
            return Ok(Some(StreamEvent::Text(text)));
        }
        if let Some(rest) = self.expected.strip_prefix(text.as_str()) {
            self.expected = rest.to_owned();
            return Ok(None);
        }
        let expected = std::mem::take(&mut self.expected);
        match text.strip_prefix(expected.as_str()) {
            Some(new) => Ok(Some(StreamEvent::Text(new.to_owned()))),
            None if self.is_proof => Err(StreamFault::Diverged),
            None => Ok(Some(StreamEvent::Text(text))),
        }
    }

    fn usage(&self, usage: Usage) -> Usage {
        Usage {
            prompt: usage.prompt.saturating_sub(self.tokens),
            completion: usage.completion.saturating_add(self.tokens),
            ..usage
        }
    }

    /// The comment in front of the first event.
    pub(crate) fn note(&mut self) -> Option<String> {
        self.note.take().map(|note| format!(": {note}\n"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(way: Way, sent: &str, pieces: &[&str]) -> Result<String, StreamFault> {
        let mut splice = Splice::new(sent, way, WireFormat::Anthropic, "");
        let mut out = String::new();
        for piece in pieces {
            if let Some(StreamEvent::Text(text)) = splice.take(StreamEvent::Text((*piece).to_owned()))? {
                out.push_str(&text);
            }
        }
        Ok(out)
    }

    #[test]
    fn a_repeated_answer_goes_on_where_the_first_ended() {
        let texts = |pieces| texts(Way::Regenerate, "one two ", pieces);
        assert_eq!(texts(&["one", " two ", "three"]), Ok("three".to_owned()));
        assert_eq!(texts(&["one two th", "ree"]), Ok("three".to_owned()));
        assert_eq!(texts(&["one", " too"]), Err(StreamFault::Diverged));
        assert_eq!(texts(&["one two, "]), Err(StreamFault::Diverged));
    }

    #[test]
    fn white_space_behind_a_prefill_comes_once() {
        let texts = |pieces| texts(Way::Prefill { tokens: 3 }, "one two ", pieces);
        assert_eq!(texts(&[" three"]), Ok("three".to_owned()));
        assert_eq!(texts(&["three"]), Ok("three".to_owned()));
    }

    #[test]
    fn an_answer_that_ends_before_it_has_repeated_the_first_is_another() {
        let mut splice = Splice::new("one", Way::Regenerate, WireFormat::OpenAi, "");
        let finish = StreamEvent::Finish { finish: crate::canonical::Finish::Stop, stop_sequence: None };
        assert_eq!(splice.take(finish), Err(StreamFault::Diverged));
    }

    #[test]
    fn a_prefill_is_answer_to_the_client() {
        let mut splice = Splice::new("x", Way::Prefill { tokens: 5 }, WireFormat::OpenAi, "");
        let usage = Usage { prompt: 25, completion: 7, ..Usage::default() };
        let Ok(Some(StreamEvent::Usage(usage))) = splice.take(StreamEvent::Usage(usage)) else { panic!() };
        assert_eq!((usage.prompt, usage.completion), (20, 12));
    }
}
