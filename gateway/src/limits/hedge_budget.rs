//! How many second attempts a model's requests may have.

use std::sync::atomic::{AtomicI64, Ordering};

/// What one hedge takes.
const HEDGE: i64 = 1_000_000;
/// Hedges that quiet times may save up.
const SAVED: i64 = 10 * HEDGE;

/// Every request pays in its share of a hedge, so that there are never more than this share of them.
#[derive(Debug)]
pub struct HedgeBudget {
    share: i64,
    saved: AtomicI64,
}

impl HedgeBudget {
    /// Empty; `share` is hedges by requests.
    pub fn new(share: f64) -> Self {
        #[expect(clippy::cast_possible_truncation, reason = "a share of a million")]
        let share = (share * 1e6) as i64;
        Self { share, saved: AtomicI64::new(0) }
    }

    /// A request is dispatched.
    pub fn request(&self) {
        if self.saved.load(Ordering::Relaxed) < SAVED {
            self.saved.fetch_add(self.share, Ordering::Relaxed);
        }
    }

    /// One hedge, if there is enough for it.
    pub fn withdraw(&self) -> bool {
        let take = |saved: i64| (saved >= HEDGE).then_some(saved - HEDGE);
        self.saved.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_never_more_than_the_share() {
        let budget = HedgeBudget::new(0.03);
        let mut hedges = 0;
        for _ in 0..1_000 {
            budget.request();
            hedges += u32::from(budget.withdraw());
        }
        assert!((29..=30).contains(&hedges), "{hedges}");
    }

    #[test]
    fn quiet_times_save_up_only_a_few() {
        let budget = HedgeBudget::new(0.5);
        for _ in 0..1_000 {
            budget.request();
        }
        assert_eq!((0..1_000).filter(|_| budget.withdraw()).count(), 10);
    }
}
