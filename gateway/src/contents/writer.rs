//! The far end of the queue, on the store's thread: seals what was said, stores it in batches, and erases what is too old.

use std::sync::Arc;
use std::time::Duration;

use store::{SealedContents, Store, StoreError};

use super::ContentsLog;
use super::queue::Waiting;
use super::sealed::seal;
use crate::backlog::Retention;
use crate::config::LogConfig;
use crate::ledger::ago_ms;
use crate::seal::Sealer;

/// Bytes of one transaction, about, so that others can write in between.
const BATCH: usize = 4 << 20;

/// The far end.
#[derive(Debug)]
pub struct Writer {
    log: Arc<ContentsLog>,
    store: Store,
    /// None: nothing is appended, but what is there grows old.
    sealer: Option<Sealer>,
    retention: Retention,
    /// How long an erasure must be known: nothing is kept longer.
    longest_keep: Duration,
}

/// What is sealed and not yet stored.
#[derive(Default)]
struct Batch {
    sealed: Vec<SealedContents>,
    held: usize,
}

impl Writer {
    /// Of this log.
    pub fn new(log: Arc<ContentsLog>, store: Store, sealer: Option<Sealer>, config: &LogConfig) -> Self {
        let keep = config.contents.keep.0;
        let longest_keep = keep.max(config.requests.keep.0);
        Self { log, store, sealer, retention: Retention(keep), longest_keep }
    }

    /// Writes and erases for as long as the process lives.
    pub async fn run(self) {
        let (store, metrics, longest_keep) = (self.store.clone(), self.log.metrics, self.longest_keep);
        let erase = |before_ms| {
            let store = &store;
            async move {
                store.contents().erase_before(before_ms).await?;
                store.erasures().forget_before(ago_ms(longest_keep)).await
            }
        };
        let failures = &metrics.request_log.contents_failures;
        tokio::join!(self.retention.enforce(failures, "prompts and answers", erase), self.feed());
    }

    async fn feed(self) {
        let mut waiting: Vec<Waiting> = Vec::new();
        let mut batch = Batch::default();
        loop {
            waiting.extend(self.log.backlog.take_all());
            let done = self.write(&mut waiting, &mut batch).await;
            let failures = &self.log.metrics.request_log.contents_failures;
            self.log.backlog.pause(done, failures, "prompts and answers").await;
        }
    }

    async fn write(&self, waiting: &mut Vec<Waiting>, batch: &mut Batch) -> Result<(), StoreError> {
        loop {
            self.fill(waiting, batch);
            if batch.held == 0 {
                return Ok(());
            }
            self.store.contents().append(&batch.sealed).await?;
            self.log.backlog.give_back(batch.held);
            *batch = Batch::default();
        }
    }

    /// Seals up to a batch of what waits.
    fn fill(&self, waiting: &mut Vec<Waiting>, batch: &mut Batch) {
        let Some(sealer) = &self.sealer else { return };
        // Newest first, which is all the same to the store.
        while batch.held < BATCH
            && let Some(next) = waiting.pop()
        {
            batch.held += next.held();
            match seal(&next, sealer) {
                Ok(sealed) => batch.sealed.push(sealed),
                Err(error) => {
                    self.log.lost();
                    tracing::warn!(%error, "what was said in a request");
                }
            }
        }
    }
}
