//! One virtual key's counters, and the book of all of them, which outlives reloads.

use std::collections::HashMap;
use std::hint::black_box;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::shared::{Denied, Place, Shared};
use super::{Count, InFlightBook, Window};
use crate::sharing::Sharing;

/// Every key's counters by name. A reload that changes a limit keeps what has been counted.
#[derive(Debug)]
pub struct LimitBook {
    origin: Instant,
    keys: Mutex<HashMap<String, Arc<KeyLimits>>>,
    in_flight: InFlightBook,
    sharing: Option<Arc<Sharing>>,
}

/// One key's limits (0: none) and counters.
#[derive(Debug)]
// In this order, so that what every request reads lies together: with many keys it is in no cache.
#[repr(C)]
pub struct KeyLimits {
    origin: Instant,
    /// With whom it is counted.
    pub(super) sharing: Option<Arc<Sharing>>,
    pub(super) rpm: AtomicU64,
    pub(super) tpm: AtomicU64,
    pub(super) max_parallel: AtomicU32,
    pub(super) parallel: AtomicU32,
    windows: Mutex<Windows>,
    pub(super) id: String,
}

/// What this process has counted.
#[derive(Debug, Default)]
#[repr(C)]
pub(super) struct Windows {
    pub(super) minute: Window,
    /// Of nobody's concern without others.
    pub(super) shared: Shared,
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

/// Of each limit per minute that a key has: the limit, and what is left of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Left {
    /// Requests.
    pub requests: Option<(u64, u64)>,
    /// Tokens.
    pub tokens: Option<(u64, u64)>,
}

/// Counts one running request until it is dropped.
#[derive(Debug)]
pub struct Parallel {
    pub(super) limits: Arc<KeyLimits>,
    /// Requests of the key that ran here before it.
    pub(super) before: u32,
    /// Other gateways know of it.
    pub(super) is_shared: bool,
}

/// Tokens that are counted before the request is sent.
#[derive(Clone, Copy, Debug)]
pub struct ReservedTokens {
    /// When.
    pub at: Instant,
    /// How many.
    pub tokens: u64,
    /// Where, when others count them too.
    pub(super) place: Place,
}

impl Default for LimitBook {
    fn default() -> Self {
        Self::new(None)
    }
}

