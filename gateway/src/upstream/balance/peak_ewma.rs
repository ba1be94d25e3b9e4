//! The time to the first token as a moving average that jumps to every peak and forgets with time.
//! One word, so that a sample and a reading are one atomic operation each.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// After this long without a sample a value has fallen to a third: a deployment that was ten times
/// slower than the others is tried again after some twenty seconds.
const DECAY: Duration = Duration::from_secs(10);
/// The unit of the stored value; 32 bits of it are half a day.
const UNIT_MICROS: u64 = 10;

/// Peak-sensitive, as in Finagle: getting slower shows at once, getting faster only gradually.
#[derive(Debug)]
pub struct PeakEwma {
    origin: Instant,
    /// Value in the upper half, milliseconds after `origin` in the lower; 0 is no sample.
    packed: AtomicU64,
}

impl Default for PeakEwma {
    fn default() -> Self {
        Self { origin: Instant::now(), packed: AtomicU64::new(0) }
    }
}

impl PeakEwma {
    /// Adds a sample.
    pub fn observe(&self, sample: Duration, now: Instant) {
        #[expect(clippy::cast_precision_loss, reason = "a latency of 2^52 us is no latency")]
        let sample = sample.as_micros() as f64;
        let millis = self.millis(now);
        // Refused only when another sample came in between; then it is taken into account first.
        let _ = self.packed.fetch_update(Ordering::AcqRel, Ordering::Acquire, |packed| {
            let value = match decayed(packed, millis) {
                Some((decayed, share)) if sample < decayed_from(packed) => {
                    // The old value keeps the share that time has left it.
                    decayed + sample * (1.0 - share)
                }
                _ => sample,
            };
            Some(pack(value, millis))
        });
    }

    /// Microseconds, decayed to this moment; None without a sample.
    pub fn micros(&self, now: Instant) -> Option<f64> {
        decayed(self.packed.load(Ordering::Acquire), self.millis(now)).map(|(value, _)| value)
    }

    /// What was last measured, not decayed; None without a sample.
    pub fn last(&self) -> Option<Duration> {
        let packed = self.packed.load(Ordering::Acquire);
        (packed != 0).then(|| Duration::from_micros((packed >> 32) * UNIT_MICROS))
    }

    /// Wraps after seven weeks, and so does the difference of two of them.
    fn millis(&self, now: Instant) -> u32 {
        #[expect(clippy::cast_possible_truncation, reason = "differences are taken modulo 2^32")]
        let millis = now.saturating_duration_since(self.origin).as_millis() as u32;
        millis
    }
}

fn decayed_from(packed: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "the value has 32 bits")]
    let value = ((packed >> 32) * UNIT_MICROS) as f64;
    value
}

/// The value and its remaining share.
fn decayed(packed: u64, millis: u32) -> Option<(f64, f64)> {
    if packed == 0 {
        return None;
    }
    #[expect(clippy::cast_possible_truncation, reason = "the lower half")]
    let age = millis.wrapping_sub(packed as u32);
    // A sample of another thread may be a moment younger than this reading.
    let age = if age > u32::MAX / 2 { 0.0 } else { f64::from(age) };
    let share = (-age / (DECAY.as_secs_f64() * 1_000.0)).exp();
    Some((decayed_from(packed) * share, share))
}

fn pack(micros: f64, millis: u32) -> u64 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a float saturates, and a time is not negative"
    )]
    let units = (micros / 10.0) as u32;
    u64::from(units.max(1)) << 32 | u64::from(millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn a_peak_shows_at_once_and_wears_off() {
        let ewma = PeakEwma::default();
        let start = ewma.origin;
        assert_eq!(ewma.micros(start), None);
        ewma.observe(ms(100), start);
        ewma.observe(ms(2_000), start + ms(10));
        assert_eq!(ewma.micros(start + ms(10)), Some(2_000_000.0));
        let later = ewma.micros(start + ms(10_010)).unwrap();
        assert!((later / 2_000_000.0 - 0.368).abs() < 0.001, "{later}");
    }

    #[test]
    fn quick_samples_pull_it_down_gradually() {
        let ewma = PeakEwma::default();
        let start = ewma.origin;
        ewma.observe(ms(1_000), start);
        ewma.observe(ms(100), start + ms(1_000));
        let micros = ewma.micros(start + ms(1_000)).unwrap();
        assert!((micros - 914_000.0).abs() < 1_000.0, "{micros}");
        for second in 2..60 {
            ewma.observe(ms(100), start + ms(second * 1_000));
        }
        let micros = ewma.micros(start + ms(59_000)).unwrap();
        assert!((100_000.0..110_000.0).contains(&micros), "{micros}");
    }

    #[test]
    fn a_sample_below_the_unit_is_a_sample() {
        let ewma = PeakEwma::default();
        ewma.observe(Duration::ZERO, ewma.origin);
        assert_eq!(ewma.micros(ewma.origin), Some(10.0));
        assert_eq!(ewma.last(), Some(Duration::from_micros(10)));
    }
}
