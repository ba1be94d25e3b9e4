//! A streamed answer whose two formats differ: each event is decoded to neutral steps, and each step
//! encoded for the client as it comes.

use bytes::{Bytes, BytesMut};
use domain::Price;

use crate::answer_context::AnswerContext;
use crate::answer_stream::Progress;
use crate::canonical::StreamEvent;
use crate::formats::{StreamDecoder, StreamEncoder};
use crate::resume::Splice;
use crate::sse::Blocks;
use crate::{StreamFault, WireFormat};

/// The state of one stream beyond its [`Progress`].
#[derive(Debug)]
pub(crate) struct Translation {
    decoder: StreamDecoder,
    encoder: StreamEncoder,
    /// This answer goes on with another one.
    splice: Option<Splice>,
    client: WireFormat,
    context: AnswerContext,
    joined: Vec<u8>,
    steps: Vec<StreamEvent>,
}

impl Translation {
    pub(crate) fn new(
        client: WireFormat,
        provider: WireFormat,
        include_usage: bool,
        price: Option<Price>,
    ) -> Self {
        Self {
            decoder: StreamDecoder::new(provider),
            encoder: StreamEncoder::new(client, include_usage, price),
            splice: None,
            client,
            context: AnswerContext::default(),
            joined: Vec::new(),
            steps: Vec::new(),
        }
    }

    pub(crate) fn resumed(
        client: WireFormat,
        provider: WireFormat,
        encoder: StreamEncoder,
        splice: Splice,
    ) -> Self {
        let fresh = Self::new(client, provider, false, None);
        Self { encoder, splice: Some(splice), ..fresh }
    }

    /// For the answer that goes on with this one.
    pub(crate) fn encoder(&self) -> StreamEncoder {
        self.encoder.clone()
    }

    /// For the answer to this request; before its first event.
    pub(crate) fn set_context(&mut self, context: &AnswerContext) {
        // A resumed encoder has been told already.
        if self.splice.is_none() {
            self.encoder.set_context(context);
        }
        self.context = context.clone();
    }

    /// Takes whole events. What came before a fault is good and comes out with it.
    pub(crate) fn take(&mut self, events: &Bytes, progress: &mut Progress) -> (Bytes, Option<StreamFault>) {
        let mut out = BytesMut::new();
        let mut blocks = Blocks::new(events);
        let mut fault = None;
        while let Some(block) = blocks.next(&mut self.joined) {
            let Some(data) = block.data.filter(|_| !progress.complete) else { continue };
            let decoded = std::str::from_utf8(data)
                .map_err(|error| StreamFault::Malformed(format!("an event is not UTF-8: {error}")))
                .and_then(|data| self.decoder.decode(data, &mut self.steps));
            // A fault makes its own event void, also what was read of it.
            if let Err(reason) = decoded {
                self.steps.clear();
                fault = Some(reason);
                break;
            }
            for mut step in self.steps.drain(..) {
                if let StreamEvent::Start { id, model } = &mut step {
                    self.context.complete(self.client, id, model);
                }
                progress.see(&step);
                let step = match &mut self.splice {
                    None => Some(step),
                    Some(splice) => match splice.take(step) {
                        Ok(step) => step,
                        Err(diverged) => return (with_note(splice, out), Some(diverged)),
                    },
                };
                if let Some(step) = step {
                    progress.transcript.see(&step);
                    self.encoder.encode(step, &mut out);
                }
            }
            if self.encoder.is_too_long() {
                fault = Some(StreamFault::TooLong);
                break;
            }
        }
        match &mut self.splice {
            None => (out.freeze(), fault),
            Some(splice) => (with_note(splice, out), fault),
        }
    }

    /// The end that a provider forgot after its last event.
    pub(crate) fn end(&mut self, out: &mut BytesMut) {
        self.encoder.encode(StreamEvent::Done, out);
    }
}

/// A comment in a block with an event, since some clients take one without for an empty event.
fn with_note(splice: &mut Splice, out: BytesMut) -> Bytes {
    let note = if out.is_empty() { None } else { splice.note() };
    match note {
        Some(note) => Bytes::from([note.as_bytes(), &out].concat()),
        None => out.freeze(),
    }
}

impl Progress {
    fn see(&mut self, step: &StreamEvent) {
        match step {
            StreamEvent::Text(_) | StreamEvent::Reasoning(_) | StreamEvent::ToolCall { .. } => {
                self.content = true;
            }
            StreamEvent::Finish { .. } => self.finished = true,
            StreamEvent::Usage(usage) => self.usage = Some(*usage),
            StreamEvent::Done => self.complete = true,
            StreamEvent::SealedReasoning(_) => self.content = true,
            StreamEvent::Start { .. }
            | StreamEvent::Arguments(_)
            | StreamEvent::Signature(_)
            | StreamEvent::Logprobs(_)
            | StreamEvent::Choice(_) => {}
        }
    }
}
