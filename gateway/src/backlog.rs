//! What waits for the store beside the requests: a queue that is bounded in bytes, and the pace of whoever empties it on the
//! store's thread. The request log and the contents log each have one.

use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use prometheus::IntCounter;
use store::StoreError;
use tokio::sync::Notify;

use crate::ledger::ago_ms;

/// Between two looks at the queue, unless it is half full before.
const EVERY: Duration = Duration::from_secs(1);
/// After the store has failed.
const BACKOFF: Duration = Duration::from_secs(5);
/// How long the end of the process waits for what is queued, and how often it looks.
const DRAIN_TIME: Duration = Duration::from_secs(2);
const DRAIN_PAUSE: Duration = Duration::from_millis(20);
/// Between two erasures of what is too old: a tenth of the time that it is kept, within these.
const SHORTEST_SWEEP: Duration = Duration::from_secs(1);
const LONGEST_SWEEP: Duration = Duration::from_secs(600);

/// The queue.
#[derive(Debug)]
pub struct Backlog<T> {
    waiting: Mutex<Vec<T>>,
    /// Bytes that are taken: of what waits, of what is being written, and of what is yet to come here.
    held: AtomicUsize,
    /// The most of them; 0: nothing can wait.
    memory: usize,
    /// Wakes whoever empties it.
    bell: Notify,
}

impl<T> Backlog<T> {
    /// An empty one for so many bytes.
    pub fn new(memory: usize) -> Self {
        Self { waiting: Mutex::default(), held: AtomicUsize::new(0), memory, bell: Notify::new() }
    }

    /// Can anything wait here at all?
    pub fn is_off(&self) -> bool {
        self.memory == 0
    }

    /// Takes room; false when there is none.
    pub fn take(&self, bytes: usize) -> bool {
        let before = self.held.fetch_add(bytes, Ordering::Relaxed);
        let after = before.saturating_add(bytes);
        if after > self.memory {
            self.give_back(bytes);
            return false;
        }
        let half = self.memory / 2;
        if before < half && after >= half {
            self.bell.notify_one();
        }
        true
    }

    /// Gives room back.
    pub fn give_back(&self, bytes: usize) {
        self.held.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Bytes that are taken.
    pub fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }

    /// Queues something that has room already, which goes along with it.
    pub fn push(&self, it: T) {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).push(it);
    }

    /// Everything that waits, oldest first. There is room for as many again: whoever pushes is a request, which should not have to
    /// wait until megabytes are copied to where there is more.
    pub fn take_all(&self) -> Vec<T> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let room = waiting.len();
        std::mem::replace(&mut *waiting, Vec::with_capacity(room))
    }

    /// Waits until the store has everything, two seconds at most.
    pub async fn drain(&self) {
        let begun = Instant::now();
        while self.held() > 0 && begun.elapsed() < DRAIN_TIME {
            self.bell.notify_one();
            tokio::time::sleep(DRAIN_PAUSE).await;
        }
    }

    /// Waits until it is time to look again: longer after a failure, which is counted.
    pub async fn pause(&self, done: Result<(), StoreError>, failures: &IntCounter, whose: &'static str) {
        match done {
            Ok(()) => {
                // When the time is over it is time too.
                let _ = tokio::time::timeout(EVERY, self.bell.notified()).await;
            }
            Err(error) => {
                failures.inc();
                tracing::warn!(%error, whose, "it waits for the store");
                tokio::time::sleep(BACKOFF).await;
            }
        }
    }
}

/// How long something is kept.
#[derive(Clone, Copy, Debug)]
pub struct Retention(pub Duration);

impl Retention {
    /// Erases what is too old for as long as the process lives, beside the writing, which need not wait for it: `erase` is told
    /// before which time all is to go.
    pub async fn enforce<W>(self, failures: &IntCounter, whose: &'static str, erase: impl Fn(i64) -> W)
    where
        W: Future<Output = Result<(), StoreError>>,
    {
        let regular = (self.0 / 10).clamp(SHORTEST_SWEEP, LONGEST_SWEEP);
        loop {
            let pause = match erase(ago_ms(self.0)).await {
                Ok(()) => regular,
                Err(error) => {
                    failures.inc();
                    tracing::warn!(%error, whose, "what is too old is not erased");
                    BACKOFF
                }
            };
            tokio::time::sleep(pause).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_waits_than_there_is_memory_for() {
        let backlog = Backlog::new(100);
        assert!(backlog.take(60) && !backlog.take(41) && backlog.take(40));
        backlog.push("both");
        backlog.give_back(60);
        assert!(backlog.take(1));
        assert_eq!((backlog.held(), backlog.take_all()), (41, vec!["both"]));
        assert!(!Backlog::<()>::new(0).take(1), "nothing can wait where there is no memory");
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_empties_it_is_woken_when_it_is_half_full() {
        let (backlog, failures) =
            (Backlog::<()>::new(100), IntCounter::new("failures", "Of a test.").unwrap());
        let begun = tokio::time::Instant::now();
        backlog.take(49);
        backlog.pause(Ok(()), &failures, "a test").await;
        assert_eq!(begun.elapsed(), EVERY);
        backlog.take(1);
        backlog.take(1);
        backlog.pause(Ok(()), &failures, "a test").await;
        assert_eq!(begun.elapsed(), EVERY, "at once");
        backlog.pause(Err(StoreError::Busy { reason: "it is".to_owned() }), &failures, "a test").await;
        assert_eq!((begun.elapsed(), failures.get()), (EVERY + BACKOFF, 1));
    }
    #[tokio::test(start_paused = true)]
    async fn what_is_too_old_is_erased_again_and_again_and_sooner_after_a_failure() {
        let failures = IntCounter::new("failures", "Of a test.").unwrap();
        let (begun, times) = (tokio::time::Instant::now(), Mutex::new(Vec::new()));
        let erase = |before_ms: i64| {
            assert!(before_ms <= ago_ms(Duration::from_secs(100)));
            let mut times = times.lock().unwrap();
            times.push(begun.elapsed().as_secs());
            let fails = times.len() == 2;
            async move { if fails { Err(StoreError::Busy { reason: "it is".to_owned() }) } else { Ok(()) } }
        };
        let enforced = Retention(Duration::from_secs(100)).enforce(&failures, "a test", erase);
        let _ = tokio::time::timeout(Duration::from_secs(30), enforced).await;
        assert_eq!((times.lock().unwrap().as_slice(), failures.get()), (&[0, 10, 15, 25][..], 1));
    }
}
