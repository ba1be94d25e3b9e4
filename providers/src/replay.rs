//! An answer that was kept, given again: as it was kept, or as the other of the two modes. Owns how a stream becomes a
//! whole answer and a whole answer a stream, within one format; knows nothing of where it was kept.

use bytes::{Bytes, BytesMut};
use domain::{Price, Usage};

use crate::answer_context::AnswerContext;
use crate::canonical::{ChatAnswer, Choice, Finish, Part, StreamEvent};
use crate::formats::{self, StreamDecoder, StreamEncoder};
use crate::sse::Blocks;
use crate::{MalformedAnswer, Operation, StreamFault, WireFormat};

/// A hit costs nothing.
const FREE: Price = Price { input: 0, output: 0, cached_input: None, cache_write: None, reasoning: None };

/// What is kept.
#[derive(Clone, Copy, Debug)]
pub struct KeptAnswer<'a> {
    /// What it answers.
    pub operation: Operation,
    /// Events of a stream, or the parts of one body.
    pub pieces: &'a [Bytes],
    /// Which of the two.
    pub is_stream: bool,
    /// The stream has the chunk that tells what was used.
    pub has_usage: bool,
    /// What was used.
    pub usage: Usage,
}

/// What a client wants to get.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// A stream.
    pub stream: bool,
    /// In it the chunk that tells what was used; OpenAI's formats only.
    pub include_usage: bool,
    /// The request's body, parts of which an answer may repeat.
    pub body: &'a [u8],
}

/// Can an answer to this be given in the mode that it was not kept in?
pub fn has_both_modes(operation: Operation) -> bool {
    matches!(operation, Operation::ChatCompletions | Operation::Messages | Operation::Responses)
}

