//! A streamed answer: bytes from the upstream in, bytes for the client out, event by event. Owns when
//! a stream is complete and what a fault does to it; the formats know what is in an event.

use bytes::{BufMut, Bytes, BytesMut};
use domain::{Price, Usage};

use crate::answer_context::AnswerContext;
use crate::event_stream::EventStreamFramer;
use crate::formats::StreamEncoder;
use crate::pass_through::PassThrough;
use crate::resume::{Resume, Splice, is_resumable};
use crate::sse::{Framer, TooLong};
use crate::transcript::Transcript;
use crate::translation::Translation;
use crate::{Operation, RequestHead, StreamFault, WireFormat};

/// The state of one streamed 2xx answer.
#[derive(Debug)]
pub struct AnswerStream {
    framing: Framing,
    route: Route,
    progress: Progress,
    fault: Option<StreamFault>,
}

/// How the provider marks where an event ends. Either way whole server-sent events come out.
#[derive(Debug)]
enum Framing {
    Sse(Framer),
    EventStream(EventStreamFramer),
}

impl Framing {
    fn of(provider: WireFormat) -> Self {
        match provider {
            WireFormat::Bedrock => Self::EventStream(EventStreamFramer::default()),
            _ => Self::Sse(Framer::default()),
        }
    }

    /// Events that are whole, if any, and a fault behind them.
    fn feed(&mut self, chunk: Bytes) -> (Bytes, Option<StreamFault>) {
        match self {
            Self::Sse(framer) => match framer.feed(chunk) {
                Ok(events) => (events.unwrap_or_default(), None),
                Err(TooLong) => (Bytes::new(), Some(StreamFault::TooLong)),
            },
            Self::EventStream(framer) => framer.feed(&chunk),
        }
    }

    /// A last event without its end. Half a frame is nothing: its checksum is missing.
    fn finish(&mut self) -> Bytes {
        match self {
            Self::Sse(framer) => framer.finish(),
            Self::EventStream(_) => Bytes::new(),
        }
    }
}

#[derive(Debug)]
enum Route {
    Same(Box<PassThrough>),
    Other(Box<Translation>),
}

/// How far an answer has come.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    /// A token, a tool call or reasoning was seen.
    pub(crate) content: bool,
    /// The reason for stopping was seen.
    pub(crate) finished: bool,
    /// The end marker was seen.
    pub(crate) complete: bool,
    /// The provider's last cumulative count.
    pub(crate) usage: Option<Usage>,
    /// What the client has.
    pub(crate) transcript: Transcript,
}

impl AnswerStream {
    /// A stream that has not begun. `include_usage`: the client asked for a usage chunk; only then is
    /// one passed on, with its cost when `price` is given.
    pub fn new(
        operation: Operation,
        provider: WireFormat,
        include_usage: bool,
        price: Option<Price>,
    ) -> Self {
        let client = operation.wire_format();
        let route = if client == provider {
            Route::Same(Box::new(PassThrough::new(provider, include_usage, price)))
        } else {
            Route::Other(Box::new(Translation::new(client, provider, include_usage, price)))
        };
        let framing = Framing::of(provider);
        Self { framing, route, progress: Progress::default(), fault: None }
    }

    /// A stream that goes on with an answer of which `text` was sent and `encoder` knows the rest.
    pub(crate) fn resumed(
        client: WireFormat,
        provider: WireFormat,
        encoder: StreamEncoder,
        text: String,
        splice: Splice,
    ) -> Self {
        let route = Route::Other(Box::new(Translation::resumed(client, provider, encoder, splice)));
        let transcript = Transcript { text, ..Transcript::default() };
        let progress = Progress { transcript, ..Progress::default() };
        Self { framing: Framing::of(provider), route, progress, fault: None }
    }

    /// What another attempt needs to go on with this answer, which broke off; None when it must not be
    /// pieced together: tool calls, structured output, several choices, an unsigned thought.
    pub fn resume(&self, operation: Operation, head: &RequestHead, body: &[u8]) -> Option<Resume> {
        let transcript = &self.progress.transcript;
        if self.progress.finished || transcript.is_closed || !is_resumable(operation, head, body) {
            return None;
        }
        let encoder = match &self.route {
            Route::Same(same) => same.encoder(transcript)?,
            Route::Other(translation) => translation.encoder(),
        };
        Some(Resume::new(encoder, operation.wire_format(), transcript.text.clone()))
    }

