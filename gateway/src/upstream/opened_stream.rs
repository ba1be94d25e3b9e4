//! A stream whose first token is here: read, decoded, and watched until its end.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use domain::{Failure, FailureKind, Usage};
use pingora::protocols::http::v1::client::HttpSession;
use pingora::upstreams::peer::HttpPeer;
use providers::{AnswerStream, Operation, RequestHead, Resume, StreamFault};

use super::attempt::{ERROR_BODY_LIMIT, broken};
use super::content_coding::ContentCoding;
use super::{AttemptFailure, Connections, InFlight, ProviderReply, Throughput, classify, connect_failure};

/// After the reason for stopping, so long is waited for usage and end marker.
const END_MARKER_WAIT: Duration = Duration::from_secs(2);

/// What is here already is given on together, up to so many bytes and pieces: one write, and no worker for a stream alone.
const TOGETHER: usize = 16 << 10;
const PIECES_TOGETHER: u32 = 32;

/// A running stream.
pub struct OpenedStream {
    pub(super) session: Box<HttpSession>,
    pub(super) peer: Arc<HttpPeer>,
    pub(super) connections: Arc<Connections>,
    pub(super) coding: ContentCoding,
    pub(super) decoder: AnswerStream,
    pub(super) idle: Duration,
    pub(super) throughput: Throughput,
    /// It has turned out to be too slow.
    pub(super) slow: Option<Failure>,
    /// It broke off behind pieces that were to be given on first.
    pub(super) broken: Option<Box<AttemptFailure>>,
    pub(super) deadline: Instant,
    pub(super) ended: bool,
    /// Pieces that were held back until the first token came, each of them one upstream chunk.
    pub held: Vec<Bytes>,
    pub(super) _in_flight: InFlight,
}

impl OpenedStream {
    /// The next piece for the client, with those behind it that have arrived; None at the proper end. Nothing is waited for
    /// to make a piece larger.
    ///
    /// # Errors
    /// When the stream broke, stalled, or ended before it was complete.
    pub async fn next(&mut self) -> Result<Option<Bytes>, AttemptFailure> {
        if let Some(broken) = self.broken.take() {
            return Err(*broken);
        }
        if let Some(slow) = self.slow.take().filter(|_| !self.decoder.has_finished()) {
            return Err(slow.into());
        }
        loop {
            let remaining = self.deadline.saturating_duration_since(Instant::now());
            let idle = if self.decoder.has_finished() { self.idle.min(END_MARKER_WAIT) } else { self.idle };
            if let Some(first) = self.read(Some(idle.min(remaining)), FailureKind::Idle).await? {
                let piece = self.together(first);
                // Told with the next call: this piece counts as sent.
                self.slow = self.throughput.passed(self.decoder.text().len(), Instant::now()).err();
                return Ok(Some(piece));
            }
            if self.ended {
                return Ok(None);
            }
        }
    }

    /// What another attempt needs to go on, when this one broke off.
    pub fn resume(&self, operation: Operation, head: &RequestHead, body: &[u8]) -> Option<Resume> {
        self.decoder.resume(operation, head, body)
    }

    /// The end marker was read.
    pub fn is_complete(&self) -> bool {
        self.decoder.is_complete()
    }

    /// The text that was sent.
    pub fn text(&self) -> &str {
        self.decoder.text()
    }

    /// What the provider has counted so far.
    pub fn usage(&self) -> Option<Usage> {
        self.decoder.usage()
    }

    /// Gives the connection back when the stream was read to its end.
    pub async fn release(mut self) {
        if self.ended && self.session.is_body_done() {
            self.connections.release(self.session, &self.peer).await;
        }
    }

    /// Reads until the first token is here.
    ///
    /// # Errors
    /// When it does not come.
    pub(super) async fn first_token(&mut self, until: Instant) -> Result<(), AttemptFailure> {
        while !self.decoder.content_started() && !self.ended {
            let remaining = until.min(self.deadline).saturating_duration_since(Instant::now());
            if let Some(piece) = self.read(Some(remaining), FailureKind::FirstToken).await? {
                self.held.push(piece);
            }
        }
        Ok(())
    }

    /// This piece, and behind it those that can be read without waiting.
    fn together(&mut self, first: Bytes) -> Bytes {
        let mut all = BytesMut::new();
        for _ in 1..PIECES_TOGETHER {
            if self.ended || first.len().max(all.len()) >= TOGETHER {
                break;
            }
            let Some(read) = self.read_here() else { break };
            match read {
                Ok(Some(piece)) => {
                    if all.is_empty() {
                        all.reserve(TOGETHER);
                        all.extend_from_slice(&first);
                    }
                    all.extend_from_slice(&piece);
                }
                Ok(None) => {}
                Err(broken) => {
                    self.broken = Some(Box::new(broken));
                    break;
                }
            }
        }
        if all.is_empty() { first } else { all.freeze() }
    }

    /// A read of what is here; None when nothing is. Whoever waits next is woken, not this look.
    fn read_here(&mut self) -> Option<Result<Option<Bytes>, AttemptFailure>> {
        let read = pin!(tokio::task::unconstrained(self.read(None, FailureKind::Idle)));
        match read.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(read) => Some(read),
            Poll::Pending => None,
        }
    }

    /// One read, without a limit of its own where it does not wait. Nothing may have come of it: half an event, or the end.
    async fn read(
        &mut self,
        limit: Option<Duration>,
        silent: FailureKind,
    ) -> Result<Option<Bytes>, AttemptFailure> {
        if self.ended {
            return Ok(None);
        }
        if self.decoder.has_fault() {
            // What came before the fault has been given on; the fault itself is told now.
            return self.decoder.feed(Bytes::new()).map_err(broken_off);
        }
        self.session.read_timeout = limit;
        match self.session.read_body_bytes().await {
            Ok(Some(chunk)) => {
                let chunk = self
                    .coding
                    .decode(chunk, ERROR_BODY_LIMIT << 6)
                    .map_err(|reason| connect_failure(FailureKind::Malformed, reason))?;
                self.decoder.feed(chunk).map_err(broken_off)
            }
            Ok(None) => {
                self.ended = true;
                self.decoder.finish().map_err(broken_off)
            }
            // Some providers close without the last chunk, or never send the end marker: an answer that has
            // given its reason for stopping is complete all the same.
            Err(_) if self.decoder.is_complete() => {
                self.ended = true;
                Ok(None)
            }
            Err(_) if self.decoder.has_finished() => {
                self.ended = true;
                self.decoder.finish().map_err(broken_off)
            }
            Err(error) => Err(broken(&error, silent, self.deadline <= Instant::now()).into()),
        }
    }
}

fn broken_off(fault: StreamFault) -> AttemptFailure {
    match fault {
        StreamFault::Provider(error) => {
            let status = error.implied_status();
            let failure = classify(status, &error, error.retry_after);
            let reply = ProviderReply { status, body: Bytes::new(), error, retry_after_ms: None };
            AttemptFailure { failure, reply: Some(reply), param: None }
        }
        other => connect_failure(FailureKind::Malformed, other.to_string()).into(),
    }
}