impl KeptAnswer<'_> {
    /// The pieces for a client; those that were kept where they serve.
    ///
    /// # Errors
    /// When what is kept cannot be read, or has no other mode.
    pub fn replay(&self, wanted: &Wanted<'_>) -> Result<Vec<Bytes>, MalformedAnswer> {
        let format = self.operation.wire_format();
        match (self.is_stream, wanted.stream) {
            (false, false) => Ok(self.pieces.to_vec()),
            (true, true) => {
                let tells_usage = format == WireFormat::OpenAi && has_both_modes(self.operation);
                // A chunk that is there tells a cost that is not ours to pay again.
                if !tells_usage || (!self.has_usage && !wanted.include_usage) {
                    return Ok(self.pieces.to_vec());
                }
                self.streamed_again(wanted.include_usage)
            }
            _ if !has_both_modes(self.operation) => {
                Err("the answer was kept in another mode".to_owned().into())
            }
            (true, false) => {
                let answer = self.folded()?;
                let context = context(format, wanted.body)?;
                Ok(vec![Bytes::from(formats::encode_answer(format, &answer, &context)?)])
            }
            (false, true) => self.unfolded(wanted),
        }
    }

    /// What it says, when that is text and nothing else.
    pub fn text(&self) -> Option<String> {
        let answer = if self.is_stream {
            self.folded().ok()?
        } else {
            let body = self.pieces.concat();
            formats::decode_answer(self.operation.wire_format(), std::str::from_utf8(&body).ok()?).ok()?
        };
        let [choice] = answer.choices.as_slice() else { return None };
        let mut all = String::new();
        for part in &choice.parts {
            match part {
                Part::Text { text, .. } => all.push_str(text),
                Part::Reasoning { .. } | Part::SealedReasoning(_) => {}
                _ => return None,
            }
        }
        Some(all)
    }

    /// OpenAI's stream, chunk by chunk, with or without the last one that tells what was used.
    fn streamed_again(&self, include_usage: bool) -> Result<Vec<Bytes>, MalformedAnswer> {
        if self.has_usage {
            let mut stream =
                crate::AnswerStream::new(self.operation, WireFormat::OpenAi, include_usage, Some(FREE));
            let mut out = Vec::with_capacity(self.pieces.len());
            for piece in self.pieces {
                out.extend(stream.feed(piece.clone()).map_err(|fault| unreadable(&fault))?);
            }
            out.extend(stream.finish().map_err(|fault| unreadable(&fault))?);
            return Ok(out);
        }
        let mut encoder = StreamEncoder::new(WireFormat::OpenAi, true, Some(FREE));
        let mut out = Vec::with_capacity(self.pieces.len());
        self.steps(|steps| {
            let mut bytes = BytesMut::new();
            for step in steps.drain(..) {
                if step == StreamEvent::Done {
                    encoder.encode(StreamEvent::Usage(self.usage), &mut bytes);
                }
                encoder.encode(step, &mut bytes);
            }
            out.push(bytes.freeze());
        })?;
        out.retain(|piece| !piece.is_empty());
        Ok(out)
    }

    /// Calls `take` with the steps of each piece.
    fn steps(&self, mut take: impl FnMut(&mut Vec<StreamEvent>)) -> Result<(), MalformedAnswer> {
        let mut decoder = StreamDecoder::new(self.operation.wire_format());
        let (mut joined, mut steps) = (Vec::new(), Vec::new());
        for piece in self.pieces {
            let mut blocks = Blocks::new(piece);
            while let Some(block) = blocks.next(&mut joined) {
                let Some(data) = block.data else { continue };
                let data =
                    std::str::from_utf8(data).map_err(|error| format!("an event is not UTF-8: {error}"))?;
                decoder.decode(data, &mut steps).map_err(|fault| unreadable(&fault))?;
            }
            take(&mut steps);
            steps.clear();
        }
        Ok(())
    }

    fn folded(&self) -> Result<ChatAnswer, MalformedAnswer> {
        let mut fold = Fold::new(self.usage);
        self.steps(|steps| steps.drain(..).for_each(|step| fold.take(step)))?;
        Ok(fold.answer)
    }

    fn unfolded(&self, wanted: &Wanted<'_>) -> Result<Vec<Bytes>, MalformedAnswer> {
        let format = self.operation.wire_format();
        let body = self.pieces.concat();
        let text = std::str::from_utf8(&body).map_err(|error| format!("the answer is not UTF-8: {error}"))?;
        let answer = formats::decode_answer(format, text)?;
        let mut encoder = StreamEncoder::new(format, wanted.include_usage, Some(FREE));
        encoder.set_context(&context(format, wanted.body)?);
        let mut out = Vec::new();
        for step in steps_of(answer) {
            let mut bytes = BytesMut::new();
            encoder.encode(step, &mut bytes);
            if !bytes.is_empty() {
                out.push(bytes.freeze());
            }
        }
        Ok(out)
    }
}

fn unreadable(fault: &StreamFault) -> MalformedAnswer {
    MalformedAnswer { reason: fault.to_string() }
}

/// What an answer repeats of its request. Only Responses does.
fn context(format: WireFormat, body: &[u8]) -> Result<AnswerContext, MalformedAnswer> {
    if format != WireFormat::Responses {
        return Ok(AnswerContext::default());
    }
    formats::decode_request(format, body)
        .map(|(_, context)| context)
        .map_err(|error| MalformedAnswer { reason: error.message })
}

