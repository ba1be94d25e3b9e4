//! How many requests a model or a deployment may have in flight, and the bounded queue of those beyond.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::gradient::{Gradient, Observed};
use super::pace::Pace;
use super::wait_queue::{Pushed, WaitQueue};
use crate::config::{MaxInFlight, Priority};
use crate::telemetry::LimitSeries;

/// An adaptive limit learns no more often than this, and not from fewer answers.
const WINDOW: Duration = Duration::from_millis(100);
const WINDOW_ANSWERS: u32 = 10;

/// What is configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InFlightRule {
    /// The limit.
    pub max: MaxInFlight,
    /// How many may wait for a place.
    pub length: usize,
}

/// One limit and its queue. Entering and leaving take atomics only, as long as nobody waits.
#[derive(Debug)]
pub struct InFlightLimit {
    limit: AtomicU32,
    length: AtomicU32,
    adaptive: AtomicBool,
    in_flight: AtomicU32,
    waiting: AtomicU32,
    queue: Mutex<Line>,
    window: Window,
    gradient: Mutex<Gradient>,
    series: Option<LimitSeries>,
}

/// Who waits, and how fast they get on.
#[derive(Debug, Default)]
struct Line {
    waiters: WaitQueue<oneshot::Sender<Place>>,
    pace: Pace,
}

/// The window of an adaptive limit.
#[derive(Debug)]
struct Window {
    origin: Instant,
    began_ms: AtomicU64,
    answers: AtomicU32,
    micros: AtomicU64,
    overloads: AtomicU32,
    peak: AtomicU32,
}

/// One request in flight. The place is free again when this is dropped, however the request ends.
#[derive(Debug)]
pub struct Place(Arc<InFlightLimit>);

/// One request in line. Dropping it leaves the queue.
#[derive(Debug)]
pub struct Waiting {
    limit: Arc<InFlightLimit>,
    priority: Priority,
    number: u64,
    place: oneshot::Receiver<Place>,
}

/// Why a request gets no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shed {
    /// The queue is full.
    Queue,
    /// It waited as long as it may.
    Wait,
}

impl InFlightLimit {
    /// A limit of its own; `series` shows it in the metrics.
    pub fn new(rule: InFlightRule, series: Option<LimitSeries>) -> Arc<Self> {
        let limit = Self {
            limit: AtomicU32::new(0),
            length: AtomicU32::new(0),
            adaptive: AtomicBool::new(false),
            in_flight: AtomicU32::new(0),
            waiting: AtomicU32::new(0),
            queue: Mutex::default(),
            window: Window::new(Instant::now()),
            gradient: Mutex::default(),
            series,
        };
        limit.configure(rule);
        Arc::new(limit)
    }

    /// Another rule from now on; what is in flight stays counted.
    pub fn configure(&self, rule: InFlightRule) {
        let (limit, adaptive) = match rule.max {
            MaxInFlight::Fixed(limit) => (limit.get(), false),
            MaxInFlight::Adaptive(_) => (self.gradient().limit(), true),
        };
        self.adaptive.store(adaptive, Ordering::Relaxed);
        self.length.store(u32::try_from(rule.length).unwrap_or(u32::MAX), Ordering::Relaxed);
        self.set(limit);
    }

    /// A place, if one is free and nobody waits for it.
    pub fn try_enter(self: &Arc<Self>) -> Option<Place> {
        if self.waiting.load(Ordering::SeqCst) > 0 {
            return None;
        }
        self.take()
    }

    /// Gets in line, to wait for so long at most. The queue is as long as configured, but no longer than what gets a
    /// place within half of that time: whoever comes too late for one is told at once and not when the time is over.
    ///
    /// # Errors
    /// [`Shed::Queue`] when it is full of requests that go first.
    pub fn line_up(
        self: &Arc<Self>,
        priority: Priority,
        wait: Duration,
        now: Instant,
    ) -> Result<Waiting, Shed> {
        let length = self.length.load(Ordering::Relaxed) as usize;
        let (sender, place) = oneshot::channel();
        let (number, evicted) = {
            let mut line = self.line();
            let length = length.min(line.pace.within(wait / 2, now));
            let Pushed::Waits(number, evicted) = line.waiters.push(priority, length, sender) else {
                return Err(Shed::Queue);
            };
            self.changed(&mut line, 0, now);
            (number, evicted)
        };
        drop(evicted);
        // Whoever left while we were lining up found nobody waiting.
        self.admit_waiting();
        Ok(Waiting { limit: self.clone(), priority, number, place })
    }

    /// The limit in force.
    pub fn limit(&self) -> u32 {
        self.limit.load(Ordering::Relaxed)
    }

