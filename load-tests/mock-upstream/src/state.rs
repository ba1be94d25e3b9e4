//! What all connections of one mock share.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Semaphore;

use crate::mock::Options;
use crate::record::{Counters, Ring};

/// More names than this under `first` start over: a test run uses a handful.
const MAX_COUNTED_NAMES: usize = 10_000;

pub(crate) struct State {
    pub(crate) options: Options,
    pub(crate) ring: Ring,
    pub(crate) counters: Counters,
    /// One for each answer at once.
    pub(crate) slots: Option<Semaphore>,
    next_id: AtomicU64,
    asked: Mutex<HashMap<String, u64>>,
}

impl State {
    pub(crate) fn new(options: Options) -> Self {
        let ring = Ring::new(options.record);
        let slots = options.capacity.map(Semaphore::new);
        Self {
            options,
            ring,
            counters: Counters::default(),
            slots,
            next_id: AtomicU64::new(1),
            asked: Mutex::default(),
        }
    }

    /// A number no other answer of this mock carries.
    pub(crate) fn next_id(&self) -> u64 {
        self.next_id.fetch_add(1, Ordering::Relaxed)
    }

    /// How often `name` was counted, this time included.
    pub(crate) fn count(&self, name: &str) -> u64 {
        let mut asked = lock(&self.asked);
        if asked.len() >= MAX_COUNTED_NAMES && !asked.contains_key(name) {
            asked.clear();
        }
        let count = asked.entry(name.to_owned()).or_default();
        *count += 1;
        *count
    }

    pub(crate) fn clear(&self) {
        self.ring.clear();
        self.counters.clear();
        lock(&self.asked).clear();
    }
}

/// A poisoned lock guards plain counters and copies, which stay valid.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
