//! How many requests the process takes at once: the configured cap, and below it a limit that shrinks
//! while the workers themselves are late. The cap counts a request until its end, the limit until its
//! answer begins: a thousand streams that trickle are no reason to refuse anyone.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::config::Priority;
use crate::telemetry::LimitSeries;

/// How often lateness is measured, and over what it is judged.
const TICK: Duration = Duration::from_millis(5);
const WINDOW: Duration = Duration::from_millis(100);
/// Below this many requests the workers cannot be overloaded, and nothing is measured.
const MEASURED_FROM: u32 = 32;
/// A limit that is less than half used for so many windows is none.
const IDLE_WINDOWS: u32 = 20;
/// Additive increase, multiplicative decrease, and where the decrease ends.
const INCREASE: u32 = 16;
const DECREASE: f64 = 0.8;
const FLOOR: u32 = 16;
/// No limit but the cap.
const OPEN: u32 = u32::MAX;

/// The door of the process. Passing it takes two atomics.
#[derive(Debug)]
pub struct Gate {
    admitted: AtomicU32,
    /// Of those, the ones whose answer has not begun.
    starting: AtomicU32,
    limit: AtomicU32,
    idle_windows: AtomicU32,
    measured: AtomicBool,
    lag_micros: AtomicU64,
    series: LimitSeries,
}

/// One admitted request, until it is dropped.
#[derive(Debug)]
pub struct Admitted {
    gate: Arc<Gate>,
    is_starting: bool,
}

/// Why a request is not admitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closed {
    /// `limits.in_flight` is reached.
    Cap,
    /// The workers are late.
    Lag,
}

impl Gate {
    /// An open one.
    pub fn new(series: LimitSeries) -> Arc<Self> {
        Arc::new(Self {
            admitted: AtomicU32::new(0),
            starting: AtomicU32::new(0),
            limit: AtomicU32::new(OPEN),
            idle_windows: AtomicU32::new(0),
            measured: AtomicBool::new(false),
            lag_micros: AtomicU64::new(0),
            series,
        })
    }

    /// Admits a request. `lag` is how late the workers may be; zero is never measured.
    ///
    /// # Errors
    /// When there are too many for this priority.
    pub fn admit(self: &Arc<Self>, priority: Priority, cap: u32, lag: Duration) -> Result<Admitted, Closed> {
        let before = self.admitted.fetch_add(1, Ordering::Relaxed);
        let starting = self.starting.fetch_add(1, Ordering::Relaxed);
        let admitted = Admitted { gate: self.clone(), is_starting: true };
        if before >= cap {
            return Err(Closed::Cap);
        }
        if starting >= share(self.limit.load(Ordering::Relaxed), priority) {
            return Err(Closed::Lag);
        }
        if starting >= MEASURED_FROM && !lag.is_zero() && !self.measured.load(Ordering::Relaxed) {
            self.measure(cap, lag);
        }
        Ok(admitted)
    }

    /// What is left of a wait in a queue: the workers' lateness is part of it, once before and once after.
    pub fn wait_left(&self, wait: Duration) -> Duration {
        let lag = Duration::from_micros(self.lag_micros.load(Ordering::Relaxed));
        wait.saturating_sub(lag * 2)
    }

    /// Measures on the runtime of whoever calls: Pingora's background services have a runtime of their
    /// own, which is in time when the workers are not. Ends when there is nothing to measure any more.
    fn measure(self: &Arc<Self>, cap: u32, target: Duration) {
        if self.measured.swap(true, Ordering::AcqRel) {
            return;
        }
        let gate = self.clone();
        tokio::spawn(async move {
            let mut idle = false;
            while !idle {
                idle = gate.learn(least_lag().await, target, cap);
            }
            gate.lag_micros.store(0, Ordering::Relaxed);
            gate.measured.store(false, Ordering::Release);
        });
    }

    /// One window's verdict; true when the gate stands open and is little used.
    fn learn(&self, lag: Duration, target: Duration, cap: u32) -> bool {
        // A tick of Tokio's clock is no lateness.
        let late = lag.saturating_sub(Duration::from_millis(1));
        self.lag_micros.store(u64::try_from(late.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
        let limit = self.limit.load(Ordering::Relaxed);
        let starting = self.starting.load(Ordering::Relaxed);
        let mut next = limit;
        if lag > target && starting >= FLOOR {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of a u32")]
            let fewer = (f64::from(starting.min(limit)) * DECREASE) as u32;
            next = fewer.max(FLOOR);
            self.idle_windows.store(0, Ordering::Relaxed);
        } else if starting < limit / 2 || limit == OPEN && starting < MEASURED_FROM {
            if self.idle_windows.fetch_add(1, Ordering::Relaxed) + 1 >= IDLE_WINDOWS {
                self.set(OPEN, cap);
                self.idle_windows.store(0, Ordering::Relaxed);
                return starting < MEASURED_FROM;
            }
        } else {
            self.idle_windows.store(0, Ordering::Relaxed);
            if limit != OPEN {
                next = limit.saturating_add(INCREASE);
            }
        }
        self.set(if next >= cap { OPEN } else { next }, cap);
        false
    }

    /// Another cap from now on, for the metrics.
    pub fn show(&self, cap: u32) {
        self.series.limit.set(i64::from(self.limit.load(Ordering::Relaxed).min(cap)));
    }

    fn set(&self, limit: u32, cap: u32) {
        self.limit.store(limit, Ordering::Relaxed);
        self.show(cap);
    }
}

/// What of a limit each priority may fill: low is shed first, high last.
fn share(limit: u32, priority: Priority) -> u32 {
    match priority {
        _ if limit == OPEN => OPEN,
        Priority::High => limit,
        Priority::Normal => limit - limit / 8,
        Priority::Low => limit - limit / 3,
    }
}

/// The least lateness within a window: a single late tick is a burst, a window without one in time is
/// a queue that does not empty.
async fn least_lag() -> Duration {
    let began = Instant::now();
    let mut least = Duration::MAX;
    let mut ticks = 0;
    while began.elapsed() < WINDOW || ticks < 3 {
        let due = Instant::now() + TICK;
        tokio::time::sleep(TICK).await;
        least = least.min(due.elapsed());
        ticks += 1;
    }
    least
}

impl Closed {
    /// The metric label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cap => "in_flight",
            Self::Lag => "lag",
        }
    }
}

