//! A sliding window of 60 one-second slots.

use std::time::Duration;

const SLOTS: u64 = 60;

/// Counts what happened in the last 60 seconds, exact to the second. Time is injected as seconds and
/// milliseconds since any fixed origin.
#[derive(Debug)]
pub struct Window {
    slots: [u64; SLOTS as usize],
    sum: u64,
    second: u64,
}

impl Default for Window {
    fn default() -> Self {
        Self { slots: [0; SLOTS as usize], sum: 0, second: 0 }
    }
}

impl Window {
    /// What is counted at this moment.
    pub fn sum(&mut self, now: Duration) -> u64 {
        self.advance(now.as_secs());
        self.sum
    }

    /// Adds to the current second.
    pub fn add(&mut self, now: Duration, amount: u64) {
        self.advance(now.as_secs());
        if let Some(slot) = self.slot(self.second) {
            *slot = slot.saturating_add(amount);
        }
        self.sum = self.sum.saturating_add(amount);
    }

    /// Corrects an earlier addition, if its second is still in the window.
    pub fn correct(&mut self, now: Duration, then: Duration, added: u64, actual: u64) {
        self.advance(now.as_secs());
        if then.as_secs() + SLOTS <= self.second {
            return;
        }
        if let Some(slot) = self.slot(then.as_secs()) {
            let before = *slot;
            *slot = before.saturating_sub(added).saturating_add(actual);
            let after = *slot;
            self.sum = self.sum.saturating_sub(before).saturating_add(after);
        }
    }

    /// How long until `amount` more fits below `limit`.
    pub fn wait(&mut self, now: Duration, amount: u64, limit: u64) -> Duration {
        self.advance(now.as_secs());
        let mut left = self.sum;
        let mut second = (self.second + 1).saturating_sub(SLOTS);
        while left + amount > limit && second <= self.second {
            left = left.saturating_sub(self.slot(second).map_or(0, |slot| *slot));
            second += 1;
        }
        // The slot of second s leaves the window when second s + 60 begins.
        Duration::from_secs(second + SLOTS - 1).saturating_sub(now)
    }

    /// How many seconds ago something was counted, and how much.
    pub fn ages(&mut self, now: Duration) -> Vec<(u64, u64)> {
        self.advance(now.as_secs());
        let second = self.second;
        let ages =
            (0..SLOTS.min(second + 1)).map(|age| (age, self.slot(second - age).map_or(0, |slot| *slot)));
        ages.filter(|(_, amount)| *amount > 0).collect()
    }

    fn advance(&mut self, second: u64) {
        if second >= self.second + SLOTS {
            *self = Self { second, ..Self::default() };
        }
        while self.second < second {
            self.second += 1;
            let now = self.second;
            if let Some(slot) = self.slot(now) {
                let expired = std::mem::take(slot);
                self.sum = self.sum.saturating_sub(expired);
            }
        }
    }

    fn slot(&mut self, second: u64) -> Option<&mut u64> {
        self.slots.get_mut(usize::try_from(second % SLOTS).unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn what_is_older_than_a_minute_no_longer_counts() {
        let mut window = Window::default();
        window.add(at(100), 40);
        window.add(at(130), 20);
        assert_eq!(window.sum(at(159)), 60);
        assert_eq!(window.sum(at(160)), 20);
        assert_eq!(window.sum(at(500)), 0);
    }

    #[test]
    fn the_wait_ends_when_enough_has_expired() {
        let mut window = Window::default();
        window.add(at(100), 40);
        window.add(at(130), 20);
        assert_eq!(window.wait(at(140), 1, 60), at(20));
        assert_eq!(window.wait(at(140), 41, 60), at(50));
    }

    #[test]
    fn what_is_counted_is_told_by_its_age() {
        let mut window = Window::default();
        window.add(at(100), 40);
        window.add(at(130), 20);
        assert_eq!(window.ages(at(131)), [(1, 20), (31, 40)]);
        assert_eq!(window.ages(at(170)), [(40, 20)]);
    }

    #[test]
    fn a_correction_replaces_the_reservation() {
        let mut window = Window::default();
        window.add(at(100), 1_000);
        window.correct(at(110), at(100), 1_000, 50);
        assert_eq!(window.sum(at(110)), 50);
        window.correct(at(200), at(100), 50, 9_999);
        assert_eq!(window.sum(at(200)), 0);
    }
}
