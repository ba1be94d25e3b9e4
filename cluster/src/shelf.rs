//! Answers that several gateways share. A connection of its own, with a deadline and a breaker of its own: what is slow
//! here must not end the epoch of limits and budgets, and a request waits for it once at most.
//!
//! Everything that Redis must not lose in part lies under one name: the seeds of the keys, when the shelf was born, and
//! the purges with their numbers. Lost together they make a new shelf, whose entries have other names.

mod keeper;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use domain::Secret;
use redis::aio::MultiplexedConnection;
use redis::{Pipeline, RedisError, Script};
use tokio::sync::mpsc::{Sender, channel};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use crate::link::{Away, ClusterError};
use crate::names;

pub use keeper::{Heard, Known, ShelfKeeper};

/// What waits to be written, in entries and in bytes. More is not shared.
const WAITING: usize = 4_096;
const WAITING_BYTES: usize = 16 << 20;
/// More purges than these become one of everything.
const MOST_PURGES: usize = 10_000;

/// The shelf. Clones are the same.
#[derive(Clone, Debug)]
pub struct Shelf(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    deadline: Duration,
    is_up: AtomicBool,
    failed: Notify,
    open: Mutex<Option<Open>>,
    failures: AtomicU64,
    dropped: AtomicU64,
    room: Arc<Semaphore>,
    writes: Sender<Write>,
    purge: Script,
}

/// What a request needs to look something up.
#[derive(Clone, Debug)]
struct Open {
    connection: MultiplexedConnection,
    born: Arc<str>,
    /// The newest purge that this gateway has obeyed.
    seen: Arc<AtomicU64>,
}

/// What was purged of which shelf before an answer was kept here.
#[derive(Clone, Debug)]
pub struct Stamp {
    born: Arc<str>,
    /// The newest purge.
    pub number: u64,
}

#[derive(Debug)]
struct Write {
    born: Arc<str>,
    key: u128,
    bytes: Vec<u8>,
    ttl_ms: u64,
    _room: OwnedSemaphorePermit,
}

/// How it stands; what is counted begins with the process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ShelfStats {
    /// It may be asked.
    pub is_up: bool,
    /// Calls without an answer in time.
    pub failures: u64,
    /// Answers that were not shared, because too much waited.
    pub dropped: u64,
}

impl Shelf {
    /// At this address, with so long for a lookup. Nobody is connected before the keeper runs.
    ///
    /// # Errors
    /// When the address is none.
    pub fn new(url: &Secret, deadline: Duration) -> Result<(Self, ShelfKeeper), ClusterError> {
        let client = redis::Client::open(url.expose()).map_err(|_| ClusterError::Address)?;
        let (writes, waiting) = channel(WAITING);
        let shelf = Self(Arc::new(Inner {
            deadline,
            is_up: AtomicBool::new(false),
            failed: Notify::new(),
            open: Mutex::default(),
            failures: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
            room: Arc::new(Semaphore::new(WAITING_BYTES)),
            writes,
            purge: Script::new(include_str!("scripts/purge.lua")),
        }));
        Ok((shelf.clone(), ShelfKeeper::new(shelf, client, waiting)))
    }

    /// It may be asked.
    pub fn is_up(&self) -> bool {
        self.0.is_up.load(Ordering::Acquire)
    }

    /// To be taken before an answer is kept here: what has been purged until then is obeyed here already. None before
    /// Redis was reached for the first time.
    pub fn stamp(&self) -> Option<Stamp> {
        let open = self.last()?;
        Some(Stamp { number: open.seen.load(Ordering::Acquire), born: open.born })
    }

    /// How it stands.
    pub fn stats(&self) -> ShelfStats {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        ShelfStats { is_up: self.is_up(), failures: count(&self.0.failures), dropped: count(&self.0.dropped) }
    }

    /// The entry under a key, and the newest purge of all of these.
    ///
    /// # Errors
    /// When there is no answer in time.
    pub async fn get(&self, key: u128, purges: &[String]) -> Result<Option<(Vec<u8>, u64)>, Away> {
        let Some(mut open) = self.open() else { return Err(Away::NotAsked) };
        let mut call = Pipeline::with_capacity(2);
        call.get(names::entry(&open.born, key));
        let fields = call.cmd("HMGET").arg(names::SHELF).arg("born").arg("purge:all");
        for purge in purges {
            fields.arg(format!("purge:{purge}"));
        }
        let asked = call.query_async(&mut open.connection);
        let (bytes, mut state): (Option<Vec<u8>>, Vec<Option<String>>) = self.in_time(asked).await?;
        let Some(bytes) = bytes else { return Ok(None) };
        let born = if state.is_empty() { None } else { state.remove(0) };
        if born.as_deref() != Some(&*open.born) {
            return Ok(None);
        }
        let newest = state.iter().flatten().filter_map(|number| number.parse().ok()).max();
        Ok(Some((bytes, newest.unwrap_or(0))))
    }

    /// Writes an entry, beside the request and at leisure: when Redis is well again, if it is not.
    pub fn put(&self, stamp: Stamp, key: u128, bytes: Vec<u8>, ttl_ms: u64) {
        let size = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        let room = self.0.room.clone().try_acquire_many_owned(size).ok();
        let write =
            room.map(|room| Write { born: stamp.born, key, bytes, ttl_ms: ttl_ms.max(1), _room: room });
        if write.is_none_or(|write| self.0.writes.try_send(write).is_err()) {
            self.0.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Makes everything void, at all gateways, that belongs to this and was asked for before. Takes a second at most.
    ///
    /// # Errors
    /// When it is not known to have been written.
    pub async fn purge(&self, what: &str) -> Result<(), Away> {
        let Some(mut open) = self.open() else { return Err(Away::NotAsked) };
        let mut call = self.0.purge.key(names::SHELF);
        call.arg(what).arg(MOST_PURGES);
        let asked = call.invoke_async::<u64>(&mut open.connection);
        match tokio::time::timeout(keeper::CALL_TIME, asked).await {
            Ok(Ok(_)) => Ok(()),
            _ => Err(self.fail()),
        }
    }

    fn open(&self) -> Option<Open> {
        if self.is_up() { self.last() } else { None }
    }

    fn last(&self) -> Option<Open> {
        self.0.open.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn in_time<T>(&self, asked: impl Future<Output = Result<T, RedisError>>) -> Result<T, Away> {
        match tokio::time::timeout(self.0.deadline, asked).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(_)) | Err(_) => Err(self.fail()),
        }
    }

    /// The breaker opens until the keeper has found Redis well again.
    fn fail(&self) -> Away {
        self.0.failures.fetch_add(1, Ordering::Relaxed);
        if self.0.is_up.swap(false, Ordering::AcqRel) {
            self.0.failed.notify_one();
        }
        Away::Asked
    }
}

/// The purges of a shelf that are newer than `seen`, as they were named.
fn newer(state: &HashMap<String, String>, seen: u64) -> Vec<String> {
    let number = |text: &String| text.parse::<u64>().ok();
    let purges =
        state.iter().filter_map(|(field, text)| Some((field.strip_prefix("purge:")?, number(text)?)));
    purges.filter(|(_, number)| *number > seen).map(|(what, _)| what.to_owned()).collect()
}