impl Admitted {
    /// Its answer begins: from here on it is little work.
    pub fn begun(&mut self) {
        if std::mem::take(&mut self.is_starting) {
            self.gate.starting.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        self.begun();
        self.gate.admitted.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::Metrics;

    const CAP: u32 = 1_000;
    const TARGET: Duration = Duration::from_millis(20);
    const LATE: Duration = Duration::from_millis(50);

    fn filled(requests: usize) -> (Arc<Gate>, Vec<Admitted>) {
        let gate = Gate::new(Metrics::global().overload.in_flight_limit("a test's gate"));
        let all = (0..requests).map(|_| gate.admit(Priority::Low, CAP, Duration::ZERO).unwrap()).collect();
        (gate, all)
    }

    #[test]
    fn the_cap_holds_for_every_priority_and_a_place_is_free_again() {
        let (gate, mut all) = filled(1_000);
        assert_eq!(gate.admit(Priority::High, CAP, Duration::ZERO).unwrap_err(), Closed::Cap);
        all.pop();
        assert!(gate.admit(Priority::Low, CAP, Duration::ZERO).is_ok());
    }

    #[test]
    fn lateness_is_part_of_a_wait() {
        let (gate, _all) = filled(40);
        let wait = Duration::from_millis(30);
        assert_eq!(gate.wait_left(wait), wait);
        gate.learn(Duration::from_millis(11), TARGET, CAP);
        assert_eq!(gate.wait_left(wait), Duration::from_millis(10));
        gate.learn(LATE, TARGET, CAP);
        assert_eq!(gate.wait_left(wait), Duration::ZERO);
    }

    #[test]
    fn lateness_sheds_low_priority_first_and_high_last() {
        let (gate, mut all) = filled(500);
        gate.learn(LATE, TARGET, CAP);
        let mut admits = |priority, running: usize| {
            all.truncate(running);
            gate.admit(priority, CAP, Duration::ZERO).is_ok()
        };
        assert!(!admits(Priority::High, 400));
        assert!(admits(Priority::High, 399) && !admits(Priority::Normal, 399));
        assert!(admits(Priority::Normal, 349) && !admits(Priority::Low, 349));
        assert!(admits(Priority::Low, 266));
    }

    #[test]
    fn requests_whose_answer_has_begun_keep_nobody_out() {
        let (gate, mut all) = filled(500);
        all.iter_mut().for_each(Admitted::begun);
        assert!(!gate.learn(LATE, TARGET, CAP));
        assert_eq!(gate.limit.load(Ordering::Relaxed), OPEN);
        assert!(gate.admit(Priority::Low, CAP, Duration::ZERO).is_ok());
        assert_eq!(gate.admit(Priority::High, 500, Duration::ZERO).unwrap_err(), Closed::Cap);
        drop(all);
        assert_eq!(gate.starting.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn the_limit_grows_step_by_step_while_it_is_in_use() {
        let (gate, _all) = filled(500);
        gate.learn(LATE, TARGET, CAP);
        gate.learn(Duration::ZERO, TARGET, CAP);
        gate.learn(Duration::ZERO, TARGET, CAP);
        assert_eq!(gate.limit.load(Ordering::Relaxed), 432);
    }

    #[test]
    fn the_gate_opens_when_the_rush_is_over_and_measuring_ends() {
        let (gate, mut all) = filled(500);
        gate.learn(LATE, TARGET, CAP);
        all.truncate(10);
        let verdicts: Vec<bool> = (0..20).map(|_| gate.learn(Duration::ZERO, TARGET, CAP)).collect();
        assert_eq!(verdicts.iter().position(|idle| *idle), Some(19));
        assert_eq!(gate.limit.load(Ordering::Relaxed), OPEN);
    }

    #[test]
    fn the_limit_never_falls_below_its_floor() {
        let (gate, _all) = filled(500);
        for _ in 0..100 {
            gate.learn(LATE, TARGET, CAP);
        }
        assert_eq!(gate.limit.load(Ordering::Relaxed), FLOOR);
    }
}
