//! What a key may spend in a day on answers that nobody waits for: they are asked for to compare, and charged like any other.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use domain::Micros;

const DAY_MS: u64 = 86_400_000;
/// With more keys than these in a day the rest of them spend nothing.
const MOST_KEYS: usize = 100_000;

/// What was spent since midnight, UTC.
#[derive(Debug, Default)]
pub struct Allowance {
    /// The day, and who has spent what.
    spent: Mutex<(u64, HashMap<Arc<str>, Micros>)>,
}

impl Allowance {
    /// May this key spend more, with so much a day? What those that run will cost is not known yet.
    pub fn allows(&self, key: &str, limit: Micros, now_ms: u64) -> bool {
        self.with(now_ms, |spent| match spent.get(key) {
            Some(spent) => *spent < limit,
            None => spent.len() < MOST_KEYS && limit > Micros(0),
        })
    }

    /// It has spent so much.
    pub fn spend(&self, key: &Arc<str>, cost: Micros, now_ms: u64) {
        self.with(now_ms, |spent| {
            if spent.len() < MOST_KEYS || spent.contains_key(key) {
                let spent = spent.entry(key.clone()).or_default();
                spent.0 = spent.0.saturating_add(cost.0);
            }
        });
    }

    fn with<T>(&self, now_ms: u64, ask: impl FnOnce(&mut HashMap<Arc<str>, Micros>) -> T) -> T {
        let mut guard = self.spent.lock().unwrap_or_else(PoisonError::into_inner);
        let (day, spent) = &mut *guard;
        if *day != now_ms / DAY_MS {
            *day = now_ms / DAY_MS;
            spent.clear();
        }
        ask(spent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_has_spent_its_allowance_waits_for_the_next_day() {
        let allowance = Allowance::default();
        let allows = |key: &str, now_ms| allowance.allows(key, Micros(10), now_ms);
        let (one, other) = (Arc::from("one"), Arc::from("other"));
        assert!(allows(&one, 5));
        allowance.spend(&one, Micros(9), 5);
        assert!(allows(&one, 6));
        allowance.spend(&one, Micros(9), 6);
        allowance.spend(&other, Micros(1), 6);
        assert!(!allows(&one, DAY_MS - 1) && allows(&other, DAY_MS - 1));
        assert!(allows(&one, DAY_MS));
        assert!(!allowance.allows("third", Micros(0), DAY_MS));
    }
}
