//! One answer on its way to everyone who asked for it. What has come is kept, so that those who join
//! late get it from its beginning.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use cache::exact::Entry;
use domain::{FailureKind, Micros};
use pingora::http::ResponseHeader;
use tokio::sync::Notify;

use super::{AnswerHead, Coalescer, Form, Keepable, is_same};
use crate::client::Client;
use crate::error::GatewayError;
use crate::request::{Record, Request};

/// A longer stream, in bytes, is not kept whole: nobody joins it any more, and it goes on at the pace of
/// its slowest follower.
const KEPT: usize = 1 << 20;

/// The answer and its followers.
#[derive(Debug)]
pub struct Flight {
    pub(super) likeness: Likeness,
    /// How long it goes on without a follower.
    outlives: Duration,
    log: Mutex<Log>,
    /// Something came.
    pub(super) came: Notify,
    /// A follower took something, or left.
    pub(super) moved: Notify,
}

/// What those have in common who follow it.
#[derive(Debug)]
pub(super) enum Likeness {
    /// They sent the same bytes for the same virtual key.
    Bytes { scope: Box<str>, request: Arc<Request> },
    /// The same kept answer would serve them.
    Kept(Keepable),
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
    /// The whole answer, once it is known whether there is one.
    pub whole: Option<Option<Arc<Entry>>>,
    /// What the answer cost, as far as it is known.
    pub cost: Micros,
    /// The next piece of every follower; none of those who wait for the whole.
    pub followers: BTreeMap<u64, usize>,
    next_follower: u64,
    /// When the last follower left.
    pub left: Option<Instant>,
    /// Nobody may join; the lead waits for the slowest follower.
    pub closed: bool,
}

/// The request that asks for all of them.
#[derive(Debug)]
pub struct Lead {
    flight: Arc<Flight>,
    coalescer: Arc<Coalescer>,
    slot: u64,
}

impl Likeness {
    pub(super) fn is_bytes(&self, of: &str, by: &Request) -> bool {
        matches!(self, Self::Bytes { scope, request } if **scope == *of && is_same(request, by))
    }

    /// The form that is answered in, when this answer would do.
    pub(super) fn form(&self, asked: &Keepable) -> Option<Form> {
        match self {
            Self::Kept(kept) if kept.shares_with(asked) => Some(kept.form),
            _ => None,
        }
    }
}

impl Flight {
    pub(super) fn new(likeness: Likeness, outlives: Duration) -> Self {
        Self { likeness, outlives, log: Mutex::default(), came: Notify::new(), moved: Notify::new() }
    }

    /// The whole answer is there.
    pub(super) fn settles(&self) -> bool {
        matches!(self.log().end, Some(Ok(())))
    }

    pub(super) fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Log {
    /// Another follower, or one who waits for the whole; None when it would not get the whole answer.
    pub(super) fn follow(&mut self, awaits: bool) -> Option<u64> {
        if self.closed || matches!(self.end, Some(Err(_))) {
            return None;
        }
        let follower = self.next_follower;
        self.next_follower += 1;
        self.followers.insert(follower, if awaits { usize::MAX } else { 0 });
        self.left = None;
        Some(follower)
    }

    /// For how long the call still goes on without anybody who wants its answer; None while there is somebody. After that
    /// nobody may come.
    fn patience(&mut self, outlives: Duration) -> Option<Duration> {
        if !self.followers.is_empty() {
            return None;
        }
        let rest = self.left.map_or(Duration::ZERO, |left| outlives.saturating_sub(left.elapsed()));
        self.closed |= rest.is_zero();
        Some(rest)
    }

    /// Makes room; true when there is some.
    fn has_room(&mut self) -> bool {
        if self.bytes < KEPT {
            return true;
        }
        self.closed = true;
        let taken = self.followers.values().copied().min().unwrap_or(usize::MAX);
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
    pub(super) fn new(flight: Arc<Flight>, coalescer: Arc<Coalescer>, slot: u64) -> Self {
        Self { flight, coalescer, slot }
    }

    fn is_kept(&self) -> bool {
        matches!(self.flight.likeness, Likeness::Kept(_))
    }

    /// There is no more of the answer, or there is none at all; the whole of it for those who want it in another form.
    pub fn finish(self, result: Result<Option<Arc<Entry>>, GatewayError>) {
        match result {
            Ok(whole) => self.end(Ok(()), whole),
            Err(error) => self.end(Err(error), None),
        }
    }

    fn end(&self, result: Result<(), GatewayError>, whole: Option<Arc<Entry>>) {
        self.coalescer.remove(self.slot, &self.flight);
        let mut log = self.flight.log();
        log.end.get_or_insert(result);
        log.whole.get_or_insert(whole);
        drop(log);
        self.flight.came.notify_waiters();
    }
}

impl Drop for Lead {
    /// Also when the lead's task is cut off: its followers must not wait for ever.
    fn drop(&mut self) {
        let reason = "the request that asked for several was cut off".to_owned();
        self.end(Err(GatewayError::UpstreamFailed { kind: FailureKind::Reset, reason }), None);
    }
}

impl Client for Lead {
    async fn gone(&mut self) {
        loop {
            let moved = self.flight.moved.notified();
            let patience = self.flight.log().patience(self.flight.outlives);
            match patience {
                None => moved.await,
                Some(rest) if rest.is_zero() => return,
                Some(rest) => drop(tokio::time::timeout(rest, moved).await),
            }
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
                if log.patience(self.flight.outlives).is_some_and(|rest| rest.is_zero()) {
                    return Err(GatewayError::ClientGone);
                }
                log.has_room()
            };
            if has_room {
                break;
            }
            moved.await;
        }
        let mut log = self.flight.log();
        log.push(piece);
        if end {
            log.end.get_or_insert(Ok(()));
        }
        drop(log);
        // What is kept can be joined until it is.
        if end && !self.is_kept() {
            self.coalescer.remove(self.slot, &self.flight);
        }
        self.flight.came.notify_waiters();
        Ok(())
    }
}
