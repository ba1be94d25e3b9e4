//! What was asked of the mock, for tests to look at.
//!
//! Owns the bounded ring of recent requests and the counters. It must not slow the benchmark path:
//! with a ring of zero nothing is copied or hashed.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use bytes::Bytes;
use serde::{Serialize, Serializer};
use sha2::{Digest, Sha256};

use crate::head::Head;
use crate::state::lock;

/// Bodies above this are counted and hashed, not kept.
const KEPT_BODY_BYTES: usize = 1 << 20;

/// One request as it arrived, and what became of its answer.
#[derive(Clone, Debug, Serialize)]
pub struct Recorded {
    /// Position since the start or the last `clear`.
    pub sequence: u64,
    /// As sent, e.g. `POST`.
    pub method: String,
    /// As sent, with the query.
    pub path: String,
    /// In the order of arrival, names as sent.
    pub headers: Vec<(String, String)>,
    /// The decoded body, when it has at most 1 MiB; else empty.
    #[serde(serialize_with = "body_as_text")]
    pub body: Bytes,
    /// Bytes of the decoded body.
    pub body_len: usize,
    /// Lower-case hexadecimal SHA-256 of the decoded body.
    pub body_sha256: String,
    /// The answer was written to its end.
    pub completed: bool,
    /// The other side closed while the answer was being written: content chunks written before
    /// (0 for an answer that is not a stream).
    pub aborted_after_events: Option<usize>,
}

impl Recorded {
    /// The first header of that name, compared without case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(header, _)| header.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }
}

/// Counters since the start or the last `clear` (the open ones are current).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Stats {
    /// Requests read completely.
    pub requests: u64,
    /// Connections accepted.
    pub accepted_connections: u64,
    /// Connections open now.
    pub open_connections: usize,
    /// Streams being written now.
    pub open_streams: usize,
    /// Streams whose reader left before the end.
    pub aborted_streams: u64,
    /// Requests being answered now.
    pub in_flight: usize,
    /// The most requests answered at the same time.
    pub max_in_flight: usize,
}

/// How an answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) completed: bool,
    pub(crate) aborted_after_events: Option<usize>,
}

/// The ring of recent requests.
pub(crate) struct Ring {
    capacity: usize,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    next: u64,
    requests: VecDeque<Recorded>,
}

impl Ring {
    pub(crate) fn new(capacity: usize) -> Self {
        Self { capacity, kept: Mutex::default() }
    }

    /// Keeps the request; `None` when nothing is kept at all.
    pub(crate) fn add(&self, head: &Head, head_bytes: &[u8], body: &[u8]) -> Option<u64> {
        if self.capacity == 0 {
            return None;
        }
        let mut recorded = Recorded {
            sequence: 0,
            method: head.method(head_bytes).to_owned(),
            path: head.target(head_bytes).to_owned(),
            headers: Head::all_headers(head_bytes),
            body: if body.len() <= KEPT_BODY_BYTES { Bytes::copy_from_slice(body) } else { Bytes::new() },
            body_len: body.len(),
            body_sha256: hexadecimal(&Sha256::digest(body)),
            completed: false,
            aborted_after_events: None,
        };
        let mut kept = lock(&self.kept);
        recorded.sequence = kept.next;
        kept.next += 1;
        if kept.requests.len() == self.capacity {
            kept.requests.pop_front();
        }
        let sequence = recorded.sequence;
        kept.requests.push_back(recorded);
        Some(sequence)
    }

    /// Notes how the answer ended, unless the ring has moved on.
    pub(crate) fn settle(&self, sequence: u64, outcome: Outcome) {
        let mut kept = lock(&self.kept);
        if let Some(recorded) = kept.requests.iter_mut().rev().find(|one| one.sequence == sequence) {
            recorded.completed = outcome.completed;
            recorded.aborted_after_events = outcome.aborted_after_events;
        }
    }

    pub(crate) fn all(&self) -> Vec<Recorded> {
        lock(&self.kept).requests.iter().cloned().collect()
    }

    pub(crate) fn clear(&self) {
        // `next` goes on, so that an answer still in flight cannot settle a newer request.
        lock(&self.kept).requests.clear();
    }
}

/// The counters behind [`Stats`].
#[derive(Default)]
pub(crate) struct Counters {
    pub(crate) requests: AtomicU64,
    pub(crate) accepted_connections: AtomicU64,
    pub(crate) open_connections: AtomicUsize,
    pub(crate) open_streams: AtomicUsize,
    pub(crate) aborted_streams: AtomicU64,
    pub(crate) in_flight: AtomicUsize,
    pub(crate) max_in_flight: AtomicUsize,
}

impl Counters {
    pub(crate) fn stats(&self) -> Stats {
        Stats {
            requests: self.requests.load(Ordering::Relaxed),
            accepted_connections: self.accepted_connections.load(Ordering::Relaxed),
            open_connections: self.open_connections.load(Ordering::Relaxed),
            open_streams: self.open_streams.load(Ordering::Relaxed),
            aborted_streams: self.aborted_streams.load(Ordering::Relaxed),
            in_flight: self.in_flight.load(Ordering::Relaxed),
            max_in_flight: self.max_in_flight.load(Ordering::Relaxed),
        }
    }

    pub(crate) fn clear(&self) {
        self.requests.store(0, Ordering::Relaxed);
        self.accepted_connections.store(0, Ordering::Relaxed);
        self.aborted_streams.store(0, Ordering::Relaxed);
        self.max_in_flight.store(self.in_flight.load(Ordering::Relaxed), Ordering::Relaxed);
    }
}

/// One more of `gauge` for as long as this lives, also when the task is cancelled.
pub(crate) struct Held<'a>(&'a AtomicUsize);

impl<'a> Held<'a> {
    /// Returns the guard and the new value.
    pub(crate) fn new(gauge: &'a AtomicUsize) -> (Self, usize) {
        let now = gauge.fetch_add(1, Ordering::Relaxed) + 1;
        (Self(gauge), now)
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn body_as_text<S: Serializer>(body: &Bytes, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&String::from_utf8_lossy(body))
}
