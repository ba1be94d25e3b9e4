//! What each attempt costs: reserved before it is sent, settled when its answer is whole, kept in a write-ahead log
//! until the store has it. Nothing here waits for the database.
//!
//! `line` is one entry on disk, `subjects` who pays for what, `log` the files this process writes, `tail` reads them, `open_attempts` joins what was
//! reserved with its end, `follower` brings one log to the store, `applier` all of them, `confirm` tells accounts that are
//! shared; `reservation` is what a running attempt holds; `sheet` is entries as rows for whoever takes them away.

mod applier;
mod confirm;
mod follower;
mod line;
mod log;
mod open_attempts;
mod reservation;
mod sheet;
mod subjects;
mod tail;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use domain::{Micros, ModelName, Usage};
use store::Kind;
use tokio::sync::Notify;

use crate::alerts::raise;
use crate::budgets::{self, Account, BudgetBook, NoHold, Spent};
use crate::config::AlertKind;
use crate::keys::Principal;
use crate::upstream::Deployment;

use log::Log;

pub use applier::Applier;
pub use follower::ApplyError;
pub use reservation::{End, Reservation};
pub use sheet::{EntryRow, SheetFormat, guarded, moment};

/// Without a bound of its own and without one in the catalogue, an answer is taken to be this long, in tokens.
const LONGEST_ANSWER: u64 = 16_384;

/// The ledger of this process.
#[derive(Debug)]
pub struct Ledger {
    /// The caps.
    pub budgets: BudgetBook,
    /// None when nothing is to outlive the process.
    log: Option<Log>,
    root: PathBuf,
    attempts: AtomicU64,
    /// Bytes of the log that may wait for the store.
    limit: u64,
    applied: AtomicU64,
    progress: Notify,
}

/// Why an attempt must not be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// A budget is spent.
    Spent(Spent),
    /// The log is full or cannot be written: what it costs would be lost.
    LogFull,
    /// The cluster is away, and its policy is to refuse.
    NoCluster,
}

/// What a request saved that needed no call.
#[derive(Clone, Copy, Debug)]
pub struct Saving<'a> {
    /// How.
    pub kind: Kind,
    /// `ok`, or the metric label of what ended it early.
    pub outcome: &'a str,
    /// What the call would have cost, as far as that is known.
    pub saved: Micros,
}

impl Ledger {
    /// A ledger with these caps in the folder `root`, where this process has a unique `id`, whose log may hold so many bytes that the store has not taken; in memory only
    /// without a folder.
    ///
    /// # Errors
    /// When the folder cannot be made or written.
    pub fn open(id: &str, root: Option<&Path>, limit: u64, budgets: BudgetBook) -> io::Result<Arc<Self>> {
        // Attempts' ids begin with it.
        let log = root.map(|root| Log::create(root, id)).transpose()?;
        Ok(Arc::new(Self {
            budgets,
            log,
            root: root.map(Path::to_owned).unwrap_or_default(),
            attempts: AtomicU64::new(0),
            limit,
            applied: AtomicU64::new(0),
            progress: Notify::new(),
        }))
    }

    /// Must what this key's attempts cost be written down, or held against a budget?
    pub fn concerns(&self, principal: &Principal) -> bool {
        self.log.is_some() || !principal.counters.accounts.is_empty()
    }

    /// Holds what an attempt may cost, on every account that pays for it, and writes it down.
    ///
    /// # Errors
    /// When a budget is spent or the log is full: the attempt must not be sent.
    pub async fn reserve(
        self: &Arc<Self>,
        principal: &Arc<Principal>,
        request_id: &str,
        model: &ModelName,
        deployment: &Arc<Deployment>,
        estimate: Usage,
    ) -> Result<Reservation, Refused> {
        if self.pending() > self.limit {
            return Err(Refused::LogFull);
        }
        let reserved = deployment.cost(&estimate).unwrap_or_default();
        let now = now_ms();
        let holds = budgets::hold(&principal.counters.accounts, reserved, now).await?;
        let mut reservation = self.reservation(principal, request_id, model, deployment);
        (reservation.reserved, reservation.holds) = (reserved, holds);
        if let Some(log) = &self.log {
            log.append(|out, subjects| reservation.encode(out, subjects, now))
                .map_err(|_| Refused::LogFull)?;
            reservation.is_open = true;
        }
        Ok(reservation)
    }

