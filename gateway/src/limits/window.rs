//! A sliding window of 60 one-second slots, of requests and tokens side by side: with ten thousand keys hardly any of it is
//! in a cache, and what is read together should lie together.

use std::time::Duration;

const SLOTS: u64 = 60;

/// What is counted.
#[derive(Clone, Copy, Debug)]
pub enum Count {
    /// Requests.
    Requests,
    /// Tokens.
    Tokens,
}

/// Counts what happened in the last 60 seconds, exact to the second; of one kind at most 2^32 - 1 a second. Time is
/// injected as seconds and milliseconds since any fixed origin.
#[derive(Debug)]
// In this order: the slots are most of it, and of them one is read.
#[repr(C)]
pub struct Window {
    second: u64,
    sums: Pair<u64>,
    slots: [Pair<u32>; SLOTS as usize],
}

#[derive(Clone, Copy, Debug, Default)]
struct Pair<N> {
    requests: N,
    tokens: N,
}

impl Default for Window {
    fn default() -> Self {
        Self { slots: [Pair::default(); SLOTS as usize], sums: Pair::default(), second: 0 }
    }
}

impl Window {
    /// What is counted at this moment.
    pub fn sum(&mut self, what: Count, now: Duration) -> u64 {
        self.advance(now.as_secs());
        *self.sums.of(what)
    }

    /// Adds to the current second.
    pub fn add(&mut self, what: Count, now: Duration, amount: u64) {
        self.advance(now.as_secs());
        self.change(what, self.second, |before| before.saturating_add(amount));
    }

    /// Corrects an earlier addition, if its second is still in the window.
    pub fn correct(&mut self, what: Count, now: Duration, then: Duration, added: u64, actual: u64) {
        self.advance(now.as_secs());
        if then.as_secs() + SLOTS > self.second {
            self.change(what, then.as_secs(), |before| before.saturating_sub(added).saturating_add(actual));
        }
    }

    /// How long until `amount` more fits below `limit`.
    pub fn wait(&mut self, what: Count, now: Duration, amount: u64, limit: u64) -> Duration {
        self.advance(now.as_secs());
        let mut left = *self.sums.of(what);
        let mut second = (self.second + 1).saturating_sub(SLOTS);
        while left + amount > limit && second <= self.second {
            left = left.saturating_sub(self.counted(what, second));
            second += 1;
        }
        // The slot of second s leaves the window when second s + 60 begins.
        Duration::from_secs(second + SLOTS - 1).saturating_sub(now)
    }

    /// How many seconds ago something was counted, and how much.
    pub fn ages(&mut self, what: Count, now: Duration) -> Vec<(u64, u64)> {
        self.advance(now.as_secs());
        let second = self.second;
        let ages = (0..SLOTS.min(second + 1)).map(|age| (age, self.counted(what, second - age)));
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
                self.sums.requests = self.sums.requests.saturating_sub(expired.requests.into());
                self.sums.tokens = self.sums.tokens.saturating_sub(expired.tokens.into());
            }
        }
    }

    fn change(&mut self, what: Count, second: u64, change: impl FnOnce(u64) -> u64) {
        let Some(slot) = self.slot(second) else { return };
        let before = *slot.of(what);
        let after = u32::try_from(change(before.into())).unwrap_or(u32::MAX);
        *slot.of(what) = after;
        let sum = self.sums.of(what);
        *sum = sum.saturating_sub(before.into()).saturating_add(after.into());
    }

    fn counted(&mut self, what: Count, second: u64) -> u64 {
        self.slot(second).map_or(0, |slot| u64::from(*slot.of(what)))
    }

    fn slot(&mut self, second: u64) -> Option<&mut Pair<u32>> {
        self.slots.get_mut(usize::try_from(second % SLOTS).unwrap_or(0))
    }
}

impl<N> Pair<N> {
    const fn of(&mut self, what: Count) -> &mut N {
        match what {
            Count::Requests => &mut self.requests,
            Count::Tokens => &mut self.tokens,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Count::{Requests, Tokens};
    use super::*;

    const fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn what_is_older_than_a_minute_no_longer_counts() {
        let mut window = Window::default();
        window.add(Tokens, at(100), 40);
        window.add(Tokens, at(130), 20);
        assert_eq!(window.sum(Tokens, at(159)), 60);
        assert_eq!(window.sum(Tokens, at(160)), 20);
        assert_eq!(window.sum(Tokens, at(500)), 0);
    }

    #[test]
    fn the_wait_ends_when_enough_has_expired() {
        let mut window = Window::default();
        window.add(Tokens, at(100), 40);
        window.add(Tokens, at(130), 20);
        assert_eq!(window.wait(Tokens, at(140), 1, 60), at(20));
        assert_eq!(window.wait(Tokens, at(140), 41, 60), at(50));
    }

    #[test]
    fn what_is_counted_is_told_by_its_age() {
        let mut window = Window::default();
        window.add(Tokens, at(100), 40);
        window.add(Tokens, at(130), 20);
        assert_eq!(window.ages(Tokens, at(131)), [(1, 20), (31, 40)]);
        assert_eq!(window.ages(Tokens, at(170)), [(40, 20)]);
    }

    #[test]
    fn a_correction_replaces_the_reservation() {
        let mut window = Window::default();
        window.add(Tokens, at(100), 1_000);
        window.correct(Tokens, at(110), at(100), 1_000, 50);
        assert_eq!(window.sum(Tokens, at(110)), 50);
        window.correct(Tokens, at(200), at(100), 50, 9_999);
        assert_eq!(window.sum(Tokens, at(200)), 0);
    }

    #[test]
    fn requests_and_tokens_are_counted_each_for_itself() {
        let mut window = Window::default();
        window.add(Requests, at(100), 1);
        window.add(Tokens, at(130), 20);
        assert_eq!((window.sum(Requests, at(159)), window.sum(Tokens, at(159))), (1, 20));
        assert_eq!((window.sum(Requests, at(160)), window.sum(Tokens, at(160))), (0, 20));
        assert_eq!(window.ages(Requests, at(160)), []);
    }

    #[test]
    fn more_than_a_second_can_hold_counts_as_much_as_it_can() {
        let mut window = Window::default();
        window.add(Tokens, at(100), u64::MAX);
        window.add(Tokens, at(100), 5);
        assert_eq!(window.sum(Tokens, at(100)), u64::from(u32::MAX));
        window.correct(Tokens, at(101), at(100), u64::MAX, 7);
        assert_eq!((window.sum(Tokens, at(101)), window.sum(Tokens, at(160))), (7, 0));
    }
}
