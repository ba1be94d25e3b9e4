//! One virtual key's counters, and the book of all of them, which outlives reloads.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::{InFlightBook, Window};

/// Every key's counters by name. A reload that changes a limit keeps what has been counted.
#[derive(Debug)]
pub struct LimitBook {
    origin: Instant,
    keys: Mutex<HashMap<String, Arc<KeyLimits>>>,
    in_flight: InFlightBook,
}

/// One key's limits (0: none) and counters.
#[derive(Debug)]
pub struct KeyLimits {
    origin: Instant,
    rpm: AtomicU64,
    tpm: AtomicU64,
    max_parallel: AtomicU32,
    parallel: AtomicU32,
    windows: Mutex<Windows>,
}

#[derive(Debug, Default)]
struct Windows {
    requests: Window,
    tokens: Window,
}

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// `requests`, `tokens` or `parallel requests`.
    pub what: &'static str,
    /// The limit.
    pub limit: u64,
    /// When to come back.
    pub retry_after: Duration,
}

/// Counts one running request until it is dropped.
#[derive(Debug)]
pub struct Parallel(Arc<KeyLimits>);

impl Default for LimitBook {
    fn default() -> Self {
        Self { origin: Instant::now(), keys: Mutex::default(), in_flight: InFlightBook::default() }
    }
}

impl LimitBook {
    /// The limits of models and deployments.
    pub fn in_flight(&self) -> &InFlightBook {
        &self.in_flight
    }

    /// The counters of a key, with these limits from now on; None when it has none.
    pub fn of(
        &self,
        name: &str,
        rpm: Option<u32>,
        tpm: Option<u64>,
        max_parallel: Option<u32>,
    ) -> Option<Arc<KeyLimits>> {
        if rpm.is_none() && tpm.is_none() && max_parallel.is_none() {
            return None;
        }
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        let limits = keys.entry(name.to_owned()).or_insert_with(|| Arc::new(KeyLimits::new(self.origin)));
        limits.rpm.store(rpm.map_or(0, u64::from), Ordering::Relaxed);
        limits.tpm.store(tpm.unwrap_or(0), Ordering::Relaxed);
        limits.max_parallel.store(max_parallel.unwrap_or(0), Ordering::Relaxed);
        Some(limits.clone())
    }

    /// Drops the counters of a key that is gone.
    pub fn forget(&self, name: &str) {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
    }
}

impl KeyLimits {
    fn new(origin: Instant) -> Self {
        Self {
            origin,
            rpm: AtomicU64::new(0),
            tpm: AtomicU64::new(0),
            max_parallel: AtomicU32::new(0),
            parallel: AtomicU32::new(0),
            windows: Mutex::default(),
        }
    }

    /// Counts a request.
    ///
    /// # Errors
    /// When the requests per minute or the parallel requests are used up; nothing is counted then.
    pub fn admit(self: &Arc<Self>, now: Instant) -> Result<Parallel, Refusal> {
        let max_parallel = self.max_parallel.load(Ordering::Relaxed);
        let before = self.parallel.fetch_add(1, Ordering::AcqRel);
        let parallel = Parallel(self.clone());
        if max_parallel > 0 && before >= max_parallel {
            let retry_after = Duration::from_secs(1);
            return Err(Refusal { what: "parallel requests", limit: max_parallel.into(), retry_after });
        }
        let limit = self.rpm.load(Ordering::Relaxed);
        if limit > 0 {
            let now = self.since_origin(now);
            let mut windows = self.windows();
            if windows.requests.sum(now) >= limit {
                let retry_after = windows.requests.wait(now, 1, limit);
                return Err(Refusal { what: "requests", limit, retry_after });
            }
            windows.requests.add(now, 1);
        }
        Ok(parallel)
    }

