//! How many requests the process takes: at once no more than the configured cap, and in a tenth of a second no more than
//! its workers have shown that they can do. Running requests are not counted for the second: a thousand streams that
//! trickle are no reason to refuse anyone, and a hundred fast ones may be too many.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::config::Priority;
use crate::telemetry::{GateSeries, Metrics};

/// How often lateness is measured, and over what it is judged.
const TICK: Duration = Duration::from_millis(5);
const WINDOW: Duration = Duration::from_millis(100);
/// Below this many requests the workers cannot be overloaded, and nothing is measured.
const MEASURED_FROM: u32 = 32;
/// A limit that is less than half used for so many windows is none.
const IDLE_WINDOWS: u32 = 20;
/// While the workers are late, the next window admits this share of the last one, the later the less; while they are in
/// time, an eighth more.
const LEAST_SHARE: f64 = 0.5;
const MOST_SHARE: f64 = 0.9;
const INCREASE: u32 = 8;
/// A window always admits so many.
const FLOOR: u32 = 4;
/// No limit but the cap.
const OPEN: u32 = u32::MAX;

/// The door of the process. Passing it takes a few atomics.
#[derive(Debug)]
pub struct Gate {
    admitted: AtomicU32,
    /// Requests that this window may admit, and those that it has admitted.
    limit: AtomicU32,
    entered: AtomicU32,
    idle_windows: AtomicU32,
    measured: AtomicBool,
    lag_micros: AtomicU64,
    series: GateSeries,
}