    /// Writes down a request that needed no call, because it was given the answer of another one or a cache's, and what
    /// that saved. It costs nothing, so no budget refuses it; what does not fit into the log is not counted.
    pub fn save(
        self: &Arc<Self>,
        principal: &Arc<Principal>,
        request_id: &str,
        model: &ModelName,
        deployment: &Arc<Deployment>,
        saving: Saving<'_>,
    ) {
        let Some(log) = self.log.as_ref().filter(|_| self.pending() <= self.limit) else { return };
        let reservation = self.reservation(principal, request_id, model, deployment);
        let now = now_ms();
        if log.append(|out, subjects| reservation.encode(out, subjects, now)).is_ok() {
            reservation.of(saving.kind).save(saving.outcome, saving.saved);
        }
    }

    /// Of nothing, and not written down.
    fn reservation(
        self: &Arc<Self>,
        principal: &Arc<Principal>,
        request_id: &str,
        model: &ModelName,
        deployment: &Arc<Deployment>,
    ) -> Reservation {
        Reservation {
            ledger: self.clone(),
            attempt: self.attempts.fetch_add(1, Ordering::Relaxed),
            request_id: request_id.to_owned(),
            principal: principal.clone(),
            model: model.clone(),
            deployment: deployment.clone(),
            reserved: Micros(0),
            holds: Vec::new(),
            kind: Kind::Attempt,
            is_open: false,
        }
    }

    /// Bytes of the log that the store has not taken.
    pub fn pending(&self) -> u64 {
        let written = self.log.as_ref().map_or(0, Log::written);
        written.saturating_sub(self.applied.load(Ordering::Relaxed))
    }

    /// Waits until the store has all that was written before the call; false when that takes longer than `limit`.
    pub async fn caught_up(&self, limit: Duration) -> bool {
        let Some(log) = &self.log else { return true };
        let written = log.written();
        let wait = async {
            loop {
                let progress = self.progress.notified();
                if self.applied.load(Ordering::Relaxed) >= written {
                    return;
                }
                progress.await;
            }
        };
        tokio::time::timeout(limit, wait).await.is_ok()
    }

    /// Settlements that are gone for good, because the disk took nothing for too long.
    pub fn lost(&self) -> u64 {
        self.log.as_ref().map_or(0, Log::lost)
    }

    fn end(&self, attempt: u64, ending: &line::Ending<&str>) {
        if let Some(log) = &self.log {
            log.append_or_keep(|out| line::encode_ending(out, attempt, ending));
        }
    }

    fn watch_alerts(&self, account: &Account) {
        if let Some(window) = account.newly_alerted() {
            let message = format!(
                "{} of {} USD are spent: raise the budget or expect refusals",
                window.spent(),
                window.budget.limit
            );
            raise(AlertKind::Budget, account.owner.id(), message);
        }
    }
}

impl From<NoHold> for Refused {
    fn from(refused: NoHold) -> Self {
        match refused {
            NoHold::Spent(spent) => Self::Spent(spent),
            NoHold::NoCluster => Self::NoCluster,
        }
    }
}

/// What an attempt may use, as far as that is known before it: prompt bytes at three to a token, and the longest answer
/// that the request or the model allows.
pub fn estimate(prompt_bytes: usize, asked: u64, longest: Option<u32>) -> Usage {
    let completion = if asked > 0 { asked } else { longest.map_or(LONGEST_ANSWER, u64::from) };
    Usage { prompt: (prompt_bytes as u64).div_ceil(3), completion, ..Usage::default() }
}

/// The time so long ago, in unix milliseconds.
pub(crate) fn ago_ms(span: Duration) -> i64 {
    now_ms().saturating_sub_unsigned(u64::try_from(span.as_millis()).unwrap_or(u64::MAX))
}

/// The time in unix milliseconds.
pub(crate) fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
