//! How fast those who wait in a queue get a place, so that it is no longer than what can be served in time. Pure: time
//! is passed in.

use std::time::{Duration, Instant};

/// Counted over so much time in which somebody waited, and forgotten when nobody did for so long.
const WINDOW: Duration = Duration::from_millis(100);
const FORGOTTEN: Duration = Duration::from_secs(1);
/// So many may always wait: what comes at once is no overload.
const LEAST: usize = 4;

/// The pace of one queue. Only the time in which somebody waited counts: what an idle model serves in a second is what
/// it was asked for, not what it can do.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// Somebody has waited since then.
    busy_since: Option<Instant>,
    /// When somebody waited last.
    seen: Option<Instant>,
    busy: Duration,
    served: u32,
    /// Places a second in the window before; None while nobody knows.
    rate: Option<f64>,
}

impl Pace {
    /// The queue has changed: so many got a place, so many wait now.
    pub(super) fn changed(&mut self, served: u32, waiting: usize, now: Instant) {
        self.advance(now);
        self.served = self.served.saturating_add(served);
        self.busy_since = (waiting > 0).then_some(now);
        self.seen = Some(now);
    }

    /// How many get a place within this time; as many as like while nobody knows.
    pub(super) fn within(&mut self, time: Duration, now: Instant) -> usize {
        self.advance(now);
        if self.busy >= WINDOW {
            self.rate = Some(f64::from(self.served) / self.busy.as_secs_f64());
            (self.busy, self.served) = (Duration::ZERO, 0);
        }
        let Some(rate) = self.rate else { return usize::MAX };
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a positive count")]
        let served = (rate * time.as_secs_f64()) as usize;
        served.max(LEAST)
    }

    fn advance(&mut self, now: Instant) {
        if let Some(since) = self.busy_since {
            self.busy += now.saturating_duration_since(since);
            (self.busy_since, self.seen) = (Some(now), Some(now));
        }
        if self.seen.is_some_and(|seen| now.saturating_duration_since(seen) > FORGOTTEN) {
            *self = Self::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    #[test]
    fn a_queue_is_as_long_as_what_the_last_window_served_in_that_time() {
        let (mut pace, start) = (Pace::default(), Instant::now());
        assert_eq!(pace.within(ms(15), start), usize::MAX);
        pace.changed(0, 9, start);
        pace.changed(100, 9, start + ms(50));
        assert_eq!(pace.within(ms(15), start + ms(99)), usize::MAX);
        assert_eq!(pace.within(ms(15), start + ms(100)), 15);
        pace.changed(400, 9, start + ms(200));
        assert_eq!(pace.within(ms(15), start + ms(300)), 30);
    }

    #[test]
    fn time_in_which_nobody_waits_says_nothing() {
        let (mut pace, start) = (Pace::default(), Instant::now());
        pace.changed(0, 1, start);
        pace.changed(60, 0, start + ms(60));
        pace.changed(0, 1, start + ms(800));
        pace.changed(90, 0, start + ms(840));
        // 150 in the 100 ms in which somebody waited.
        assert_eq!(pace.within(ms(15), start + ms(900)), 22);
    }

    #[test]
    fn a_slow_queue_lets_a_few_wait_and_an_old_pace_is_forgotten() {
        let (mut pace, start) = (Pace::default(), Instant::now());
        pace.changed(0, 1, start);
        pace.changed(0, 0, start + ms(200));
        assert_eq!(pace.within(ms(15), start + ms(300)), LEAST);
        assert_eq!(pace.within(ms(15), start + ms(2_000)), usize::MAX);
    }
}
