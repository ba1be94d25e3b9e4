//! A streamed answer whose two formats differ: each event is decoded to neutral steps, and each step
//! encoded for the client as it comes.

use bytes::{Bytes, BytesMut};
use domain::Price;

use crate::answer_context::AnswerContext;
use crate::answer_stream::Progress;
use crate::canonical::StreamEvent;
use crate::formats::{StreamDecoder, StreamEncoder};
use crate::sse::Blocks;
use crate::{StreamFault, WireFormat};

/// The state of one stream beyond its [`Progress`].
#[derive(Debug)]
pub(crate) struct Translation {
    decoder: StreamDecoder,
    encoder: StreamEncoder,
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
            client,
            context: AnswerContext::default(),
            joined: Vec::new(),
            steps: Vec::new(),
        }
    }

    /// For the answer to this request; before its first event.
    pub(crate) fn set_context(&mut self, context: &AnswerContext) {
        self.encoder.set_context(context);
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
                self.encoder.encode(step, &mut out);
            }
            if self.encoder.is_too_long() {
                fault = Some(StreamFault::TooLong);
                break;
            }
        }
        (out.freeze(), fault)
    }

    /// The end that a provider forgot after its last event.
    pub(crate) fn end(&mut self, out: &mut BytesMut) {
        self.encoder.encode(StreamEvent::Done, out);
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
