//! Brings the log to the store, in batches and beside the requests; what the store refuses for now stays in the log.
//! Afterwards the accounts learn what the store knows, since other gateways spend too.

use std::fs;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use domain::Micros;
use store::{LedgerEntry, State, Store, StoreError};

use super::tail::{Batch, Tail};
use super::{Ledger, now_ms};
use crate::budgets::{Account, Owner};
use crate::telemetry::Metrics;

/// Between two looks at the log.
const EVERY: Duration = Duration::from_millis(50);
/// Between two looks at what others spend, and at logs that others have left behind.
const REFRESH: Duration = Duration::from_secs(1);
/// Accounts that are looked at each time, in turn.
const LOOKS: usize = 100;
/// After a failure: first, and at most.
const BACKOFF: Duration = Duration::from_millis(100);
const LONGEST_BACKOFF: Duration = Duration::from_secs(2);
/// Entries of one transaction: a longer one would keep other writers waiting.
const BATCH: usize = 1_000;

/// Brings the log to the store.
#[derive(Debug)]
pub struct Applier {
    ledger: Arc<Ledger>,
    store: Store,
    metrics: &'static Metrics,
}

/// Why the log is not applied.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// The store refused, or is away.
    #[error("{0}")]
    Store(#[from] StoreError),
    /// The log cannot be read.
    #[error("the ledger's log: {0}")]
    Log(#[from] io::Error),
}

impl Applier {
    /// From this ledger to this store.
    pub fn new(ledger: Arc<Ledger>, store: Store, metrics: &'static Metrics) -> Self {
        Self { ledger, store, metrics }
    }

    /// Applies the logs of processes that have ended, and deletes them.
    ///
    /// # Errors
    /// When one cannot be applied; it stays.
    pub async fn adopt(&self) -> Result<(), ApplyError> {
        if self.ledger.log.is_none() {
            return Ok(());
        }
        for (folder, _lock) in super::log::orphans(&self.ledger.root)? {
            let mut tail = Tail::new(&folder)?;
            while self.step(&mut tail, |_| ()).await? > 0 {}
            fs::remove_dir_all(&folder)?;
        }
        Ok(())
    }

    /// What the store knows of the account's running windows.
    ///
    /// # Errors
    /// When the store is away.
    pub async fn load(&self, account: &Account, with_unsettled: bool) -> Result<(), ApplyError> {
        let owner = match &account.owner {
            Owner::Key(id) => store::Owner::Key(id),
            Owner::Team(id) => store::Owner::Team(id),
            Owner::User(id) => store::Owner::User(id),
        };
        for window in account.windows_at(now_ms()) {
            let spend = self.store.ledger().spend(owner, window.start, window.end).await?;
            account.load(window.start, spend.cost, with_unsettled.then_some(spend.unsettled));
        }
        Ok(())
    }

    /// Applies this process's log for ever.
    pub async fn run(self) {
        let Some(folder) = self.ledger.log.as_ref().map(|log| log.folder().to_owned()) else { return };
        let mut backoff = BACKOFF;
        let mut refreshed = Instant::now();
        let (mut tail, mut next) = (Tail::of_new(folder), 0);
        loop {
            let done = self.turn(&mut tail, &mut refreshed, &mut next).await;
            self.measure();
            match done {
                Ok(0) => {
                    backoff = BACKOFF;
                    tokio::time::sleep(EVERY).await;
                }
                Ok(_) => backoff = BACKOFF,
                Err(error) => {
                    self.metrics.ledger.failures.inc();
                    tracing::warn!(%error, "the ledger waits for its store");
                    tokio::time::sleep(backoff).await;
                    backoff = (backoff * 2).min(LONGEST_BACKOFF);
                }
            }
        }
    }

    /// One batch, and now and then a look at the others; answers how many bytes of the log were applied.
    async fn turn(
        &self,
        tail: &mut Tail,
        refreshed: &mut Instant,
        next: &mut usize,
    ) -> Result<u64, ApplyError> {
        let applied = self
            .step(tail, |batch| {
                self.ledger.applied.fetch_add(batch.bytes, Ordering::Relaxed);
                batch.entries.iter().for_each(|entry| self.tell_accounts(entry));
                self.ledger.progress.notify_waiters();
            })
            .await?;
        if refreshed.elapsed() >= REFRESH {
            *refreshed = Instant::now();
            self.adopt().await?;
            let accounts = self.ledger.budgets.all();
            for account in accounts.iter().cycle().skip(*next).take(accounts.len().min(LOOKS)) {
                // What is unsettled includes what runs here, and that is held already.
                let is_idle = account.is_idle(now_ms());
                self.load(account, is_idle).await?;
            }
            *next = (*next + LOOKS).checked_rem(accounts.len()).unwrap_or(0);
        }
        Ok(applied)
    }

    /// One batch; answers its bytes, which are none at the end of the log only.
    async fn step(&self, tail: &mut Tail, applied: impl FnOnce(&Batch)) -> Result<u64, ApplyError> {
        let batch = tail.read()?;
        for entries in batch.entries.chunks(BATCH) {
            let done = self.store.ledger().apply(entries).await?;
            self.metrics.ledger.applied.inc_by(done.changed as u64);
        }
        self.metrics.ledger.damaged.inc_by(batch.damaged);
        tail.advance(&batch);
        if batch.bytes > 0 {
            applied(&batch);
        }
        Ok(batch.bytes)
    }

    /// What was on its way to the store has arrived.
    fn tell_accounts(&self, entry: &LedgerEntry) {
        if entry.state != State::Settled || entry.cost == Micros(0) {
            return;
        }
        let owners = [
            Owner::Key(entry.key_id.as_str().into()),
            Owner::Team(entry.team_id.as_str().into()),
            Owner::User(entry.user_id.as_str().into()),
        ];
        for account in owners.iter().filter_map(|owner| self.ledger.budgets.find(owner)) {
            account.applied(entry.cost, entry.at_ms);
        }
    }

    fn measure(&self) {
        let metrics = &self.metrics.ledger;
        metrics.pending_bytes.set(i64::try_from(self.ledger.pending()).unwrap_or(i64::MAX));
        metrics.lost.set(i64::try_from(self.ledger.lost()).unwrap_or(i64::MAX));
    }
}
