//! What audits may cost each key in a day: an answer that is served and asked for all the same is charged like any other.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use domain::Micros;

const DAY_MS: u64 = 86_400_000;
/// With more keys than these in a day the rest of them are not audited.
const MOST_KEYS: usize = 100_000;

/// What was spent since midnight, UTC.
#[derive(Debug)]
pub(super) struct Allowance {
    limit: Micros,
    spent: Mutex<(u64, HashMap<Arc<str>, Micros>)>,
}

impl Allowance {
    /// Of so much for each key.
    pub(super) fn new(limit: Micros) -> Self {
        Self { limit, spent: Mutex::default() }
    }

    /// May an audit begin for this key? What those that run will cost is not known yet.
    pub(super) fn allows(&self, key: &str, now_ms: u64) -> bool {
        self.with(now_ms, |spent| match spent.get(key) {
            Some(spent) => *spent < self.limit,
            None => spent.len() < MOST_KEYS && self.limit > Micros(0),
        })
    }

    /// An audit for this key has cost so much.
    pub(super) fn spend(&self, key: &Arc<str>, cost: Micros, now_ms: u64) {
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
        let allowance = Allowance::new(Micros(10));
        let (one, other) = (Arc::from("one"), Arc::from("other"));
        assert!(allowance.allows(&one, 5));
        allowance.spend(&one, Micros(9), 5);
        assert!(allowance.allows(&one, 6));
        allowance.spend(&one, Micros(9), 6);
        allowance.spend(&other, Micros(1), 6);
        assert!(!allowance.allows(&one, DAY_MS - 1) && allowance.allows(&other, DAY_MS - 1));
        assert!(allowance.allows(&one, DAY_MS));
        assert!(!Allowance::new(Micros(0)).allows(&one, 0));
    }
}
