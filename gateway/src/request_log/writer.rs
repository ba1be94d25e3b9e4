//! The far end of the queue, on the store's thread: makes blocks, stores them, erases what is too old, and joins blocks that
//! came out small.

use std::sync::Arc;
use std::time::Duration;

use store::{RequestBlock, Store, StoreError};

use super::RequestLog;
use super::ended::{Ended, logged};
use crate::backlog::Retention;
use crate::ledger::ago_ms;

/// Requests of one transaction.
const BATCH: usize = 8_192;
/// Blocks are joined once nearly all requests of their time have ended.
const SETTLED: Duration = Duration::from_secs(600);
/// How often they are joined in a row, so that much of it does not keep others waiting.
const JOINS: usize = 100;

/// The far end.
#[derive(Debug)]
pub struct Writer {
    log: Arc<RequestLog>,
    store: Store,
    retention: Retention,
    waiting: std::vec::IntoIter<Ended>,
    /// Made and not yet stored, and the room that their requests hold.
    blocks: Vec<RequestBlock>,
    held: usize,
}

impl Writer {
    /// Of this log; what is older than `keep` is erased.
    pub fn new(log: Arc<RequestLog>, store: Store, keep: Duration) -> Self {
        Self {
            log,
            store,
            retention: Retention(keep),
            waiting: Vec::new().into_iter(),
            blocks: Vec::new(),
            held: 0,
        }
    }

    /// Writes and erases for as long as the process lives.
    pub async fn run(self) {
        let (store, metrics) = (self.store.clone(), self.log.metrics);
        let failures = &metrics.request_log.failures;
        let enforced =
            self.retention.enforce(failures, "the request log", |before_ms| sweep(&store, before_ms));
        tokio::join!(enforced, self.feed());
    }

    async fn feed(mut self) {
        loop {
            let done = self.write().await;
            let failures = &self.log.metrics.request_log.failures;
            self.log.backlog.pause(done, failures, "the request log").await;
        }
    }

    async fn write(&mut self) -> Result<(), StoreError> {
        loop {
            if self.held == 0 {
                self.pack();
            }
            if self.held == 0 {
                return Ok(());
            }
            // The same ones again after a failure: one that was stored after all is not stored twice.
            self.store.request_log().append(&self.blocks).await?;
            self.log.backlog.give_back(std::mem::take(&mut self.held));
            self.blocks.clear();
        }
    }

    /// Makes blocks of up to a batch of what waits.
    fn pack(&mut self) {
        if self.waiting.len() == 0 {
            self.waiting = self.log.backlog.take_all().into_iter();
        }
        let batch: Vec<Ended> = self.waiting.by_ref().take(BATCH).collect();
        let held = batch.iter().map(Ended::held).sum();
        match RequestBlock::of(logged(&batch)) {
            Ok(blocks) => (self.blocks, self.held) = (blocks, held),
            Err(error) => {
                self.log.backlog.give_back(held);
                self.log.metrics.request_log.dropped.inc_by(batch.len() as u64);
                tracing::warn!(%error, "requests are not in the log");
            }
        }
    }
}

/// Erases what is too old, then joins what came out small.
async fn sweep(store: &Store, before_ms: i64) -> Result<(), StoreError> {
    store.request_log().erase_before(before_ms).await?;
    for _ in 0..JOINS {
        if !store.request_log().join_blocks(ago_ms(SETTLED)).await? {
            break;
        }
        // The ledger uses this thread too.
        tokio::task::yield_now().await;
    }
    Ok(())
}
