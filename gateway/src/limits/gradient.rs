//! The adaptive limit on requests in flight, after Gradient2 of Netflix's concurrency-limits
//! (<https://github.com/Netflix/concurrency-limits>): while answers begin as early as they usually do,
//! the limit grows; when they begin later, or the provider says that it is overloaded, it shrinks.

/// What a model that nobody has used yet may have in flight.
const INITIAL: f64 = 20.0;
/// Below this nothing could be measured any more.
const MIN: f64 = 4.0;
const MAX: f64 = 10_000.0;
/// Latency may rise to this multiple of its long-term average before the limit shrinks.
const TOLERANCE: f64 = 1.5;
/// The share of a new value in the limit.
const SMOOTHING: f64 = 0.2;
/// How many windows the long-term average covers.
const LONG_TERM: f64 = 600.0;
/// The average of the first windows, before it becomes a moving one.
const WARM_UP: f64 = 10.0;

/// The limit and what it is computed from. Pure: fed with one window after the other.
#[derive(Debug)]
pub(super) struct Gradient {
    limit: f64,
    long: f64,
    windows: f64,
}

/// What was seen in one window.
#[derive(Clone, Copy, Debug)]
pub(super) struct Observed {
    /// Answers that began.
    pub answers: u32,
    /// Their average latency in seconds.
    pub latency: f64,
    /// Failures that say "too much".
    pub overloads: u32,
    /// The most requests in flight.
    pub peak: u32,
}

impl Default for Gradient {
    fn default() -> Self {
        Self { limit: INITIAL, long: 0.0, windows: 0.0 }
    }
}

impl Gradient {
    /// The limit in force.
    pub(super) fn limit(&self) -> u32 {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "within MIN and MAX")]
        let limit = self.limit as u32;
        limit
    }

    /// Learns from a window.
    pub(super) fn observe(&mut self, seen: Observed) {
        if seen.overloads > 0 {
            let share = f64::from(seen.overloads) / f64::from(seen.overloads.saturating_add(seen.answers));
            self.set(self.limit * (1.0 - share / 2.0));
            return;
        }
        if seen.answers == 0 || seen.latency <= 0.0 {
            return;
        }
        self.average(seen.latency);
        // A limit that nobody reaches says nothing about what lies beyond it.
        if f64::from(seen.peak) < self.limit / 2.0 {
            return;
        }
        let gradient = (TOLERANCE * self.long / seen.latency).clamp(0.5, 1.0);
        let wanted = self.limit * gradient + if gradient < 1.0 { 0.0 } else { self.limit.sqrt() };
        self.set(self.limit * (1.0 - SMOOTHING) + wanted * SMOOTHING);
    }

    fn average(&mut self, latency: f64) {
        self.windows += 1.0;
        let share = 1.0 / if self.windows <= WARM_UP { self.windows } else { LONG_TERM };
        self.long += (latency - self.long) * share;
        // After a long overload the average is too high, and would be for as long again.
        if self.long > 2.0 * latency {
            self.long *= 0.95;
        }
    }

    fn set(&mut self, limit: f64) {
        self.limit = limit.clamp(MIN, MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(latency: f64, peak: u32) -> Observed {
        Observed { answers: 20, latency, overloads: 0, peak }
    }

    fn after(gradient: &mut Gradient, windows: u32, latency: f64) -> u32 {
        for _ in 0..windows {
            let peak = gradient.limit();
            gradient.observe(window(latency, peak));
        }
        gradient.limit()
    }

    #[test]
    fn it_grows_while_latency_stays_and_the_limit_is_in_use() {
        let mut gradient = Gradient::default();
        assert!(after(&mut gradient, 100, 0.05) > 100);
    }

    #[test]
    fn it_stays_when_the_limit_is_not_in_use() {
        let mut gradient = Gradient::default();
        for _ in 0..100 {
            gradient.observe(window(0.05, 3));
        }
        assert_eq!(gradient.limit(), 20);
    }

    #[test]
    fn it_shrinks_when_answers_begin_later_and_grows_again_afterwards() {
        let mut gradient = Gradient::default();
        let before = after(&mut gradient, 100, 0.05);
        let during = after(&mut gradient, 20, 0.5);
        assert!(during < before / 3, "{during} after {before}");
        assert!(after(&mut gradient, 60, 0.05) > during * 2);
    }

    #[test]
    fn overload_answers_of_the_provider_shrink_it_by_their_share() {
        let mut gradient = Gradient::default();
        let before = after(&mut gradient, 100, 0.05);
        gradient.observe(Observed { overloads: 20, ..window(0.05, before) });
        let expected = before * 3 / 4;
        assert!(gradient.limit().abs_diff(expected) <= 1, "{} after {before}", gradient.limit());
    }

    #[test]
    fn it_never_leaves_its_bounds() {
        let mut gradient = Gradient::default();
        for _ in 0..200 {
            gradient.observe(Observed { answers: 0, latency: 0.0, overloads: 1, peak: 20 });
        }
        assert_eq!(gradient.limit(), 4);
        gradient.observe(window(f64::MIN_POSITIVE, 20));
        assert_eq!(gradient.limit(), 4);
    }
}