impl LimitBook {
    /// Counted together with others, if there are any.
    pub fn new(sharing: Option<Arc<Sharing>>) -> Self {
        let (keys, in_flight) = (Mutex::default(), InFlightBook::default());
        Self { origin: Instant::now(), keys, in_flight, sharing }
    }

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
        let mut keys = self.keys();
        let new = || Arc::new(KeyLimits::new(name, self.origin, self.sharing.clone()));
        let limits = keys.entry(name.to_owned()).or_insert_with(new);
        limits.rpm.store(rpm.map_or(0, u64::from), Ordering::Relaxed);
        limits.tpm.store(tpm.unwrap_or(0), Ordering::Relaxed);
        limits.max_parallel.store(max_parallel.unwrap_or(0), Ordering::Relaxed);
        Some(limits.clone())
    }

    /// Drops the counters of a key that is gone.
    pub fn forget(&self, name: &str) {
        self.keys().remove(name);
    }

    /// The counters of all keys.
    pub fn all(&self) -> Vec<Arc<KeyLimits>> {
        self.keys().values().cloned().collect()
    }

    fn keys(&self) -> MutexGuard<'_, HashMap<String, Arc<KeyLimits>>> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl KeyLimits {
    fn new(id: &str, origin: Instant, sharing: Option<Arc<Sharing>>) -> Self {
        let epoch = sharing.as_ref().map_or(0, |sharing| sharing.cluster.epoch());
        Self {
            origin,
            sharing,
            rpm: AtomicU64::new(0),
            tpm: AtomicU64::new(0),
            max_parallel: AtomicU32::new(0),
            parallel: AtomicU32::new(0),
            windows: Mutex::new(Windows { shared: Shared::new(epoch), ..Windows::default() }),
            id: id.to_owned(),
        }
    }

    /// Counts a request, together with other gateways where there are any.
    ///
    /// # Errors
    /// When the requests per minute or the parallel requests are used up; nothing is counted then.
    pub async fn admit(self: &Arc<Self>, now: Instant) -> Result<Parallel, Denied> {
        match &self.sharing {
            None => Ok(self.admit_here(self.enter(), now, 1)?),
            Some(sharing) => Box::pin(self.admit_shared(sharing, now)).await,
        }
    }

    /// Reserves tokens before the request is sent.
    ///
    /// # Errors
    /// When they do not fit; nothing is counted then. A single request above the whole limit passes
    /// when the window is empty, or it could never be served.
    pub async fn reserve(&self, now: Instant, tokens: u64) -> Result<ReservedTokens, Denied> {
        match &self.sharing {
            None => {
                self.reserve_here(now, tokens, 1)?;
                Ok(ReservedTokens { at: now, tokens, place: Place::Here })
            }
            Some(sharing) => Box::pin(self.reserve_shared(sharing, now, tokens)).await,
        }
    }

    /// Replaces a reservation by what was used.
    pub fn settle(&self, now: Instant, reserved: ReservedTokens, used: u64) {
        if self.tpm.load(Ordering::Relaxed) == 0 {
            return;
        }
        let (now, then) = (self.since_origin(now), self.since_origin(reserved.at));
        self.windows().minute.correct(Count::Tokens, now, then, reserved.tokens, used);
        if let Some(sharing) = &self.sharing {
            self.settle_shared(sharing, now, reserved, used);
        }
    }

    /// Counts a request here, against one of `share` equal parts of the limits.
    pub(super) fn admit_here(
        &self,
        parallel: Parallel,
        now: Instant,
        share: u32,
    ) -> Result<Parallel, Refusal> {
        let max_parallel = self.max_parallel.load(Ordering::Relaxed);
        if max_parallel > 0 && parallel.before >= (max_parallel / share).max(1) {
            return Err(Refusal::of_parallel(max_parallel));
        }
        let limit = self.rpm.load(Ordering::Relaxed);
        if limit > 0 {
            let now = self.since_origin(now);
            let own = (limit / u64::from(share)).max(1);
            let mut windows = self.windows();
            if windows.minute.sum(Count::Requests, now) >= own {
                let retry_after = windows.minute.wait(Count::Requests, now, 1, own);
                return Err(Refusal { what: "requests", limit, retry_after });
            }
            windows.minute.add(Count::Requests, now, 1);
        }
        Ok(parallel)
    }

    /// Reserves tokens here, from one of `share` equal parts of the limit.
    pub(super) fn reserve_here(&self, now: Instant, tokens: u64, share: u32) -> Result<(), Refusal> {
        let limit = self.tpm.load(Ordering::Relaxed);
        if limit == 0 {
            return Ok(());
        }
        let own = (limit / u64::from(share)).max(1);
        let now = self.since_origin(now);
        let mut windows = self.windows();
        let used = windows.minute.sum(Count::Tokens, now);
        if used > 0 && used + tokens > own {
            let retry_after = windows.minute.wait(Count::Tokens, now, tokens.min(own), own);
            return Err(Refusal { what: "tokens", limit, retry_after });
        }
        windows.minute.add(Count::Tokens, now, tokens);
        Ok(())
    }

    /// One more runs here.
    pub(super) fn enter(self: &Arc<Self>) -> Parallel {
        let before = self.parallel.fetch_add(1, Ordering::AcqRel);
        Parallel { limits: self.clone(), before, is_shared: false }
    }

    /// What is left of the limits per minute.
    pub fn left(&self, now: Instant) -> Left {
        let now = self.since_origin(now);
        let mut windows = self.windows();
        let mut of = |what, limit: &AtomicU64, told: fn(&Shared) -> Option<u64>| {
            let limit = limit.load(Ordering::Relaxed);
            (limit > 0).then(|| {
                let left = limit.saturating_sub(windows.minute.sum(what, now));
                (limit, self.told(&windows, told).map_or(left, |told| told.min(left)))
            })
        };
        Left {
            requests: of(Count::Requests, &self.rpm, |shared| shared.requests_left),
            tokens: of(Count::Tokens, &self.tpm, |shared| shared.tokens_left),
        }
    }

    /// Has what every request reads and writes of it brought into the processor's cache: see [`crate::keys::Counters::fetch`].
    pub(crate) fn fetch(&self) {
        black_box((self.rpm.load(Ordering::Relaxed), self.windows.is_poisoned()));
    }

    /// What others last said; None without them.
    fn told(&self, windows: &Windows, what: fn(&Shared) -> Option<u64>) -> Option<u64> {
        self.sharing.as_ref().and_then(|_| what(&windows.shared))
    }

    pub(super) fn windows(&self) -> MutexGuard<'_, Windows> {
        self.windows.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A window starts a minute after the origin, so that it never reaches before it.
    pub(super) fn since_origin(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.origin) + Duration::from_secs(60)
    }
}

