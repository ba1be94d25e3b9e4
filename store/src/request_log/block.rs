//! Many requests as one row. No block reaches from one hour into the next, so that few of them overlap, and those of one
//! writing hold a minute each.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::HashSet;
use std::sync::Arc;

use domain::{Micros, Usage};
use serde::{Deserialize, Serialize};

use super::LoggedRequest;
use super::sieve::{self, Token};
use crate::database::{Row, Transaction, Value};
use crate::error::Result;
use crate::ledger::Subject;
use crate::packed::{self, Pack};

const TABLE: &str = "request_blocks";
/// Requests of a block at most.
pub(super) const LARGEST: usize = 4_096;
/// No block is longer.
pub(super) const SPAN_MS: i64 = 3_600_000;
/// What one writing puts into different blocks: requests that ran long would make every block overlap with many others.
const MINUTE_MS: i64 = 60_000;

/// A block that is to be appended.
#[derive(Clone, Debug)]
pub struct RequestBlock {
    id: String,
    requests: Vec<LoggedRequest>,
    packed: Packed,
}

#[derive(Clone, Debug)]
struct Packed {
    names: Vec<u8>,
    ids: Vec<u8>,
    data: Vec<u8>,
}

/// A request; the first element is its subject's place in the first line.
#[derive(Serialize, Deserialize)]
struct Line<'a>(
    usize,
    #[serde(borrow)] Cow<'a, str>,
    i64,
    #[serde(borrow)] Cow<'a, str>,
    u16,
    #[serde(borrow)] Cow<'a, str>,
    #[serde(borrow)] Cow<'a, str>,
    u32,
    u64,
    Option<u64>,
    [u64; 5],
    Micros,
);

impl<'a> Line<'a> {
    fn of(request: &'a LoggedRequest, subject: usize) -> Self {
        let Usage { prompt, completion, cached, cache_write, reasoning } = request.usage;
        Self(
            subject,
            Cow::Borrowed(&request.request_id),
            request.at_ms,
            Cow::Borrowed(&request.operation),
            request.status,
            Cow::Borrowed(&request.error),
            Cow::Borrowed(&request.cache),
            request.attempts,
            request.duration_ms,
            request.first_token_ms,
            [prompt, completion, cached, cache_write, reasoning],
            request.cost,
        )
    }

    /// None when the first line has no such subject.
    fn request(self, subjects: &[Arc<Subject>]) -> Option<LoggedRequest> {
        let Self(
            subject,
            id,
            at_ms,
            operation,
            status,
            error,
            cache,
            attempts,
            duration,
            first,
            tokens,
            cost,
        ) = self;
        let [prompt, completion, cached, cache_write, reasoning] = tokens;
        let owned = |text: Cow<'_, str>| Cow::Owned(text.into_owned());
        Some(LoggedRequest {
            request_id: id.into_owned(),
            at_ms,
            subject: subjects.get(subject)?.clone(),
            operation: owned(operation),
            status,
            error: owned(error),
            cache: owned(cache),
            attempts,
            duration_ms: duration,
            first_token_ms: first,
            usage: Usage { prompt, completion, cached, cache_write, reasoning },
            cost,
        })
    }
}

impl RequestBlock {
    /// These requests as blocks.
    ///
    /// # Errors
    /// Those of the compression.
    pub fn of(requests: Vec<LoggedRequest>) -> Result<Vec<Self>> {
        Self::split(requests, MINUTE_MS)
    }

    /// The same, each within a time that is a multiple of `span_ms`.
    pub(super) fn split(mut requests: Vec<LoggedRequest>, span_ms: i64) -> Result<Vec<Self>> {
        requests.sort_unstable_by(order);
        let part_of = |request: &LoggedRequest| request.at_ms.div_euclid(span_ms);
        let mut parts: Vec<Vec<LoggedRequest>> = Vec::new();
        for request in requests {
            match parts.last_mut() {
                Some(part)
                    if part.len() < LARGEST
                        && part.first().is_some_and(|first| part_of(first) == part_of(&request)) =>
                {
                    part.push(request);
                }
                _ => parts.push(vec![request]),
            }
        }
        parts.into_iter().map(|part| Self::new(crate::new_id(), part)).collect()
    }

