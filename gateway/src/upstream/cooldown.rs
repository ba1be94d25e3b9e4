//! Cooldown: a deployment that failed several times in a row leaves the rotation, and comes back
//! through a single probing request.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// When to open and for how long.
#[derive(Clone, Copy, Debug)]
pub struct CooldownRule {
    /// Failures in a row that open it; 0 is never.
    pub failures: u32,
    /// How long it stays open.
    pub open: Duration,
}

/// The breaker of one deployment: closed, open until a moment, or half open with one probe.
#[derive(Debug)]
pub struct Cooldown {
    origin: Instant,
    failures: AtomicU32,
    /// Milliseconds after `origin`; 0 is closed.
    open_until: AtomicU64,
    probing: AtomicBool,
}

impl Default for Cooldown {
    fn default() -> Self {
        Self {
            origin: Instant::now(),
            failures: AtomicU32::new(0),
            open_until: AtomicU64::new(0),
            probing: AtomicBool::new(false),
        }
    }
}

impl Cooldown {
    /// May a request be sent now? A true answer while half open claims the only probe.
    pub fn admit(&self, now: Instant) -> bool {
        match self.open_until.load(Ordering::Acquire) {
            0 => true,
            until if self.millis(now) < until => false,
            _ => !self.probing.swap(true, Ordering::AcqRel),
        }
    }

    /// True while requests are kept away.
    pub fn is_open(&self, now: Instant) -> bool {
        self.open_until.load(Ordering::Acquire) > self.millis(now)
    }

    /// True when the last attempt failed.
    pub fn is_failing(&self) -> bool {
        self.failures.load(Ordering::Relaxed) > 0
    }

    /// An attempt was answered.
    pub fn succeeded(&self) {
        if self.failures.load(Ordering::Relaxed) != 0 || self.open_until.load(Ordering::Relaxed) != 0 {
            self.failures.store(0, Ordering::Release);
            self.open_until.store(0, Ordering::Release);
        }
        self.release_probe();
    }

    /// An attempt failed through the deployment's fault.
    pub fn failed(&self, rule: CooldownRule, now: Instant) {
        let failures = self.failures.fetch_add(1, Ordering::AcqRel).saturating_add(1);
        let was_open = self.open_until.load(Ordering::Acquire) != 0;
        if rule.failures > 0 && (was_open || failures >= rule.failures) {
            self.open(rule.open, now);
        }
        self.release_probe();
    }

    /// Takes the deployment out at once.
    pub fn open(&self, duration: Duration, now: Instant) {
        let until = self.millis(now + duration).max(1);
        self.open_until.fetch_max(until, Ordering::AcqRel);
    }

    /// The probing request ended without a verdict.
    pub fn release_probe(&self) {
        if self.probing.load(Ordering::Relaxed) {
            self.probing.store(false, Ordering::Release);
        }
    }

    fn millis(&self, now: Instant) -> u64 {
        u64::try_from(now.saturating_duration_since(self.origin).as_millis()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULE: CooldownRule = CooldownRule { failures: 3, open: Duration::from_secs(5) };

    #[test]
    fn three_failures_open_it_and_one_probe_closes_it() {
        let cooldown = Cooldown::default();
        let now = Instant::now();
        for _ in 0..2 {
            cooldown.failed(RULE, now);
        }
        assert!(cooldown.admit(now));
        cooldown.failed(RULE, now);
        assert!(!cooldown.admit(now));
        let later = now + Duration::from_secs(6);
        assert!(cooldown.admit(later), "the first request probes");
        assert!(!cooldown.admit(later), "the second waits for the probe's verdict");
        cooldown.succeeded();
        assert!(cooldown.admit(later) && cooldown.admit(later));
    }

    #[test]
    fn a_failed_probe_opens_it_again() {
        let cooldown = Cooldown::default();
        let now = Instant::now();
        cooldown.open(RULE.open, now);
        let later = now + Duration::from_secs(6);
        assert!(cooldown.admit(later));
        cooldown.failed(RULE, later);
        assert!(!cooldown.admit(later + Duration::from_secs(4)));
    }

    #[test]
    fn a_success_in_between_resets_the_count() {
        let cooldown = Cooldown::default();
        let now = Instant::now();
        for _ in 0..5 {
            cooldown.failed(RULE, now);
            cooldown.succeeded();
        }
        assert!(cooldown.admit(now));
    }
}
