//! One answer on its way to everyone who asked for it. What has come is kept, so that those who join
//! late get it from its beginning.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use domain::{FailureKind, Micros};
use pingora::http::ResponseHeader;
use tokio::sync::Notify;

use super::{AnswerHead, Coalescer, is_same};
use crate::client::Client;
use crate::error::GatewayError;
use crate::request::{Record, Request};

/// A longer stream, in bytes, is not kept whole: nobody joins it any more, and it goes on at the pace of
/// its slowest follower.
const KEPT: usize = 1 << 20;

/// The answer and its followers.
#[derive(Debug)]
pub struct Flight {
    scope: Arc<str>,
    request: Arc<Request>,
    log: Mutex<Log>,
    /// Something came.
    pub(super) came: Notify,
    /// A follower took something, or left.
    pub(super) moved: Notify,
}

/// What has come so far.
#[derive(Debug, Default)]
pub(super) struct Log {
    pub head: Option<Arc<AnswerHead>>,
    pub pieces: VecDeque<Bytes>,
    /// Pieces that everyone has taken and nobody can join for.
    pub gone: usize,
    bytes: usize,
    pub end: Option<Result<(), GatewayError>>,
    /// What the answer cost, as far as it is known.
    pub cost: Micros,
    /// The next piece of every follower.
    pub followers: BTreeMap<u64, usize>,
    next_follower: u64,
    /// Nobody may join; the lead waits for the slowest follower.
    pub closed: bool,
}

/// The request that asks for all of them.
#[derive(Debug)]
pub struct Lead {
    flight: Arc<Flight>,
    coalescer: Arc<Coalescer>,
    key: u64,
}

impl Flight {
    pub(super) fn new(scope: &str, request: &Arc<Request>) -> Self {
        Self {
            scope: scope.into(),
            request: request.clone(),
            log: Mutex::default(),
            came: Notify::new(),
            moved: Notify::new(),
        }
    }

    pub(super) fn serves(&self, scope: &str, request: &Request) -> bool {
        *self.scope == *scope && is_same(&self.request, request)
    }

    pub(super) fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Log {
    /// Another follower; None when it would not get the whole answer.
    pub(super) fn follow(&mut self) -> Option<u64> {
        // When all have left the call is being ended.
        let is_left = self.followers.is_empty() && self.next_follower > 0;
        if self.closed || is_left || self.end.is_some() {
            return None;
        }
        let follower = self.next_follower;
        self.next_follower += 1;
        self.followers.insert(follower, 0);
        Some(follower)
    }

    /// Makes room; true when there is some.
    fn has_room(&mut self) -> bool {
        if self.bytes < KEPT {
            return true;
        }
        self.closed = true;
        let taken = self.followers.values().copied().min().unwrap_or(self.gone);
        while self.gone < taken
            && let Some(piece) = self.pieces.pop_front()
        {
            self.bytes -= piece.len();
            self.gone += 1;
        }
        self.bytes < KEPT
    }

    fn push(&mut self, piece: Bytes) {
        if !piece.is_empty() {
            self.bytes += piece.len();
            self.pieces.push_back(piece);
        }
    }
}

impl Lead {
    pub(super) fn new(flight: Arc<Flight>, coalescer: Arc<Coalescer>, key: u64) -> Self {
        Self { flight, coalescer, key }
    }

    /// There is no more of the answer, or there is none at all.
    pub fn finish(self, result: Result<(), GatewayError>) {
        self.end(result);
    }

    fn end(&self, result: Result<(), GatewayError>) {
        self.coalescer.remove(self.key, &self.flight);
        self.flight.log().end.get_or_insert(result);
        self.flight.came.notify_waiters();
    }
}

impl Drop for Lead {
    /// Also when the lead's task is cut off: its followers must not wait for ever.
    fn drop(&mut self) {
        let reason = "the request that asked for several was cut off".to_owned();
        self.end(Err(GatewayError::UpstreamFailed { kind: FailureKind::Reset, reason }));
    }
}

impl Client for Lead {
    async fn gone(&mut self) {
        loop {
            let moved = self.flight.moved.notified();
            if self.flight.log().followers.is_empty() {
                return;
            }
            moved.await;
        }
    }

    fn has_answered(&self) -> bool {
        self.flight.log().head.is_some()
    }

    async fn write_head(&mut self, head: Box<ResponseHeader>, record: &Record) -> Result<(), GatewayError> {
        self.flight.log().head = Some(Arc::new(AnswerHead::new(*head, record)));
        self.flight.came.notify_waiters();
        Ok(())
    }

    fn costs(&mut self, cost: Micros) {
        self.flight.log().cost = cost;
    }

    async fn write(&mut self, piece: Bytes, end: bool) -> Result<(), GatewayError> {
        loop {
            let moved = self.flight.moved.notified();
            let has_room = {
                let mut log = self.flight.log();
                if log.followers.is_empty() {
                    return Err(GatewayError::ClientGone);
                }
                log.has_room()
            };
            if has_room {
                break;
            }
            moved.await;
        }
        self.flight.log().push(piece);
        if end {
            self.end(Ok(()));
        }
        self.flight.came.notify_waiters();
        Ok(())
    }
}