fn steps_of(answer: ChatAnswer) -> Vec<StreamEvent> {
    let ChatAnswer { id, model, choices, usage } = answer;
    let mut steps = vec![StreamEvent::Start { id, model }];
    for (index, choice) in (0_u32..).zip(choices) {
        if index > 0 {
            steps.push(StreamEvent::Choice(index));
        }
        for part in choice.parts {
            match part {
                Part::Text { text, .. } => steps.push(StreamEvent::Text(text)),
                Part::Reasoning { text, signature } => {
                    if !text.is_empty() {
                        steps.push(StreamEvent::Reasoning(text));
                    }
                    steps.extend(signature.map(StreamEvent::Signature));
                }
                Part::SealedReasoning(signature) => steps.push(StreamEvent::SealedReasoning(signature)),
                Part::ToolCall { id, name, arguments } => {
                    steps.push(StreamEvent::ToolCall { id, name });
                    steps.push(StreamEvent::Arguments(arguments));
                }
                // No model answers with these.
                Part::Image(_) | Part::Document { .. } | Part::ToolResult { .. } | Part::CachePoint(_) => {}
            }
        }
        steps.extend(choice.logprobs.map(StreamEvent::Logprobs));
        steps.push(StreamEvent::Finish { finish: choice.finish, stop_sequence: choice.stop_sequence });
    }
    steps.extend([StreamEvent::Usage(usage), StreamEvent::Done]);
    steps
}

/// Puts the steps of a stream together again.
struct Fold {
    answer: ChatAnswer,
    current: usize,
}

impl Fold {
    fn new(usage: Usage) -> Self {
        let answer = ChatAnswer { id: String::new(), model: String::new(), choices: vec![choice()], usage };
        Self { answer, current: 0 }
    }

    fn take(&mut self, step: StreamEvent) {
        match step {
            StreamEvent::Start { id, model } => (self.answer.id, self.answer.model) = (id, model),
            StreamEvent::Choice(index) => {
                self.current = index as usize;
                // The number of a choice is the provider's; nobody asks for more than these.
                while self.answer.choices.len() <= self.current.min(127) {
                    self.answer.choices.push(choice());
                }
            }
            StreamEvent::Usage(usage) => self.answer.usage = usage,
            StreamEvent::Done => {}
            step => {
                if let Some(choice) = self.answer.choices.get_mut(self.current) {
                    put(choice, step);
                }
            }
        }
    }
}

fn choice() -> Choice {
    Choice { parts: Vec::new(), finish: Finish::Stop, stop_sequence: None, logprobs: None }
}