    /// Places taken.
    pub fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::Relaxed)
    }

    fn take(self: &Arc<Self>) -> Option<Place> {
        let limit = self.limit();
        let more = |taken: u32| (taken < limit).then_some(taken + 1);
        let before = self.in_flight.fetch_update(Ordering::SeqCst, Ordering::SeqCst, more).ok()?;
        if self.adaptive.load(Ordering::Relaxed) {
            self.window.peak.fetch_max(before + 1, Ordering::Relaxed);
        }
        Some(Place(self.clone()))
    }

    /// Gives free places to those who wait.
    fn admit_waiting(self: &Arc<Self>) {
        let (mut place, mut served) = (None, 0);
        let mut line = self.line();
        while line.waiters.len() > 0 {
            let Some(free) = place.take().or_else(|| self.take()) else { break };
            place = match line.waiters.pop() {
                Some(waiter) => waiter.send(free).err(),
                None => Some(free),
            };
            served += u32::from(place.is_none());
        }
        self.changed(&mut line, served, Instant::now());
        // A place that nobody took any more must not be dropped while the queue is locked.
        drop(line);
    }

    fn changed(&self, line: &mut Line, served: u32, now: Instant) {
        let waiting = line.waiters.len();
        line.pace.changed(served, waiting, now);
        self.waiting.store(u32::try_from(waiting).unwrap_or(u32::MAX), Ordering::SeqCst);
        if let Some(series) = &self.series {
            series.queue_depth.set(i64::try_from(waiting).unwrap_or(i64::MAX));
        }
    }

    fn set(&self, limit: u32) {
        self.limit.store(limit, Ordering::Relaxed);
        if let Some(series) = &self.series {
            series.limit.set(i64::from(limit));
        }
    }

    /// Closes the window when it is over, and learns from it. Only one of those who come at once does.
    fn learn(self: &Arc<Self>, now: Instant) {
        if !self.window.is_over(now) {
            return;
        }
        let Ok(mut gradient) = self.gradient.try_lock() else { return };
        if !self.window.is_over(now) {
            return;
        }
        gradient.observe(self.window.close(now, self.in_flight()));
        self.set(gradient.limit());
        drop(gradient);
        if self.waiting.load(Ordering::SeqCst) > 0 {
            self.admit_waiting();
        }
    }

    fn line(&self) -> MutexGuard<'_, Line> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn gradient(&self) -> MutexGuard<'_, Gradient> {
        self.gradient.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Window {
    fn new(origin: Instant) -> Self {
        Self {
            origin,
            began_ms: AtomicU64::new(0),
            answers: AtomicU32::new(0),
            micros: AtomicU64::new(0),
            overloads: AtomicU32::new(0),
            peak: AtomicU32::new(0),
        }
    }

    fn is_over(&self, now: Instant) -> bool {
        let enough = self.answers.load(Ordering::Relaxed) >= WINDOW_ANSWERS
            || self.overloads.load(Ordering::Relaxed) > 0;
        let began = Duration::from_millis(self.began_ms.load(Ordering::Relaxed));
        enough && now.saturating_duration_since(self.origin) >= began + WINDOW
    }

    fn close(&self, now: Instant, in_flight: u32) -> Observed {
        let now = now.saturating_duration_since(self.origin).as_millis();
        self.began_ms.store(u64::try_from(now).unwrap_or(u64::MAX), Ordering::Relaxed);
        let answers = self.answers.swap(0, Ordering::Relaxed);
        let latency = Duration::from_micros(self.micros.swap(0, Ordering::Relaxed)).as_secs_f64();
        Observed {
            answers,
            latency: latency / f64::from(answers.max(1)),
            overloads: self.overloads.swap(0, Ordering::Relaxed),
            peak: self.peak.swap(in_flight, Ordering::Relaxed),
        }
    }
}

impl Place {
    /// An answer began after this long.
    pub fn answered(&self, latency: Duration, now: Instant) {
        let window = &self.0.window;
        if self.0.adaptive.load(Ordering::Relaxed) {
            let micros = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
            window.micros.fetch_add(micros, Ordering::Relaxed);
            window.answers.fetch_add(1, Ordering::Relaxed);
            self.0.learn(now);
        }
    }

    /// The provider had too much to do.
    pub fn overloaded(&self, now: Instant) {
        if self.0.adaptive.load(Ordering::Relaxed) {
            self.0.window.overloads.fetch_add(1, Ordering::Relaxed);
            self.0.learn(now);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::SeqCst);
        if self.0.waiting.load(Ordering::SeqCst) > 0 {
            self.0.admit_waiting();
        }
    }
}

impl Waiting {
    /// Waits for a place.
    ///
    /// # Errors
    /// When there was none in time, or a request that goes first took this one's place in the queue.
    pub async fn place(&mut self, wait: Duration) -> Result<Place, Shed> {
        match tokio::time::timeout(wait, &mut self.place).await {
            Ok(Ok(place)) => Ok(place),
            Ok(Err(_)) => Err(Shed::Queue),
            Err(_) => Err(Shed::Wait),
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let left = {
            let mut line = self.limit.line();
            let left = line.waiters.remove(self.priority, self.number);
            if left.is_some() {
                self.limit.changed(&mut line, 0, Instant::now());
            }
            left
        };
        drop(left);
    }
}

impl Shed {
    /// The metric label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queue => "queue_full",
            Self::Wait => "queue_wait",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fixed(limit: u32, length: usize) -> Arc<InFlightLimit> {
        let max = MaxInFlight::Fixed(limit.try_into().unwrap());
        InFlightLimit::new(InFlightRule { max, length }, None)
    }

    fn line_up(limit: &Arc<InFlightLimit>, priority: Priority) -> Result<Waiting, Shed> {
        limit.line_up(priority, Duration::from_millis(30), Instant::now())
    }

    fn served(waiting: &mut Waiting) -> bool {
        waiting.place.try_recv().is_ok_and(|place| {
            // Kept, or the next in line would be served at once.
            std::mem::forget(place);
            true
        })
    }

    #[test]
    fn a_place_is_free_again_when_it_is_dropped() {
        let limit = fixed(1, 0);
        let first = limit.try_enter().unwrap();
        assert!(limit.try_enter().is_none());
        assert_eq!(line_up(&limit, Priority::High).unwrap_err(), Shed::Queue);
        drop(first);
        assert!(limit.try_enter().is_some());
    }

    #[test]
    fn a_place_goes_to_the_highest_priority_and_not_to_a_newcomer() {
        let limit = fixed(1, 10);
        let first = limit.try_enter().unwrap();
        let mut low = line_up(&limit, Priority::Low).unwrap();
        let mut high = line_up(&limit, Priority::High).unwrap();
        assert!(limit.try_enter().is_none());
        drop(first);
        assert!(limit.try_enter().is_none(), "the place is taken already");
        assert!(!served(&mut low) && served(&mut high));
    }

    #[test]
    fn whoever_leaves_the_queue_gives_its_place_on() {
        let limit = fixed(1, 10);
        let first = limit.try_enter().unwrap();
        let mut stays = line_up(&limit, Priority::Normal).unwrap();
        let leaves = line_up(&limit, Priority::Normal).unwrap();
        drop(first);
        drop(leaves);
        assert!(served(&mut stays));
        assert_eq!(limit.in_flight(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn the_wait_ends_and_leaves_nothing_in_the_queue() {
        let limit = fixed(1, 1);
        let _first = limit.try_enter().unwrap();
        let mut waiting = line_up(&limit, Priority::Normal).unwrap();
        assert_eq!(waiting.place(Duration::from_millis(30)).await.unwrap_err(), Shed::Wait);
        drop(waiting);
        assert!(line_up(&limit, Priority::Normal).is_ok());
    }

    #[test]
    fn a_raised_limit_holds_for_the_next_and_a_lowered_one_cuts_nobody_off() {
        let limit = fixed(1, 0);
        let _first = limit.try_enter().unwrap();
        limit.configure(InFlightRule { max: MaxInFlight::Fixed(2.try_into().unwrap()), length: 0 });
        let _second = limit.try_enter().unwrap();
        limit.configure(InFlightRule { max: MaxInFlight::Fixed(1.try_into().unwrap()), length: 0 });
        assert_eq!((limit.in_flight(), limit.try_enter().is_none()), (2, true));
    }

    #[test]
    fn an_adaptive_limit_learns_once_a_window() {
        let max = MaxInFlight::Adaptive(crate::config::Adaptive::Adaptive);
        let limit = InFlightLimit::new(InFlightRule { max, length: 0 }, None);
        let before = limit.limit();
        let places: Vec<Place> = std::iter::from_fn(|| limit.try_enter()).collect();
        assert_eq!(places.len(), before as usize);
        let start = limit.window.origin;
        for place in &places {
            place.answered(Duration::from_millis(50), start + WINDOW / 2);
        }
        assert_eq!(limit.limit(), before);
        for window in 1..10 {
            for place in &places {
                place.answered(Duration::from_millis(50), start + WINDOW * window);
            }
        }
        assert!(limit.limit() > before);
    }
}
