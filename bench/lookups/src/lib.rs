//! How long single calls take, each by itself: criterion tells a mean, and a bound is about the slow ones too.

use std::hint::black_box;
use std::time::{Duration, Instant};

/// Calls measured, the slowest last.
#[derive(Clone, Debug)]
pub struct Spread {
    sorted: Vec<Duration>,
    total: Duration,
}

impl Spread {
    /// Calls once for each input. Making the inputs is not measured; reading the clock is, some 30 ns.
    pub fn of<In, Out>(inputs: impl IntoIterator<Item = In>, mut call: impl FnMut(In) -> Out) -> Self {
        let mut sorted: Vec<Duration> = inputs
            .into_iter()
            .map(|input| {
                let begin = Instant::now();
                black_box(call(black_box(input)));
                begin.elapsed()
            })
            .collect();
        let total = sorted.iter().sum();
        sorted.sort_unstable();
        Self { sorted, total }
    }

    /// The time that this many of a hundred calls stay within. Zero without calls.
    #[must_use]
    pub fn percentile(&self, percent: usize) -> Duration {
        let at = (self.sorted.len() * percent / 100).min(self.sorted.len().saturating_sub(1));
        self.sorted.get(at).copied().unwrap_or_default()
    }

    /// Prints the spread, and each bound in microseconds that it breaks.
    pub fn print(&self, what: &str, bounds: &[(usize, f64)]) {
        let micros = |time: Duration| time.as_secs_f64() * 1e6;
        let [p50, p99] = [50, 99].map(|percent| micros(self.percentile(percent)));
        let rate = self.sorted.len() as f64 / self.total.as_secs_f64().max(f64::MIN_POSITIVE);
        println!("{what}: {} calls, p50 {p50:.2} us, p99 {p99:.2} us, {rate:.0} a second", self.sorted.len());
        for (percent, most) in bounds {
            let found = micros(self.percentile(*percent));
            let verdict = if found <= *most { "within" } else { "ABOVE" };
            println!("{what}: p{percent} {found:.2} us is {verdict} its bound of {most} us");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_of_the_calls_in_order_of_time() {
        let sorted: Vec<Duration> = (1..=200).map(Duration::from_micros).collect();
        let spread = Spread { total: sorted.iter().sum(), sorted };
        assert_eq!(spread.percentile(50), Duration::from_micros(101));
        assert_eq!(spread.percentile(99), Duration::from_micros(199));
        assert_eq!(spread.percentile(100), Duration::from_micros(200));
        assert_eq!(Spread::of([0_u8; 0], |_| ()).percentile(50), Duration::ZERO);
    }
}