    /// The text that the client has.
    pub fn text(&self) -> &str {
        &self.progress.transcript.text
    }

    /// A reason for stopping was seen: what is missing is only the end marker, or the usage.
    pub fn has_finished(&self) -> bool {
        self.progress.finished
    }

    /// The stream that answers the request this was made with. Before the first bytes.
    #[must_use]
    pub fn with_context(mut self, context: &AnswerContext) -> Self {
        if let Route::Other(translation) = &mut self.route {
            translation.set_context(context);
        }
        self
    }

    /// Takes the next bytes of the upstream's body and gives the whole, valid events they complete;
    /// None when there is none yet. Formats being equal, these are the provider's own bytes, and a
    /// slice of `chunk` when it holds whole events and begins with one.
    ///
    /// # Errors
    /// When an event cannot be used. Good events that arrived before it in the same chunk come out
    /// first; the fault is then given by the next call (see [`has_fault`](Self::has_fault)).
    pub fn feed(&mut self, chunk: Bytes) -> Result<Option<Bytes>, StreamFault> {
        if let Some(fault) = &self.fault {
            return Err(fault.clone());
        }
        let (events, fault) = self.framing.feed(chunk);
        let out = if events.is_empty() { events } else { self.take(&events) };
        // What is wrong in a whole event came before what is wrong with the next.
        self.fault = self.fault.take().or(fault);
        self.settle(out)
    }

    /// The upstream ended its body in good order. Gives what is still to be sent: a last event that
    /// lacks its blank line, or the end marker when the provider gave a finish reason but no marker.
    ///
    /// # Errors
    /// [`StreamFault::Truncated`] when neither marker nor finish reason was seen, or a fault that an
    /// earlier call still owed.
    pub fn finish(&mut self) -> Result<Option<Bytes>, StreamFault> {
        if let Some(fault) = &self.fault {
            return Err(fault.clone());
        }
        let mut out = BytesMut::new();
        let rest = self.framing.finish();
        // A last event may lack its blank line. One that was cut off in the middle does not parse and
        // must not go out, but it does no harm to an answer that has finished.
        if !self.progress.complete && !rest.trim_ascii().is_empty() {
            let closed = close_event(&rest);
            let bytes = self.take(&closed);
            match self.fault.take() {
                None => out.put(bytes),
                Some(StreamFault::Malformed(_)) => {}
                Some(fault) => {
                    self.fault = Some(fault.clone());
                    return Err(fault);
                }
            }
        }
        if !self.progress.complete {
            if !self.progress.finished {
                self.fault = Some(StreamFault::Truncated);
                return Err(StreamFault::Truncated);
            }
            match &mut self.route {
                Route::Same(same) => out.put_slice(same.end_marker()),
                Route::Other(translation) => translation.end(&mut out),
            }
            self.progress.complete = true;
        }
        Ok((!out.is_empty()).then(|| out.freeze()))
    }

    /// What the provider has counted so far; its last count, never a sum of several.
    pub fn usage(&self) -> Option<Usage> {
        self.progress.usage
    }

    /// A token, a tool call or reasoning was seen: the time to first token has ended, and another
    /// deployment can no longer take over unnoticed.
    pub fn content_started(&self) -> bool {
        self.progress.content
    }

    /// The end marker was seen, or supplied by [`finish`](Self::finish).
    pub fn is_complete(&self) -> bool {
        self.progress.complete
    }

    /// The next call of [`feed`](Self::feed) or [`finish`](Self::finish) will fail: no need to wait
    /// for more bytes.
    pub fn has_fault(&self) -> bool {
        self.fault.is_some()
    }

    fn take(&mut self, events: &Bytes) -> Bytes {
        let (out, fault) = match &mut self.route {
            Route::Same(same) => same.take(events, &mut self.progress),
            Route::Other(translation) => translation.take(events, &mut self.progress),
        };
        self.fault = fault;
        out
    }

    fn settle(&self, out: Bytes) -> Result<Option<Bytes>, StreamFault> {
        match (&self.fault, out.is_empty()) {
            (Some(fault), true) => Err(fault.clone()),
            (_, empty) => Ok((!empty).then_some(out)),
        }
    }
}

/// The event with the blank line it lacks.
fn close_event(rest: &Bytes) -> Bytes {
    let ending: &[u8] = if rest.ends_with(b"\n") { b"\n" } else { b"\n\n" };
    Bytes::from([rest, ending].concat())
}
