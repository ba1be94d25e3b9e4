//! Cooldown: a deployment that failed several times in a row leaves the rotation, and comes back
//! through a single probing request, or through a health check. Each failed probe doubles the wait.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The longest wait between two probes, unless the configured one is longer. With its jitter below the half minute
/// within which a provider that has recovered is to have its traffic back.
const LONGEST_OPEN: Duration = Duration::from_secs(24);
/// Gateways that saw the same failure must not all probe at the same moment.
const JITTER: f64 = 0.2;

/// When to open and for how long.
#[derive(Clone, Copy, Debug)]
pub struct CooldownRule {
    /// Failures in a row that open it; 0 is never.
    pub failures: u32,
    /// How long it stays open at first.
    pub open: Duration,
}

/// What a deployment's cooldown lets through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CooldownState {
    /// Everything.
    Closed,
    /// One request at a time.
    HalfOpen,
    /// Nothing.
    Open,
}

/// The breaker of one deployment: closed, open until a moment, or half open with one probe.
#[derive(Debug)]
pub struct Cooldown {
    origin: Instant,
    failures: AtomicU32,
    failed_probes: AtomicU32,
    /// Milliseconds after `origin`; 0 is closed.
    open_until: AtomicU64,
    probing: AtomicBool,
    /// A health check opened it, so a health check may close it.
    by_check: AtomicBool,
}

/// One request's leave to be sent. A probe that is dropped lets the next one go.
#[derive(Debug)]
pub struct Permit<'a> {
    cooldown: &'a Cooldown,
    probe: bool,
}

impl Default for Cooldown {
    fn default() -> Self {
        Self {
            origin: Instant::now(),
            failures: AtomicU32::new(0),
            failed_probes: AtomicU32::new(0),
            open_until: AtomicU64::new(0),
            probing: AtomicBool::new(false),
            by_check: AtomicBool::new(false),
        }
    }
}

impl Cooldown {
    /// Leave for one request now; while half open the only one.
    pub fn admit(&self, now: Instant) -> Option<Permit<'_>> {
        let until = self.open_until.load(Ordering::Acquire);
        if until == 0 {
            return Some(Permit { cooldown: self, probe: false });
        }
        if self.millis(now) < until || self.probing.swap(true, Ordering::AcqRel) {
            return None;
        }
        let permit = Permit { cooldown: self, probe: true };
        // Another probe may have failed since the first look; then this one comes too early.
        (self.open_until.load(Ordering::Acquire) <= until).then_some(permit)
    }

    /// Would [`Self::admit`] say yes?
    pub fn may_admit(&self, now: Instant) -> bool {
        match self.state(now) {
            CooldownState::Closed => true,
            CooldownState::HalfOpen => !self.probing.load(Ordering::Acquire),
            CooldownState::Open => false,
        }
    }

    /// What it lets through.
    pub fn state(&self, now: Instant) -> CooldownState {
        match self.open_until.load(Ordering::Acquire) {
            0 => CooldownState::Closed,
            until if self.millis(now) < until => CooldownState::Open,
            _ => CooldownState::HalfOpen,
        }
    }

    /// True when the last attempt failed.
    pub fn is_failing(&self) -> bool {
        self.failures.load(Ordering::Relaxed) > 0
    }

    /// The deployment has proved to be alive.
    pub fn succeeded(&self) {
        if self.failures.load(Ordering::Relaxed) != 0 || self.open_until.load(Ordering::Relaxed) != 0 {
            self.failures.store(0, Ordering::Release);
            self.failed_probes.store(0, Ordering::Release);
            self.by_check.store(false, Ordering::Release);
            self.open_until.store(0, Ordering::Release);
        }
    }

    /// An attempt failed through the deployment's fault.
    pub fn failed(&self, rule: CooldownRule, now: Instant, probe: bool) {
        self.failed_with(rule, now, probe, fastrand::f64());
    }

    /// `random` lies in 0..1.
    fn failed_with(&self, rule: CooldownRule, now: Instant, probe: bool, random: f64) {
        if rule.failures == 0 {
            // Only a refused credential can have opened it, and this was another failure.
            if probe {
                self.succeeded();
            }
            return;
        }
        let failures = self.failures.fetch_add(1, Ordering::AcqRel).saturating_add(1);
        let doublings = if probe {
            self.failed_probes.fetch_add(1, Ordering::AcqRel).saturating_add(1)
        } else if failures >= rule.failures && self.open_until.load(Ordering::Acquire) == 0 {
            0
        } else {
            // What was sent before it opened says nothing new.
            return;
        };
        let open = rule.open.saturating_mul(1 << doublings.min(16)).min(LONGEST_OPEN.max(rule.open));
        self.open(open.mul_f64(1.0 - JITTER + 2.0 * JITTER * random), now);
    }

    /// Takes the deployment out at once.
    pub fn open(&self, duration: Duration, now: Instant) {
        let until = self.millis(now + duration).max(1);
        self.open_until.fetch_max(until, Ordering::AcqRel);
    }

    /// A health check failed; the next one is heard before this ends.
    pub fn open_by_check(&self, duration: Duration, now: Instant) {
        self.by_check.store(true, Ordering::Release);
        self.open(duration, now);
    }

    /// A health check went well. One of the address alone takes back only what such a check has said:
    /// it does not know whether the model answers.
    pub fn close_by_check(&self, whole_deployment: bool) {
        if whole_deployment || self.by_check.load(Ordering::Acquire) {
            self.succeeded();
        }
    }

    fn millis(&self, now: Instant) -> u64 {
        u64::try_from(now.saturating_duration_since(self.origin).as_millis()).unwrap_or(u64::MAX)
    }
}