    /// Reserves tokens before the request is sent.
    ///
    /// # Errors
    /// When they do not fit; nothing is counted then. A single request above the whole limit passes
    /// when the window is empty, or it could never be served.
    pub fn reserve(&self, now: Instant, tokens: u64) -> Result<(), Refusal> {
        let limit = self.tpm.load(Ordering::Relaxed);
        if limit == 0 {
            return Ok(());
        }
        let now = self.since_origin(now);
        let mut windows = self.windows();
        let used = windows.tokens.sum(now);
        if used > 0 && used + tokens > limit {
            let retry_after = windows.tokens.wait(now, tokens.min(limit), limit);
            return Err(Refusal { what: "tokens", limit, retry_after });
        }
        windows.tokens.add(now, tokens);
        Ok(())
    }

    /// Replaces a reservation by what was used.
    pub fn settle(&self, now: Instant, reserved_at: Instant, reserved: u64, used: u64) {
        if self.tpm.load(Ordering::Relaxed) > 0 {
            let (now, then) = (self.since_origin(now), self.since_origin(reserved_at));
            self.windows().tokens.correct(now, then, reserved, used);
        }
    }

    /// Requests per minute: the limit and what is left of it; None without a limit.
    pub fn requests_left(&self, now: Instant) -> Option<(u64, u64)> {
        let limit = self.rpm.load(Ordering::Relaxed);
        let now = self.since_origin(now);
        (limit > 0).then(|| (limit, limit.saturating_sub(self.windows().requests.sum(now))))
    }

    /// Tokens per minute: the limit and what is left of it; None without a limit.
    pub fn tokens_left(&self, now: Instant) -> Option<(u64, u64)> {
        let limit = self.tpm.load(Ordering::Relaxed);
        let now = self.since_origin(now);
        (limit > 0).then(|| (limit, limit.saturating_sub(self.windows().tokens.sum(now))))
    }

    fn windows(&self) -> MutexGuard<'_, Windows> {
        self.windows.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A window starts a minute after the origin, so that it never reaches before it.
    fn since_origin(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.origin) + Duration::from_secs(60)
    }
}

impl Drop for Parallel {
    fn drop(&mut self) {
        self.0.parallel.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_61st_request_of_a_minute_is_refused_with_the_right_wait() {
        let book = LimitBook::default();
        let limits = book.of("dev", Some(60), None, None).unwrap();
        let start = book.origin;
        for n in 0..60 {
            assert!(limits.admit(start + Duration::from_millis(n * 10)).is_ok());
        }
        let refusal = limits.admit(start + Duration::from_secs(10)).unwrap_err();
        assert_eq!(
            (refusal.what, refusal.limit, refusal.retry_after),
            ("requests", 60, Duration::from_secs(50))
        );
        assert!(limits.admit(start + Duration::from_secs(60)).is_ok());
    }

    #[test]
    fn a_parallel_slot_is_free_again_when_its_request_ends() {
        let book = LimitBook::default();
        let limits = book.of("dev", None, None, Some(1)).unwrap();
        let first = limits.admit(book.origin).unwrap();
        assert_eq!(limits.admit(book.origin).unwrap_err().what, "parallel requests");
        drop(first);
        assert!(limits.admit(book.origin).is_ok());
    }

    #[test]
    fn settled_tokens_replace_the_reservation() {
        let book = LimitBook::default();
        let limits = book.of("dev", None, Some(1_000), None).unwrap();
        let now = book.origin;
        limits.reserve(now, 900).unwrap();
        assert_eq!(limits.reserve(now, 200).unwrap_err().what, "tokens");
        limits.settle(now, now, 900, 100);
        assert!(limits.reserve(now, 200).is_ok());
        assert_eq!(limits.tokens_left(now), Some((1_000, 700)));
    }

    #[test]
    fn a_reload_keeps_what_was_counted() {
        let book = LimitBook::default();
        let before = book.of("dev", Some(1), None, None).unwrap();
        assert!(before.admit(book.origin).is_ok());
        let after = book.of("dev", Some(1), None, None).unwrap();
        assert!(after.admit(book.origin).is_err());
    }
}
