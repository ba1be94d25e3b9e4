//! OpenAI's chunks, read as neutral steps.

use serde::Deserialize;
use serde_json::Value;

use super::UsageFields;
use super::content::{Content, read_finish};
use super::decode_answer::{Logprobs, arguments_text};
use super::reasoning_details::{read_call_signature, read_details};
use crate::StreamFault;
use crate::canonical::{Part, StreamEvent};
use crate::provider_error::read_error_value;

/// OpenAI's own limit for `n`; more in an answer is no answer.
const MOST_CHOICES: usize = 128;

/// The state between two chunks.
#[derive(Debug, Default)]
pub(crate) struct StreamDecoder {
    started: bool,
    /// The choice that the last step belonged to.
    current: usize,
    choices: Vec<ChoiceState>,
}

/// The state of one of several answers.
#[derive(Debug, Default)]
struct ChoiceState {
    finished: bool,
    calls: Vec<CallKey>,
    /// Text or reasoning came after the last call began: that call has ended.
    interrupted: bool,
    /// Reasoning came as plain text; the details then only say it again, as OpenRouter does.
    told: bool,
}

/// How a provider marks the deltas of one call.
#[derive(Debug, PartialEq, Eq)]
struct CallKey {
    index: Option<u64>,
    id: Option<String>,
}

#[derive(Deserialize)]
struct Chunk {
    id: Option<String>,
    model: Option<String>,
    choices: Option<Vec<Choice>>,
    usage: Option<UsageFields>,
    error: Option<Value>,
    x_groq: Option<Extension>,
}

/// Groq gives the usage here, and sometimes only here.
#[derive(Deserialize)]
struct Extension {
    usage: Option<UsageFields>,
}

#[derive(Deserialize)]
struct Choice {
    #[serde(default)]
    index: Option<usize>,
    delta: Option<Delta>,
    finish_reason: Option<String>,
    logprobs: Option<Logprobs>,
    // Moonshot puts the usage into the choice.
    usage: Option<UsageFields>,
}

#[derive(Deserialize)]
struct Delta {
    #[serde(default)]
    content: Content,
    refusal: Option<String>,
    reasoning_content: Option<String>,
    reasoning: Option<String>,
    reasoning_details: Option<Vec<Value>>,
    tool_calls: Option<Vec<CallDelta>>,
}

#[derive(Deserialize)]
struct CallDelta {
    index: Option<u64>,
    id: Option<String>,
    function: Option<FunctionDelta>,
    extra_content: Option<Value>,
}

#[derive(Deserialize)]
struct FunctionDelta {
    name: Option<String>,
    arguments: Option<Value>,
}

impl StreamDecoder {
    /// Reads the data of one event.
    ///
    /// # Errors
    /// When it is no chunk, reports an error, or mixes the pieces of two tool calls.
    pub(crate) fn decode(&mut self, data: &str, out: &mut Vec<StreamEvent>) -> Result<(), StreamFault> {
        if data.trim_ascii() == "[DONE]" {
            out.push(StreamEvent::Done);
            return Ok(());
        }
        let chunk: Chunk = serde_json::from_str(data)
            .map_err(|error| StreamFault::Malformed(format!("an event is not a chunk: {error}")))?;
        if let Some(error) = chunk.error.filter(|error| !error.is_null()) {
            return Err(StreamFault::Provider(read_error_value(&error)));
        }
        let choices = chunk.choices.unwrap_or_default();
        if !self.started && !choices.is_empty() {
            self.started = true;
            let (id, model) = (chunk.id.unwrap_or_default(), chunk.model.unwrap_or_default());
            out.push(StreamEvent::Start { id, model });
        }
        let mut usage = chunk.usage.or(chunk.x_groq.and_then(|extension| extension.usage));
        for mut choice in choices {
            usage = usage.or(choice.usage.take());
            self.decode_choice(choice, out)?;
        }
        out.extend(usage.map(|fields| StreamEvent::Usage(fields.usage())));
        Ok(())
    }

