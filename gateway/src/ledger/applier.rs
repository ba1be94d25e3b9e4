//! Brings the log to the store, in batches and beside the requests; what the store refuses for now stays in the log.
//! Afterwards the accounts learn what the store knows, since other gateways spend too.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use domain::Micros;
use store::{LedgerEntry, State, Store, Subject};

use super::confirm::{self, Minutes, Taken};
use super::follower::{ApplyError, Follower, Step};
use super::{Ledger, now_ms};
use crate::budgets::{Account, Owner};
use crate::telemetry::Metrics;

/// Between two looks at the log, unless there was much in it: what comes while a little is applied is not worth a
/// transaction of its own.
const EVERY: Duration = Duration::from_millis(200);
/// Between two looks at what others spend, and at logs that others have left behind.
const REFRESH: Duration = Duration::from_secs(1);
/// Accounts that are looked at each time, in turn.
const LOOKS: usize = 100;
/// After a failure: first, and at most.
const BACKOFF: Duration = Duration::from_millis(100);
const LONGEST_BACKOFF: Duration = Duration::from_secs(2);
/// Between two times that old minutes are forgotten, and how old they are. Budgets ask for those of two hours.
const TIDY: Duration = Duration::from_secs(600);
const OLD_MS: i64 = 24 * 3_600_000;

/// Brings the log to the store.
#[derive(Debug)]
pub struct Applier {
    ledger: Arc<Ledger>,
    store: Store,
    metrics: &'static Metrics,
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
            let mut follower = Follower::resume(&folder, &self.store).await?;
            while !self.step(&mut follower).await?.is_end {}
            follower.finish(&self.store).await?;
        }
        Ok(())
    }

    /// What the store knows of the account's running windows.
    ///
    /// # Errors
    /// When the store is away.
    pub async fn load(&self, account: &Account, with_unsettled: bool) -> Result<(), ApplyError> {
        let owner = confirm::owner(account);
        if let Some(sharing) = self.ledger.budgets.sharing() {
            return confirm::account(&self.store, sharing, account, owner, &Minutes::new()).await;
        }
        for window in account.windows_at(now_ms()) {
            let spend = self.store.ledger().spend(owner, window.start, window.end).await?;
            account.load(window.start, spend.cost, with_unsettled.then_some(spend.unsettled));
        }
        Ok(())
    }

    /// Applies this process's log for ever.
    pub async fn run(self) {
        let Some(folder) = self.ledger.log.as_ref().map(|log| log.folder().to_owned()) else { return };
        let mut follower = Follower::of_new(&folder);
        let mut backoff = BACKOFF;
        let (mut refreshed, mut tidied, mut next) = (Instant::now(), Instant::now(), 0);
        let mut taken = Taken::default();
        loop {
            let done = async {
                let step = self.step(&mut follower).await?;
                self.ledger.applied.fetch_add(step.bytes, Ordering::Relaxed);
                self.tell_accounts(step.ended(), &mut taken);
                self.ledger.progress.notify_waiters();
                if let Some(sharing) = self.ledger.budgets.sharing() {
                    taken.confirm(&self.store, sharing, &self.ledger.budgets, LOOKS).await?;
                }
                self.refresh(&mut refreshed, &mut next).await?;
                self.tidy(&mut tidied).await?;
                Ok::<bool, ApplyError>(step.has_more())
            };
            let done = done.await;
            self.measure();
            match done {
                Ok(has_more) => {
                    backoff = BACKOFF;
                    if !has_more {
                        tokio::time::sleep(EVERY).await;
                    }
                }
                Err(error) => {
                    self.metrics.ledger.failures.inc();
                    tracing::warn!(%error, "the ledger waits for its store");
                    tokio::time::sleep(backoff).await;
                    backoff = (backoff * 2).min(LONGEST_BACKOFF);
                }
            }
        }
    }

    /// Now and then: what others have left behind, and what they spend.
    async fn refresh(&self, refreshed: &mut Instant, next: &mut usize) -> Result<(), ApplyError> {
        if refreshed.elapsed() < REFRESH {
            return Ok(());
        }
        *refreshed = Instant::now();
        self.adopt().await?;
        let accounts = self.ledger.budgets.all();
        for account in accounts.iter().cycle().skip(*next).take(accounts.len().min(LOOKS)) {
            // What is unsettled includes what runs here, and that is held already.
            let is_idle = account.is_idle(now_ms());
            self.load(account, is_idle).await?;
        }
        *next = (*next + LOOKS).checked_rem(accounts.len()).unwrap_or(0);
        Ok(())
    }

    async fn tidy(&self, tidied: &mut Instant) -> Result<(), ApplyError> {
        if tidied.elapsed() >= TIDY {
            *tidied = Instant::now();
            self.store.ledger().forget_minutes(now_ms() - OLD_MS).await?;
        }
        Ok(())
    }

    async fn step(&self, follower: &mut Follower) -> Result<Step, ApplyError> {
        let step = follower.step(&self.store).await?;
        self.metrics.ledger.applied.inc_by(step.applied.ended as u64);
        self.metrics.ledger.damaged.inc_by(step.damaged);
        Ok(step)
    }

    /// What was on its way to the store has arrived.
    fn tell_accounts(&self, ended: &[LedgerEntry], taken: &mut Taken) {
        if self.ledger.budgets.is_empty() {
            return;
        }
        let is_shared = self.ledger.budgets.sharing().is_some();
        // By where the subject lies: entries share it.
        let mut known: HashMap<usize, [Option<Arc<Account>>; 3]> = HashMap::new();
        for entry in ended.iter().filter(|entry| entry.state == State::Settled && entry.cost > Micros(0)) {
            let place = Arc::as_ptr(&entry.subject).addr();
            let accounts = known.entry(place).or_insert_with(|| self.accounts(&entry.subject));
            for account in accounts.iter().flatten() {
                if is_shared {
                    taken.add(account, entry);
                } else {
                    account.applied(entry.cost, entry.at_ms);
                }
            }
        }
    }

    fn accounts(&self, subject: &Subject) -> [Option<Arc<Account>>; 3] {
        [
            Owner::Key(subject.key_id.as_str().into()),
            Owner::Team(subject.team_id.as_str().into()),
            Owner::User(subject.user_id.as_str().into()),
        ]
        .map(|owner| self.ledger.budgets.find(&owner))
    }

    fn measure(&self) {
        let metrics = &self.metrics.ledger;
        metrics.pending_bytes.set(i64::try_from(self.ledger.pending()).unwrap_or(i64::MAX));
        metrics.lost.set(i64::try_from(self.ledger.lost()).unwrap_or(i64::MAX));
    }
}
