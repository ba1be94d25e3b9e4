//! A stream that only trickles is as bad as one that stalls: the guard behind `min_chars_per_second`.

use std::time::{Duration, Instant};

use domain::{Failure, FailureKind};

use super::connect_failure;

/// Long enough for a model to think in between, short enough to be noticed.
const WINDOW: Duration = Duration::from_secs(5);

/// Counts characters over windows of five seconds.
#[derive(Debug)]
pub struct Throughput {
    min_chars_per_second: u32,
    window: Option<(Instant, usize)>,
}

impl Throughput {
    /// A limit of 0 is none.
    pub fn new(min_chars_per_second: u32) -> Self {
        Self { min_chars_per_second, window: None }
    }

    /// So many bytes of text have come in all.
    ///
    /// # Errors
    /// When a whole window brought less than it had to.
    pub fn passed(&mut self, text: usize, now: Instant) -> Result<(), Failure> {
        if self.min_chars_per_second == 0 {
            return Ok(());
        }
        let (began, before) = *self.window.get_or_insert((now, text));
        let elapsed = now.saturating_duration_since(began);
        if elapsed < WINDOW {
            return Ok(());
        }
        self.window = Some((now, text));
        let wanted = elapsed.as_millis() * u128::from(self.min_chars_per_second) / 1_000;
        if (text.saturating_sub(before) as u128) < wanted {
            let reason = "the provider's answer is slower than min_chars_per_second";
            return Err(connect_failure(FailureKind::Idle, reason));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trickle_is_a_stall_and_a_steady_stream_is_none() {
        let start = Instant::now();
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        let mut guard = Throughput::new(10);
        assert!(
            (0..30).all(|second| guard.passed(usize::try_from(second * 12).unwrap(), at(second)).is_ok())
        );
        let mut guard = Throughput::new(10);
        assert!((0..5).all(|second| guard.passed(usize::try_from(second).unwrap(), at(second)).is_ok()));
        assert_eq!(guard.passed(5, at(5)).unwrap_err().kind, FailureKind::Idle);
        let mut off = Throughput::new(0);
        assert!(off.passed(0, at(0)).is_ok() && off.passed(0, at(60)).is_ok());
    }
}
