//! When a budget's window begins and ends. Aligned, so that every gateway and every restart has the same ones.

use std::time::Duration;

use domain::Micros;

/// Monday 1970-01-05, in milliseconds: weeks begin on Mondays.
const FIRST_MONDAY_MS: i64 = 4 * DAY_MS;
const DAY_MS: i64 = 86_400_000;

/// A money cap per window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// The cap.
    pub limit: Micros,
    /// The window's length.
    pub period: Duration,
    /// The percentage of the cap at which somebody is told; None: nobody.
    pub alert_percent: Option<u8>,
}

/// The window of `period` that `at` lies in, both in unix milliseconds: its first one and the first behind it. Windows
/// of a day or more begin at midnight UTC and are counted from Monday 1970-01-05, shorter ones from the epoch.
pub fn bounds(period: Duration, at: i64) -> (i64, i64) {
    let period = i64::try_from(period.as_millis()).unwrap_or(i64::MAX / 4).max(1);
    let origin = if period >= DAY_MS { FIRST_MONDAY_MS } else { 0 };
    let start = (at - origin).div_euclid(period).saturating_mul(period).saturating_add(origin);
    (start, start.saturating_add(period))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-24 05:30:00 UTC, a Tuesday.
    const AT: i64 = 1_795_498_200_000;

    #[test]
    fn an_hour_begins_at_the_hour() {
        assert_eq!(bounds(Duration::from_secs(3_600), AT), (AT - 1_800_000, AT + 1_800_000));
    }

    #[test]
    fn a_day_begins_at_midnight_and_a_week_on_monday() {
        let midnight = AT - 5 * 3_600_000 - 1_800_000;
        assert_eq!(bounds(Duration::from_secs(86_400), AT).0, midnight);
        assert_eq!(bounds(Duration::from_secs(7 * 86_400), AT).0, midnight - DAY_MS);
    }

    #[test]
    fn the_end_of_one_window_begins_the_next() {
        for seconds in [1, 60, 86_400, 30 * 86_400, 365 * 86_400] {
            let period = Duration::from_secs(seconds);
            let (start, end) = bounds(period, AT);
            assert!(start <= AT && AT < end);
            assert_eq!(bounds(period, end).0, end);
            assert_eq!(bounds(period, start).0, start);
        }
    }
}