impl Refusal {
    pub(super) fn of_parallel(limit: u32) -> Self {
        Self { what: "parallel requests", limit: limit.into(), retry_after: Duration::from_secs(1) }
    }
}

impl Parallel {
    /// Has the key's counters brought into the processor's cache: see [`crate::keys::Counters::fetch`].
    pub(crate) fn fetch(&self) {
        self.limits.fetch();
    }
}

impl Drop for Parallel {
    fn drop(&mut self) {
        self.limits.parallel.fetch_sub(1, Ordering::AcqRel);
        if self.is_shared {
            self.limits.leave_shared(None);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal<T: std::fmt::Debug>(denied: &Result<T, Denied>) -> Refusal {
        let Err(Denied::Limit(refusal)) = denied else { panic!("{denied:?}") };
        *refusal
    }

    #[tokio::test]
    async fn the_61st_request_of_a_minute_is_refused_with_the_right_wait() {
        let book = LimitBook::default();
        let limits = book.of("dev", Some(60), None, None).unwrap();
        let start = book.origin;
        for n in 0..60 {
            assert!(limits.admit(start + Duration::from_millis(n * 10)).await.is_ok());
        }
        let refusal = refusal(&limits.admit(start + Duration::from_secs(10)).await);
        assert_eq!(
            (refusal.what, refusal.limit, refusal.retry_after),
            ("requests", 60, Duration::from_secs(50))
        );
        assert!(limits.admit(start + Duration::from_secs(60)).await.is_ok());
    }

    #[tokio::test]
    async fn a_parallel_slot_is_free_again_when_its_request_ends() {
        let book = LimitBook::default();
        let limits = book.of("dev", None, None, Some(1)).unwrap();
        let first = limits.admit(book.origin).await.unwrap();
        assert_eq!(refusal(&limits.admit(book.origin).await).what, "parallel requests");
        drop(first);
        assert!(limits.admit(book.origin).await.is_ok());
    }

    #[tokio::test]
    async fn settled_tokens_replace_the_reservation() {
        let book = LimitBook::default();
        let limits = book.of("dev", None, Some(1_000), None).unwrap();
        let now = book.origin;
        let reserved = limits.reserve(now, 900).await.unwrap();
        assert_eq!(refusal(&limits.reserve(now, 200).await).what, "tokens");
        limits.settle(now, reserved, 100);
        assert!(limits.reserve(now, 200).await.is_ok());
        assert_eq!(limits.left(now).tokens, Some((1_000, 700)));
    }

    #[tokio::test]
    async fn a_reload_keeps_what_was_counted() {
        let book = LimitBook::default();
        let before = book.of("dev", Some(1), None, None).unwrap();
        assert!(before.admit(book.origin).await.is_ok());
        let after = book.of("dev", Some(1), None, None).unwrap();
        assert!(after.admit(book.origin).await.is_err());
    }
}