    fn decode_choice(&mut self, choice: Choice, out: &mut Vec<StreamEvent>) -> Result<(), StreamFault> {
        let index = choice.index.unwrap_or(0);
        if index >= MOST_CHOICES {
            return Err(StreamFault::Malformed(format!("there is no choice {index}")));
        }
        if index >= self.choices.len() {
            self.choices.resize_with(index + 1, ChoiceState::default);
        }
        let Some(state) = self.choices.get_mut(index) else { return Ok(()) };
        if index != self.current {
            self.current = index;
            out.extend(u32::try_from(index).map(StreamEvent::Choice));
        }
        if let Some(delta) = choice.delta {
            state.decode_delta(delta, out)?;
        }
        let logprobs = choice.logprobs.and_then(|logprobs| logprobs.content);
        out.extend(logprobs.filter(|tokens| !tokens.is_empty()).map(StreamEvent::Logprobs));
        if let Some(reason) = choice.finish_reason.filter(|reason| !reason.is_empty() && !state.finished) {
            state.finished = true;
            out.push(StreamEvent::Finish { finish: read_finish(&reason), stop_sequence: None });
        }
        Ok(())
    }
}

impl ChoiceState {
    fn decode_delta(&mut self, delta: Delta, out: &mut Vec<StreamEvent>) -> Result<(), StreamFault> {
        let before = out.len();
        let told = delta.reasoning_content.or(delta.reasoning).filter(|text| !text.is_empty());
        self.told |= told.is_some();
        let reasoning = delta.content.reasoning.into_iter().chain(told);
        out.extend(reasoning.filter(|text| !text.is_empty()).map(StreamEvent::Reasoning));
        for part in read_details(&delta.reasoning_details.unwrap_or_default()) {
            match part {
                Part::Reasoning { text, signature } => {
                    if !self.told && !text.is_empty() {
                        out.push(StreamEvent::Reasoning(text));
                    }
                    out.extend(signature.map(StreamEvent::Signature));
                }
                Part::SealedReasoning(sealed) => out.push(StreamEvent::SealedReasoning(sealed)),
                _ => {}
            }
        }
        let text = delta.content.text.into_iter().chain(delta.refusal);
        out.extend(text.filter(|text| !text.is_empty()).map(StreamEvent::Text));
        self.interrupted |= out.len() > before;
        for call in delta.tool_calls.unwrap_or_default() {
            self.decode_call(call, out)?;
        }
        Ok(())
    }

    fn decode_call(&mut self, call: CallDelta, out: &mut Vec<StreamEvent>) -> Result<(), StreamFault> {
        let id = call.id.filter(|id| !id.is_empty());
        let (name, arguments) =
            call.function.map_or((None, None), |function| (function.name, function.arguments));
        if !self.calls.last().is_some_and(|current| current.continues(call.index, id.as_deref())) {
            if self.calls.iter().any(|earlier| earlier.continues(call.index, id.as_deref())) {
                return Err(mixed());
            }
            let name = name
                .filter(|name| !name.is_empty())
                .ok_or_else(|| StreamFault::Malformed("a tool call begins without a name".to_owned()))?;
            let shown = id.clone().unwrap_or_else(|| format!("call_{}", self.calls.len()));
            self.calls.push(CallKey { index: call.index, id });
            self.interrupted = false;
            out.extend(read_call_signature(call.extra_content.as_ref(), None).map(StreamEvent::Signature));
            out.push(StreamEvent::ToolCall { id: shown, name });
        }
        let arguments = arguments_text(arguments);
        if !arguments.is_empty() {
            if self.interrupted {
                return Err(mixed());
            }
            out.push(StreamEvent::Arguments(arguments));
        }
        Ok(())
    }
}

fn mixed() -> StreamFault {
    StreamFault::Malformed("the pieces of a tool call are mixed with something else".to_owned())
}

impl CallKey {
    /// A delta marked so belongs to this call. Some providers give no index, some give every call the
    /// index 0 and a new id, most give the id only once.
    fn continues(&self, index: Option<u64>, id: Option<&str>) -> bool {
        let same_index = index.is_none() || self.index.is_none() || index == self.index;
        let same_id = id.is_none() || self.id.is_none() || id == self.id.as_deref();
        same_index && same_id
    }
}
