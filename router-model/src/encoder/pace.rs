//! How long a text will take: what could not be done in time even at the best pace of late is not begun, so that the thread
//! is free for what can.

use std::time::{Duration, Instant};

/// By so much the pace that is expected rises with each text that is slower.
const SLOWER: f64 = 1.05;
/// By so much it falls with each text that was not begun: a slow moment must not be remembered for ever.
const FASTER: f64 = 0.95;

/// Seconds for each token; 0 while nothing is known.
#[derive(Debug, Default)]
pub(super) struct Pace(f64);

impl Pace {
    /// Can so many tokens be done by then?
    pub(super) fn allows(&mut self, tokens: usize, now: Instant, until: Instant) -> bool {
        let left = until.saturating_duration_since(now).as_secs_f64();
        let allows = self.0 * tokens as f64 <= left;
        if !allows {
            self.0 *= FASTER;
        }
        allows
    }

    /// So many took so long.
    pub(super) fn saw(&mut self, tokens: usize, took: Duration) {
        let pace = took.as_secs_f64() / tokens.max(1) as f64;
        self.0 = if self.0 > 0.0 { pace.min(self.0 * SLOWER) } else { pace };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_done_in_time_is_not_begun_and_is_tried_again_after_a_while() {
        let (mut pace, now) = (Pace::default(), Instant::now());
        let until = now + Duration::from_millis(15);
        assert!(pace.allows(512, now, until), "nothing is known yet");
        pace.saw(512, Duration::from_millis(80));
        assert!(!pace.allows(512, now, until) && pace.allows(64, now, until));
        let refused = (0..1000).take_while(|_| !pace.allows(512, now, until)).count();
        assert!((10..100).contains(&refused), "{refused}");
    }

    #[test]
    fn one_slow_text_changes_little() {
        let (mut pace, now) = (Pace::default(), Instant::now());
        pace.saw(100, Duration::from_millis(10));
        pace.saw(100, Duration::from_secs(1));
        assert!(pace.allows(100, now, now + Duration::from_millis(11)));
    }
}