/// One admitted request, until it is dropped.
#[derive(Debug)]
pub struct Admitted(Arc<Gate>);

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
    pub fn new(metrics: &Metrics) -> Arc<Self> {
        Arc::new(Self {
            admitted: AtomicU32::new(0),
            limit: AtomicU32::new(OPEN),
            entered: AtomicU32::new(0),
            idle_windows: AtomicU32::new(0),
            measured: AtomicBool::new(false),
            lag_micros: AtomicU64::new(0),
            series: metrics.overload.gate.clone(),
        })
    }

    /// Admits a request. `lag` is how late the workers may be; zero is never measured.
    ///
    /// # Errors
    /// When there are too many for this priority.
    pub fn admit(self: &Arc<Self>, priority: Priority, cap: u32, lag: Duration) -> Result<Admitted, Closed> {
        let before = self.admitted.fetch_add(1, Ordering::Relaxed);
        let admitted = Admitted(self.clone());
        if before >= cap {
            return Err(Closed::Cap);
        }
        if before < MEASURED_FROM || lag.is_zero() {
            return Ok(admitted);
        }
        if !self.measured.load(Ordering::Relaxed) {
            self.measure(lag);
        }
        if self.entered.load(Ordering::Relaxed) >= share(self.limit.load(Ordering::Relaxed), priority) {
            return Err(Closed::Lag);
        }
        self.entered.fetch_add(1, Ordering::Relaxed);
        Ok(admitted)
    }

    /// What is left of a wait in a queue: the workers' lateness is part of it, once before and once after.
    pub fn wait_left(&self, wait: Duration) -> Duration {
        let lag = Duration::from_micros(self.lag_micros.load(Ordering::Relaxed));
        wait.saturating_sub(lag * 2)
    }

    /// Another cap from now on, for the metrics.
    pub fn show(&self, cap: u32) {
        self.series.in_flight.set(i64::from(cap));
    }

    /// Measures on the runtime of whoever calls: Pingora's background services have a runtime of their
    /// own, which is in time when the workers are not. Ends when there is nothing to measure any more.
    fn measure(self: &Arc<Self>, target: Duration) {
        if self.measured.swap(true, Ordering::AcqRel) {
            return;
        }
        let gate = self.clone();
        tokio::spawn(async move {
            let mut idle = false;
            while !idle {
                idle = gate.learn(least_lag().await, target);
            }
            gate.lag_micros.store(0, Ordering::Relaxed);
            gate.measured.store(false, Ordering::Release);
        });
    }

    /// One window's verdict; true when the gate stands open and few requests run.
    fn learn(&self, lag: Duration, target: Duration) -> bool {
        self.lag_micros.store(u64::try_from(lag.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
        let limit = self.limit.load(Ordering::Relaxed);
        let entered = self.entered.swap(0, Ordering::Relaxed);
        if lag > target {
            self.idle_windows.store(0, Ordering::Relaxed);
            let share = (target.as_secs_f64() / lag.as_secs_f64()).clamp(LEAST_SHARE, MOST_SHARE);
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of a u32")]
            let fewer = (f64::from(entered.min(limit)) * share) as u32;
            self.set(fewer.max(FLOOR));
            return false;
        }
        let is_idle = limit == OPEN || entered < limit / 2;
        let idle_windows = if is_idle { self.idle_windows.load(Ordering::Relaxed) + 1 } else { 0 };
        self.idle_windows.store(idle_windows, Ordering::Relaxed);
        if idle_windows >= IDLE_WINDOWS {
            self.idle_windows.store(0, Ordering::Relaxed);
            self.set(OPEN);
            return self.admitted.load(Ordering::Relaxed) < MEASURED_FROM;
        }
        if limit != OPEN {
            self.set(limit.saturating_add((limit / INCREASE).max(1)));
        }
        false
    }

    fn set(&self, limit: u32) {
        self.limit.store(limit, Ordering::Relaxed);
        let windows_a_second = i64::try_from(1_000 / WINDOW.as_millis()).unwrap_or(1);
        let a_second = if limit == OPEN { 0 } else { i64::from(limit) * windows_a_second };
        self.series.admissions.set(a_second);
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

/// The least lateness within a window: a single late tick is a burst, a window without one in time is a queue that does
/// not empty. Late is who was woken too late, and who waits for all others to have had their turn.
async fn least_lag() -> Duration {
    let began = Instant::now();
    let mut least = Duration::MAX;
    let mut ticks = 0;
    while began.elapsed() < WINDOW || ticks < 3 {
        let due = Instant::now() + TICK;
        tokio::time::sleep(TICK).await;
        let woken = Instant::now();
        tokio::task::yield_now().await;
        // A tick of Tokio's clock is no lateness.
        let late = woken.saturating_duration_since(due).saturating_sub(Duration::from_millis(1));
        least = least.min(late.max(woken.elapsed()));
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

impl Drop for Admitted {
    fn drop(&mut self) {
        self.0.admitted.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CAP: u32 = 1_000;
    const TARGET: Duration = Duration::from_millis(10);
    const LATE: Duration = Duration::from_millis(12);
    const NEVER: Duration = Duration::ZERO;

    /// Requests that run, and a gate that measures nothing by itself.
    fn filled(requests: u32) -> (Arc<Gate>, Vec<Admitted>) {
        let gate = Gate::new(Metrics::global());
        gate.measured.store(true, Ordering::Relaxed);
        let all = (0..requests).map(|_| gate.admit(Priority::High, CAP, NEVER).unwrap()).collect();
        (gate, all)
    }

    /// So many get in at once.
    fn admits(gate: &Arc<Gate>, priority: Priority) -> usize {
        let all: Vec<_> = std::iter::from_fn(|| gate.admit(priority, CAP, TARGET).ok()).collect();
        all.len()
    }

    #[test]
    fn the_cap_holds_for_every_priority_and_a_place_is_free_again() {
        let (gate, mut all) = filled(1_000);
        assert_eq!(gate.admit(Priority::High, CAP, NEVER).unwrap_err(), Closed::Cap);
        all.pop();
        assert!(gate.admit(Priority::Low, CAP, NEVER).is_ok());
    }

    #[test]
    fn lateness_is_part_of_a_wait() {
        let (gate, _all) = filled(40);
        let wait = Duration::from_millis(30);
        assert_eq!(gate.wait_left(wait), wait);
        gate.learn(Duration::from_millis(10), TARGET);
        assert_eq!(gate.wait_left(wait), Duration::from_millis(10));
        gate.learn(Duration::from_millis(50), TARGET);
        assert_eq!(gate.wait_left(wait), Duration::ZERO);
    }

    #[test]
    fn a_late_window_admits_fewer_and_sheds_low_priority_first_and_high_last() {
        let (gate, _all) = filled(40);
        gate.entered.store(120, Ordering::Relaxed);
        gate.learn(LATE, TARGET);
        assert_eq!(gate.limit.load(Ordering::Relaxed), 100);
        assert_eq!(admits(&gate, Priority::Low), 67);
        assert_eq!(admits(&gate, Priority::Normal), 88 - 67);
        assert_eq!(admits(&gate, Priority::High), 100 - 88);
    }

    #[test]
    fn streams_that_run_keep_nobody_out_while_the_workers_are_in_time() {
        let (gate, _all) = filled(900);
        gate.learn(Duration::ZERO, TARGET);
        assert_eq!(admits(&gate, Priority::Low), 100);
    }

    #[test]
    fn a_few_requests_are_no_overload_however_late_the_workers_are() {
        let (gate, _all) = filled(10);
        for _ in 0..20 {
            gate.learn(LATE * 10, TARGET);
        }
        assert!(gate.admit(Priority::Low, CAP, TARGET).is_ok());
    }

    #[test]
    fn the_limit_grows_while_it_is_in_use_and_never_falls_below_its_floor() {
        let (gate, _all) = filled(40);
        for _ in 0..20 {
            gate.learn(LATE, TARGET);
        }
        assert_eq!(gate.limit.load(Ordering::Relaxed), FLOOR);
        for _ in 0..40 {
            gate.entered.store(gate.limit.load(Ordering::Relaxed), Ordering::Relaxed);
            gate.learn(Duration::ZERO, TARGET);
        }
        assert!(gate.limit.load(Ordering::Relaxed) > 100);
    }

    #[test]
    fn the_gate_opens_when_the_rush_is_over_and_measuring_ends() {
        let (gate, mut all) = filled(500);
        gate.entered.store(500, Ordering::Relaxed);
        gate.learn(LATE, TARGET);
        all.truncate(10);
        let verdicts: Vec<bool> = (0..20).map(|_| gate.learn(Duration::ZERO, TARGET)).collect();
        assert_eq!(verdicts.iter().position(|idle| *idle), Some(19));
        assert_eq!(gate.limit.load(Ordering::Relaxed), OPEN);
    }
}