impl Permit<'_> {
    /// The request probes a deployment that is half open.
    pub fn is_probe(&self) -> bool {
        self.probe
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        if self.probe {
            self.cooldown.probing.store(false, Ordering::Release);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULE: CooldownRule = CooldownRule { failures: 3, open: Duration::from_secs(5) };

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn fail(cooldown: &Cooldown, now: Instant, probe: bool) {
        cooldown.failed_with(RULE, now, probe, 0.5);
    }

    /// Open since `now`.
    fn opened(now: Instant) -> Cooldown {
        let cooldown = Cooldown { origin: now, ..Cooldown::default() };
        (0..3).for_each(|_| fail(&cooldown, now, false));
        cooldown
    }

    #[test]
    fn three_failures_open_it_and_one_probe_closes_it() {
        let now = Instant::now();
        let cooldown = Cooldown { origin: now, ..Cooldown::default() };
        fail(&cooldown, now, false);
        fail(&cooldown, now, false);
        assert!(cooldown.admit(now).is_some_and(|permit| !permit.is_probe()));
        fail(&cooldown, now, false);
        assert!(cooldown.admit(now).is_none());
        let later = now + seconds(5);
        let probe = cooldown.admit(later).unwrap();
        assert!(probe.is_probe());
        assert!(cooldown.admit(later).is_none(), "the second waits for the probe's verdict");
        assert!(!cooldown.may_admit(later));
        cooldown.succeeded();
        drop(probe);
        assert!(cooldown.admit(later).is_some() && cooldown.admit(later).is_some());
        assert_eq!(cooldown.state(later), CooldownState::Closed);
    }

    #[test]
    fn each_failed_probe_doubles_the_wait_up_to_24_seconds() {
        let mut now = Instant::now();
        let cooldown = opened(now);
        for wait in [5, 10, 20, 24, 24] {
            assert_eq!(cooldown.state(now + seconds(wait - 1)), CooldownState::Open, "{wait}");
            now += seconds(wait);
            let probe = cooldown.admit(now).unwrap();
            fail(&cooldown, now, probe.is_probe());
        }
        cooldown.succeeded();
        (0..3).for_each(|_| fail(&cooldown, now, false));
        assert!(cooldown.may_admit(now + seconds(5)), "a success forgets the doublings");
    }

    #[test]
    fn a_configured_wait_above_24_seconds_stays() {
        let now = Instant::now();
        let cooldown = Cooldown { origin: now, ..Cooldown::default() };
        let rule = CooldownRule { failures: 1, open: seconds(90) };
        cooldown.failed_with(rule, now, false, 0.5);
        assert!(!cooldown.may_admit(now + seconds(89)) && cooldown.may_admit(now + seconds(90)));
    }

    #[test]
    fn jitter_is_a_fifth_in_both_directions() {
        for (random, wait) in [(0.0, 4_000), (1.0, 6_000)] {
            let now = Instant::now();
            let cooldown = Cooldown { origin: now, ..Cooldown::default() };
            (0..3).for_each(|_| cooldown.failed_with(RULE, now, false, random));
            let at = |millis| cooldown.may_admit(now + Duration::from_millis(millis));
            assert!(!at(wait - 1) && at(wait), "{random}");
        }
    }

    #[test]
    fn a_probe_without_a_verdict_lets_the_next_one_go() {
        let now = Instant::now();
        let cooldown = opened(now);
        let later = now + seconds(5);
        drop(cooldown.admit(later).unwrap());
        assert!(cooldown.admit(later).is_some_and(|permit| permit.is_probe()));
    }

    #[test]
    fn an_older_request_does_not_end_a_probe_or_lengthen_the_wait() {
        let now = Instant::now();
        let cooldown = opened(now);
        let older = Permit { cooldown: &cooldown, probe: false };
        let later = now + seconds(5);
        let probe = cooldown.admit(later).unwrap();
        fail(&cooldown, later, older.is_probe());
        drop(older);
        assert!(cooldown.admit(later).is_none());
        drop(probe);
        assert!(cooldown.admit(later).is_some());
    }

    #[test]
    fn a_success_in_between_resets_the_count() {
        let cooldown = Cooldown::default();
        let now = Instant::now();
        for _ in 0..5 {
            fail(&cooldown, now, false);
            cooldown.succeeded();
        }
        assert!(cooldown.admit(now).is_some());
    }

    #[test]
    fn a_check_of_the_address_takes_back_only_its_own_word() {
        let now = Instant::now();
        let cooldown = opened(now);
        cooldown.close_by_check(false);
        assert_eq!(cooldown.state(now), CooldownState::Open);
        cooldown.close_by_check(true);
        assert_eq!(cooldown.state(now), CooldownState::Closed);
        cooldown.open_by_check(seconds(5), now);
        assert_eq!(cooldown.state(now), CooldownState::Open);
        cooldown.close_by_check(false);
        assert_eq!(cooldown.state(now), CooldownState::Closed);
    }
}