    /// Of these, which are in order, at least one and within one span.
    fn new(id: String, requests: Vec<LoggedRequest>) -> Result<Self> {
        Ok(Self { id, packed: Packed::of(&requests)?, requests })
    }

    /// The same block with these requests.
    pub(super) fn of_these(&self, requests: Vec<LoggedRequest>) -> Result<Self> {
        Self::new(self.id.clone(), requests)
    }

    /// What is in it, oldest first.
    pub fn requests(&self) -> &[LoggedRequest] {
        &self.requests
    }

    /// When the first one arrived.
    pub(super) fn first_at(&self) -> i64 {
        self.requests.first().map_or(i64::MAX, |request| request.at_ms)
    }

    pub(super) async fn insert(&self, transaction: &mut Transaction) -> Result<()> {
        let sql = "INSERT INTO request_blocks (id, first_at, last_at, requests, names, ids, data)
                   VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (id) DO NOTHING";
        transaction.execute(sql, self.values()).await.map(|_| ())
    }

    /// Puts it in place of the row with its id.
    pub(super) async fn update(&self, transaction: &mut Transaction) -> Result<()> {
        let sql = "UPDATE request_blocks SET first_at = $2, last_at = $3, requests = $4, names = $5, ids = $6, data = $7
                   WHERE id = $1";
        transaction.execute(sql, self.values()).await.map(|_| ())
    }

    fn values(&self) -> Vec<Value> {
        let last_at = self.requests.last().map_or(i64::MIN, |request| request.at_ms);
        vec![
            self.id.as_str().into(),
            self.first_at().into(),
            last_at.into(),
            (self.requests.len() as u64).into(),
            self.packed.names.as_slice().into(),
            self.packed.ids.as_slice().into(),
            self.packed.data.as_slice().into(),
        ]
    }

    /// The block of a row with its id and data.
    pub(super) fn read(row: &Row) -> Result<Self> {
        let requests = decode(row)?;
        let packed = Packed { names: Vec::new(), ids: Vec::new(), data: Vec::new() };
        Ok(Self { id: row.text("id")?, requests, packed })
    }

    pub(super) fn into_requests(self) -> Vec<LoggedRequest> {
        self.requests
    }
}

impl Packed {
    fn of(requests: &[LoggedRequest]) -> Result<Self> {
        let mut pack = Pack::new(TABLE, requests.len());
        let mut names: HashSet<Token<'_>> = HashSet::new();
        let mut subject: *const Subject = std::ptr::null();
        for request in requests {
            let place = pack.place(&request.subject);
            pack.line(&Line::of(request, place))?;
            names.insert(Token::Status(request.status));
            // As a rule, neighbours have the same.
            if !std::ptr::eq(subject, Arc::as_ptr(&request.subject)) {
                subject = Arc::as_ptr(&request.subject);
                let Subject { key_id, team_id, user_id, model, .. } = &*request.subject;
                names.extend([
                    Token::Key(key_id),
                    Token::Team(team_id),
                    Token::User(user_id),
                    Token::Model(model),
                ]);
            }
        }
        Ok(Self {
            names: sieve::build(names.into_iter()),
            ids: sieve::build(requests.iter().map(|request| Token::Request(&request.request_id))),
            data: pack.finish()?,
        })
    }
}

/// The requests of a row, oldest first.
pub(super) fn decode(row: &Row) -> Result<Vec<LoggedRequest>> {
    let lines = packed::unpack(row, TABLE)?;
    packed::read(&lines, Line::request).map_err(|error| packed::damaged(TABLE, error))
}

/// By time, and those of one time by id.
pub(super) fn order(one: &LoggedRequest, other: &LoggedRequest) -> Ordering {
    (one.at_ms, &one.request_id).cmp(&(other.at_ms, &other.request_id))
}