fn put(choice: &mut Choice, step: StreamEvent) {
    let parts = &mut choice.parts;
    match (step, parts.last_mut()) {
        (StreamEvent::Text(more), Some(Part::Text { text, .. })) => text.push_str(&more),
        (StreamEvent::Text(text), _) => parts.push(Part::text(text)),
        (StreamEvent::Reasoning(more), Some(Part::Reasoning { text, signature: None })) => {
            text.push_str(&more);
        }
        (StreamEvent::Reasoning(text), _) => parts.push(Part::Reasoning { text, signature: None }),
        (StreamEvent::Signature(made), Some(Part::Reasoning { signature: signature @ None, .. })) => {
            *signature = Some(made);
        }
        (StreamEvent::Signature(made), _) => {
            parts.push(Part::Reasoning { text: String::new(), signature: Some(made) });
        }
        (StreamEvent::SealedReasoning(sealed), _) => parts.push(Part::SealedReasoning(sealed)),
        (StreamEvent::ToolCall { id, name }, _) => {
            parts.push(Part::ToolCall { id, name, arguments: String::new() });
        }
        (StreamEvent::Arguments(more), Some(Part::ToolCall { arguments, .. })) => arguments.push_str(&more),
        (StreamEvent::Logprobs(more), _) => choice.logprobs.get_or_insert_default().extend(more),
        (StreamEvent::Finish { finish, stop_sequence }, _) => {
            (choice.finish, choice.stop_sequence) = (finish, stop_sequence);
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    const USAGE: Usage = Usage { prompt: 7, completion: 3, cached: 0, cache_write: 0, reasoning: 0 };
    const REQUESTS: [(Operation, &str); 3] = [
        (Operation::ChatCompletions, r#"{"model":"m","messages":[{"role":"user","content":"hi"}]}"#),
        (Operation::Messages, r#"{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"hi"}]}"#),
        (Operation::Responses, r#"{"model":"m","input":"hi"}"#),
    ];

    fn whole(operation: Operation) -> Bytes {
        let parts = vec![
            Part::text("Hello, world"),
            Part::ToolCall { id: "call_1".into(), name: "look".into(), arguments: r#"{"at":1}"#.into() },
        ];
        let choices = vec![Choice { parts, finish: Finish::ToolCalls, ..choice() }];
        let answer = ChatAnswer { id: "an-id".into(), model: "m".into(), choices, usage: USAGE };
        let context = context(operation.wire_format(), br#"{"model":"m","input":"hi"}"#).unwrap();
        Bytes::from(formats::encode_answer(operation.wire_format(), &answer, &context).unwrap())
    }

    fn kept(operation: Operation, pieces: &[Bytes], is_stream: bool) -> KeptAnswer<'_> {
        KeptAnswer { operation, pieces, is_stream, has_usage: false, usage: USAGE }
    }

    #[test]
    fn a_whole_answer_becomes_a_stream_and_the_same_answer_again() {
        for (operation, body) in REQUESTS {
            let whole = whole(operation);
            let wanted = |stream| Wanted { stream, include_usage: false, body: body.as_bytes() };
            let stream = kept(operation, std::slice::from_ref(&whole), false).replay(&wanted(true)).unwrap();
            assert!(stream.len() > 3, "{operation:?}");
            let again = kept(operation, &stream, true).replay(&wanted(false)).unwrap().concat();
            let format = operation.wire_format();
            let read =
                |bytes: &[u8]| formats::decode_answer(format, std::str::from_utf8(bytes).unwrap()).unwrap();
            assert_eq!(read(&again), read(&whole), "{operation:?}");
            // As it was kept it comes out byte for byte.
            let same = kept(operation, std::slice::from_ref(&whole), false).replay(&wanted(false)).unwrap();
            assert_eq!(same.concat(), whole);
            assert_eq!(kept(operation, &stream, true).replay(&wanted(true)).unwrap(), stream);
        }
    }

    #[test]
    fn the_usage_chunk_is_there_for_whom_it_was_asked_and_costs_nothing() {
        let (operation, body) = REQUESTS[0];
        let wanted = |include_usage| Wanted { stream: true, include_usage, body: body.as_bytes() };
        let whole = [whole(operation)];
        let without = kept(operation, &whole, false).replay(&wanted(false)).unwrap();
        let with = kept(operation, &whole, false).replay(&wanted(true)).unwrap();
        let usage = |pieces: &[Bytes]| -> Option<Value> {
            let text = String::from_utf8(pieces.concat()).unwrap();
            assert!(text.ends_with("data: [DONE]\n\n"), "{text}");
            let chunks = text
                .lines()
                .filter_map(|line| serde_json::from_str::<Value>(line.strip_prefix("data: ")?).ok());
            chunks
                .filter_map(|chunk| chunk.get("usage").filter(|usage| usage.is_object()).cloned())
                .next_back()
        };
        assert_eq!(usage(&without), None);
        for (pieces, has_usage) in [(&without, false), (&with, true)] {
            let kept = KeptAnswer { has_usage, ..kept(operation, pieces, true) };
            assert_eq!(usage(&kept.replay(&wanted(false)).unwrap()), None);
            let told = usage(&kept.replay(&wanted(true)).unwrap()).unwrap();
            assert_eq!(
                (told["prompt_tokens"].as_u64(), told["completion_tokens"].as_u64()),
                (Some(7), Some(3))
            );
            assert_eq!(told["cost"].as_f64(), Some(0.0), "{told}");
        }
    }

    #[test]
    fn an_operation_without_a_second_mode_says_so() {
        let wanted = Wanted { stream: true, include_usage: false, body: b"{}" };
        assert!(kept(Operation::Embeddings, &[Bytes::from_static(b"{}")], false).replay(&wanted).is_err());
    }
}
