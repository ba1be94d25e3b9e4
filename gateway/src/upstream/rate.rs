//! Configured requests and tokens per minute of one deployment: exact, and known before any provider
//! has to refuse.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::DeploymentState;
use crate::limits::{Count, Window};

/// What is configured; 0 is no limit.
#[derive(Clone, Copy, Debug, Default)]
pub struct RateLimit {
    /// Requests per minute.
    pub rpm: u64,
    /// Tokens per minute.
    pub tpm: u64,
}

/// What was sent in the last minute. Shared by all models that name the deployment, with or without a
/// limit of their own; counted as soon as one of them has one.
#[derive(Debug)]
pub struct Rates {
    origin: Instant,
    counted: AtomicBool,
    window: Mutex<Window>,
}

/// A request that was counted, with its estimated tokens.
#[derive(Debug)]
pub struct Taken {
    state: Arc<DeploymentState>,
    at: Instant,
    tokens: u64,
}

impl Default for Rates {
    fn default() -> Self {
        Self { origin: Instant::now(), counted: AtomicBool::new(false), window: Mutex::default() }
    }
}

impl Rates {
    /// From now on requests are counted.
    pub fn count(&self) {
        self.counted.store(true, Ordering::Relaxed);
    }

    /// How long until one more request of so many tokens fits; None when it fits now.
    pub fn wait(&self, limit: RateLimit, tokens: u64, now: Instant) -> Option<Duration> {
        if limit.rpm == 0 && limit.tpm == 0 {
            return None;
        }
        let now = self.since_origin(now);
        wait(&mut self.window(), limit, tokens, now)
    }

    fn window(&self) -> MutexGuard<'_, Window> {
        self.window.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A window starts a minute after the origin, so that it never reaches before it.
    fn since_origin(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.origin) + Duration::from_secs(60)
    }
}

fn wait(window: &mut Window, limit: RateLimit, tokens: u64, now: Duration) -> Option<Duration> {
    let requests = (limit.rpm > 0 && window.sum(Count::Requests, now) >= limit.rpm)
        .then(|| window.wait(Count::Requests, now, 1, limit.rpm));
    // A request above the whole limit passes an empty window, or it could never be served.
    let used = if limit.tpm > 0 { window.sum(Count::Tokens, now) } else { 0 };
    let tokens = (used > 0 && used.saturating_add(tokens) > limit.tpm)
        .then(|| window.wait(Count::Tokens, now, tokens.min(limit.tpm), limit.tpm));
    requests.max(tokens)
}

impl DeploymentState {
    /// Counts a request.
    ///
    /// # Errors
    /// How long to wait when it does not fit; nothing is counted then.
    pub fn take(
        self: &Arc<Self>,
        limit: RateLimit,
        tokens: u64,
        now: Instant,
    ) -> Result<Option<Taken>, Duration> {
        if !self.rates.counted.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let at = self.rates.since_origin(now);
        let mut window = self.rates.window();
        if let Some(wait) = wait(&mut window, limit, tokens, at) {
            return Err(wait);
        }
        window.add(Count::Requests, at, 1);
        window.add(Count::Tokens, at, tokens);
        drop(window);
        Ok(Some(Taken { state: self.clone(), at: now, tokens }))
    }
}

impl Taken {
    /// Replaces the estimate by what was used; without a count the estimate stands.
    pub fn settle(self, used: u64, now: Instant) {
        let rates = &self.state.rates;
        let (now, at) = (rates.since_origin(now), rates.since_origin(self.at));
        rates.window().correct(Count::Tokens, now, at, self.tokens, used);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: RateLimit = RateLimit { rpm: 2, tpm: 1_000 };

    fn state() -> (Arc<DeploymentState>, Instant) {
        let state = Arc::new(DeploymentState::default());
        state.rates.count();
        let origin = state.rates.origin;
        (state, origin)
    }

    #[test]
    fn the_third_request_of_a_minute_waits() {
        let (state, now) = state();
        assert!(state.take(LIMIT, 1, now).is_ok());
        assert_eq!(state.rates.wait(LIMIT, 1, now), None);
        assert!(state.take(LIMIT, 1, now + Duration::from_secs(10)).is_ok());
        let later = now + Duration::from_secs(20);
        assert_eq!(state.take(LIMIT, 1, later).unwrap_err(), Duration::from_secs(40));
        assert_eq!(state.rates.wait(LIMIT, 1, later), Some(Duration::from_secs(40)));
        assert!(state.take(LIMIT, 1, now + Duration::from_secs(60)).is_ok());
    }

    #[test]
    fn tokens_are_settled_by_what_was_used() {
        let (state, now) = state();
        let taken = state.take(LIMIT, 900, now).unwrap().unwrap();
        assert!(state.rates.wait(LIMIT, 200, now).is_some());
        taken.settle(100, now);
        assert_eq!(state.rates.wait(LIMIT, 200, now), None);
    }

    #[test]
    fn a_request_above_the_whole_limit_passes_an_empty_window() {
        let (state, now) = state();
        assert!(state.take(LIMIT, 5_000, now).is_ok());
        assert!(state.take(LIMIT, 1, now).is_err());
    }

    #[test]
    fn a_model_without_a_limit_is_counted_for_the_one_with() {
        let (state, now) = state();
        assert!((0..2).all(|_| state.take(RateLimit::default(), 1, now).is_ok()));
        assert!(state.take(LIMIT, 1, now).is_err());
        let uncounted = Arc::new(DeploymentState::default());
        assert!(uncounted.take(RateLimit::default(), 1, now).is_ok_and(|taken| taken.is_none()));
    }
}
