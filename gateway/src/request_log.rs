//! The request log's way to the store: records wait in a bounded queue and are written in batches on the store's thread.
//! A request never waits for it, and never fails with it. No prompt and no answer comes here.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use store::{LoggedRequest, Store, StoreError};

use crate::config::RequestLogConfig;
use crate::ledger::ago_ms;
use crate::telemetry::Metrics;

/// Between two looks at the queue.
const EVERY: Duration = Duration::from_millis(500);
/// Records of one transaction.
const BATCH: usize = 1_000;
/// Between two erasures of what is too old.
const SWEEP: Duration = Duration::from_secs(600);
/// After the store has failed.
const BACKOFF: Duration = Duration::from_secs(5);
/// How long the end of the process waits for what is queued.
const DRAIN_TIME: Duration = Duration::from_secs(2);

/// The near end.
#[derive(Debug)]
pub struct RequestLog {
    queue: Mutex<Vec<LoggedRequest>>,
    /// In the queue and with the writer.
    pending: AtomicUsize,
    /// The most of them; 0: nothing is logged.
    limit: usize,
    metrics: &'static Metrics,
}

impl RequestLog {
    /// As the configuration asks for it; without a store nothing is logged.
    pub fn new(config: &RequestLogConfig, has_store: bool, metrics: &'static Metrics) -> Self {
        let limit = if has_store && config.enabled { config.queue as usize } else { 0 };
        Self { queue: Mutex::default(), pending: AtomicUsize::new(0), limit, metrics }
    }

    /// Appends a record, which is made only when there is room for it.
    pub fn append(&self, record: impl FnOnce() -> LoggedRequest) {
        if self.limit == 0 {
            return;
        }
        if self.pending.fetch_add(1, Ordering::Relaxed) >= self.limit {
            self.pending.fetch_sub(1, Ordering::Relaxed);
            self.metrics.request_log.dropped.inc();
            return;
        }
        let record = record();
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).push(record);
    }

    /// Waits until the store has what was appended, two seconds at most.
    pub async fn drain(&self) {
        let begun = Instant::now();
        while self.pending.load(Ordering::Relaxed) > 0 && begun.elapsed() < DRAIN_TIME {
            tokio::time::sleep(EVERY / 10).await;
        }
    }

    fn take(&self) -> Vec<LoggedRequest> {
        std::mem::take(&mut *self.queue.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The far end.
#[derive(Debug)]
pub struct Writer {
    log: Arc<RequestLog>,
    store: Store,
    keep: Duration,
}

impl Writer {
    /// Of this log; what is older than `keep` is erased.
    pub fn new(log: Arc<RequestLog>, store: Store, keep: Duration) -> Self {
        Self { log, store, keep }
    }

    /// Writes and erases for as long as the process lives.
    pub async fn run(self) {
        let mut waiting = Vec::new();
        let mut swept: Option<Instant> = None;
        loop {
            if waiting.is_empty() {
                waiting = self.log.take();
            }
            let done = async {
                while !waiting.is_empty() {
                    let length = waiting.len().min(BATCH);
                    let (batch, _) = waiting.split_at(length);
                    self.store.request_log().append(batch).await?;
                    waiting.drain(..length);
                    self.log.pending.fetch_sub(length, Ordering::Relaxed);
                }
                self.sweep(&mut swept).await
            };
            let pause = match done.await {
                Ok(()) => EVERY,
                Err(error) => {
                    self.log.metrics.request_log.failures.inc();
                    tracing::warn!(%error, "the request log waits for its store");
                    BACKOFF
                }
            };
            tokio::time::sleep(pause).await;
        }
    }

    async fn sweep(&self, swept: &mut Option<Instant>) -> Result<(), StoreError> {
        if swept.is_none_or(|swept| swept.elapsed() >= SWEEP) {
            self.store.request_log().erase_before(ago_ms(self.keep)).await?;
            *swept = Some(Instant::now());
        }
        Ok(())
    }
}
