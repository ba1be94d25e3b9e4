//! How long a deployment's recent answers took to begin, as a histogram that forgets.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

/// Eight buckets for each doubling: a quantile is at most an eighth too long.
const PER_DOUBLING: usize = 8;
/// From a microsecond to about an hour.
const BUCKETS: usize = 32 * PER_DOUBLING;
/// So many samples make a window; the last full one and the running one count.
const WINDOW: u32 = 1_000;
/// Fewer say nothing about a tail.
const ENOUGH: u32 = 100;

/// Counts in atomics; samples that come while a window is turned over may be lost.
#[derive(Debug)]
pub struct Quantiles {
    windows: [[AtomicU32; BUCKETS]; 2],
    seen: AtomicU64,
}

impl Default for Quantiles {
    fn default() -> Self {
        let window = || std::array::from_fn(|_| AtomicU32::new(0));
        Self { windows: [window(), window()], seen: AtomicU64::new(0) }
    }
}

impl Quantiles {
    /// Adds a sample.
    pub fn observe(&self, sample: Duration) {
        let seen = self.seen.fetch_add(1, Ordering::Relaxed);
        let window = usize::from(seen / u64::from(WINDOW) % 2 == 1);
        let Some(buckets) = self.windows.get(window) else { return };
        if seen.is_multiple_of(u64::from(WINDOW)) {
            for bucket in buckets {
                bucket.store(0, Ordering::Relaxed);
            }
        }
        if let Some(bucket) = buckets.get(bucket_of(sample)) {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// What this share of the samples took at most; None as long as there are too few.
    pub fn quantile(&self, share: f64) -> Option<Duration> {
        let [even, odd] = &self.windows;
        let counts = || {
            let pairs = even.iter().zip(odd);
            pairs.map(|(even, odd)| even.load(Ordering::Relaxed) + odd.load(Ordering::Relaxed))
        };
        let total: u32 = counts().sum();
        if total < ENOUGH {
            return None;
        }
        let wanted = f64::from(total) * share;
        let mut below = 0;
        let bucket = counts().position(|count| {
            below += count;
            f64::from(below) >= wanted
        });
        Some(end_of(bucket.unwrap_or(BUCKETS - 1)))
    }
}

fn bucket_of(sample: Duration) -> usize {
    let micros = u64::try_from(sample.as_micros()).unwrap_or(u64::MAX).max(1);
    let doubling = micros.ilog2();
    // The three bits behind the leading one.
    let rest = (micros << 3 >> doubling) & 7;
    let index = doubling as usize * PER_DOUBLING + usize::try_from(rest).unwrap_or(0);
    index.min(BUCKETS - 1)
}

/// The least time above a bucket.
fn end_of(bucket: usize) -> Duration {
    let (doubling, rest) = (bucket / PER_DOUBLING, bucket % PER_DOUBLING);
    let micros = ((8 + rest as u64 + 1) << doubling).div_ceil(8);
    Duration::from_micros(micros)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn a_bucket_ends_at_most_an_eighth_behind_its_samples() {
        for micros in [1, 2, 7, 8, 9, 1_000, 20_000, 123_456, 60_000_000] {
            let sample = Duration::from_micros(micros);
            let end = end_of(bucket_of(sample));
            assert!(end > sample && end <= sample * 9 / 8 + Duration::from_micros(1), "{sample:?} {end:?}");
        }
    }

    #[test]
    fn a_rare_tail_lies_above_the_quantile() {
        let quantiles = Quantiles::default();
        assert_eq!(quantiles.quantile(0.97), None);
        for sample in 0..1_000 {
            quantiles.observe(if sample % 50 == 0 { ms(500) } else { ms(20) });
        }
        let usual = quantiles.quantile(0.97).unwrap();
        assert!(usual > ms(20) && usual < ms(24), "{usual:?}");
        assert!(quantiles.quantile(0.99).unwrap() > ms(500));
    }

    #[test]
    fn what_was_long_ago_is_forgotten() {
        let quantiles = Quantiles::default();
        for _ in 0..1_000 {
            quantiles.observe(ms(500));
        }
        for _ in 0..2_000 {
            quantiles.observe(ms(20));
        }
        assert!(quantiles.quantile(0.999).unwrap() < ms(24));
    }
}
