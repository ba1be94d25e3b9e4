//! Quantiles of a small sample.

use std::time::Duration;

/// The value below which `share` (0 to 1) of the sample lies, in milliseconds, by the nearest rank.
pub(crate) fn quantile(sorted: &[Duration], share: f64) -> f64 {
    let last = sorted.len().saturating_sub(1);
    let rank = (share * last as f64).round() as usize;
    sorted.get(rank.min(last)).map_or(f64::NAN, |value| value.as_secs_f64() * 1e3)
}
