//! What share of the traffic may be repeated attempts, so that a failing provider does not get twice the
//! load (as in Finagle and Linkerd).

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Instant;

const SECONDS: u64 = 10;
/// So many repeats a second are always allowed: with little traffic a share of it would be none.
const FLOOR: u64 = 10;

/// Counts requests and repeats of the last ten seconds, in atomics.
#[derive(Debug)]
pub struct RetryBudget {
    origin: Instant,
    slots: [Slot; SECONDS as usize],
}

/// One second, reused every ten. Who is late by a whole round spoils a count by one; nothing else.
#[derive(Debug, Default)]
struct Slot {
    second: AtomicU64,
    requests: AtomicU32,
    repeats: AtomicU32,
}

impl RetryBudget {
    /// With nothing counted; time begins at `origin`.
    pub fn new(origin: Instant) -> Self {
        Self { origin, slots: Default::default() }
    }

    /// A request is dispatched.
    pub fn request(&self, now: Instant) {
        if let Some(slot) = self.slot(now) {
            slot.requests.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A repeated attempt, counted if it fits into the budget: false when it does not.
    pub fn withdraw(&self, share: f64, now: Instant) -> bool {
        let fits = self.fits(share, now);
        if fits {
            self.repeat(now);
        }
        fits
    }

    /// A repeated attempt that is made whatever the budget says.
    pub fn repeat(&self, now: Instant) {
        if let Some(slot) = self.slot(now) {
            slot.repeats.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn fits(&self, share: f64, now: Instant) -> bool {
        let second = self.second(now);
        let (mut requests, mut repeats) = (0, 0);
        for slot in &self.slots {
            if slot.second.load(Ordering::Acquire) + SECONDS > second {
                requests += u64::from(slot.requests.load(Ordering::Relaxed));
                repeats += u64::from(slot.repeats.load(Ordering::Relaxed));
            }
        }
        #[expect(clippy::cast_precision_loss, reason = "counts of ten seconds")]
        let (requests, repeats) = (requests as f64, repeats as f64);
        #[expect(clippy::cast_precision_loss, reason = "a hundred")]
        let floor = (FLOOR * SECONDS) as f64;
        repeats < floor + requests * share
    }

    fn slot(&self, now: Instant) -> Option<&Slot> {
        let second = self.second(now);
        let slot = self.slots.get(usize::try_from(second % SECONDS).ok()?)?;
        let known = slot.second.load(Ordering::Acquire);
        let ours = known < second
            && slot.second.compare_exchange(known, second, Ordering::AcqRel, Ordering::Relaxed).is_ok();
        if ours {
            slot.requests.store(0, Ordering::Relaxed);
            slot.repeats.store(0, Ordering::Relaxed);
        }
        Some(slot)
    }

    /// Counted from ten on, so that the empty slots of the beginning are long past.
    fn second(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.origin).as_secs() + SECONDS
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn drawn(budget: &RetryBudget, now: Instant) -> u32 {
        (0..10_000).map(|_| u32::from(budget.withdraw(0.2, now))).sum()
    }

    #[test]
    fn small_traffic_has_the_floor_and_large_traffic_its_share() {
        let start = Instant::now();
        let budget = RetryBudget::new(start);
        assert_eq!(drawn(&budget, start), 100);
        for _ in 0..5_000 {
            budget.request(start);
        }
        assert_eq!(drawn(&budget, start), 1_000);
    }

    #[test]
    fn what_was_drawn_comes_back_after_ten_seconds() {
        let start = Instant::now();
        let budget = RetryBudget::new(start);
        assert_eq!(drawn(&budget, start), 100);
        assert_eq!(drawn(&budget, start + Duration::from_secs(9)), 0);
        assert_eq!(drawn(&budget, start + Duration::from_secs(10)), 100);
        assert_eq!(drawn(&budget, start + Duration::from_secs(3_600)), 100);
    }

    #[test]
    fn repeats_that_were_made_anyway_count_too() {
        let start = Instant::now();
        let budget = RetryBudget::new(start);
        for _ in 0..100 {
            budget.repeat(start);
        }
        assert!(!budget.withdraw(0.2, start));
    }
}
