//! Applies a piece of a gateway's log in one transaction.

use super::block;
use super::sums::Sums;
use super::{Ledger, LedgerEntry, State};
use crate::database::Transaction;
use crate::error::{Result, StoreError};

/// The longest batch of one transaction, in entries that ended.
pub const MAX_BATCH: usize = 10_000;

/// Attempts of a deadlock's victim.
const TRIES: usize = 3;

/// A place in a log: the byte `offset` of a numbered segment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The segment, from 0.
    pub segment: u64,
    /// Bytes from its beginning.
    pub offset: u64,
}

/// What a piece of a log says. Each attempt ends in one batch only: whoever reads the log sees to that.
#[derive(Clone, Debug, Default)]
pub struct LogBatch {
    /// The log's name.
    pub log: String,
    /// Where the piece begins: as far as the log was applied before.
    pub from: Position,
    /// Where it ends.
    pub to: Position,
    /// Attempts that were settled or aborted in it, whole.
    pub ended: Vec<LedgerEntry>,
    /// Reservations whose end is not known yet and that the log will forget.
    pub opened: Vec<LedgerEntry>,
    /// Ids of attempts that were `opened` in an earlier batch and have ended in this one.
    pub closed: Vec<String>,
}

/// What a batch changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// Attempts that ended.
    pub ended: usize,
    /// Of these, settled: what was added to the sums.
    pub settled: usize,
    /// The store had this piece of the log already; nothing was changed.
    pub is_known: bool,
}

impl Ledger<'_> {
    /// Applies a batch: all of it or nothing, and once, however often it comes. A log that the store does not know may
    /// begin anywhere.
    ///
    /// # Errors
    /// `Invalid` for a batch that is too long or an entry without an attempt id; `Busy`, after which the same batch may
    /// be applied again.
    pub async fn apply(self, batch: &LogBatch) -> Result<Applied> {
        check(batch)?;
        let block = block::encode(&batch.ended)?;
        let mut tries = 1;
        loop {
            match self.try_apply(batch, block.as_deref()).await {
                // Only PostgreSQL has deadlocks and refuses what another order of events would allow.
                Err(StoreError::Busy { .. }) if self.0.database.is_postgres() && tries < TRIES => tries += 1,
                done => return done,
            }
        }
    }

    async fn try_apply(self, batch: &LogBatch, block: Option<&[u8]>) -> Result<Applied> {
        let mut transaction = self.0.database.write().await?;
        if !advance(&mut transaction, batch).await? {
            return Ok(Applied { is_known: true, ..Applied::default() });
        }
        if let Some(block) = block {
            block::insert(&mut transaction, &batch.ended, block).await?;
        }
        super::open::change(&mut transaction, &batch.log, &batch.opened, &batch.closed).await?;
        let mut sums = Sums::default();
        let settled = batch.ended.iter().filter(|entry| entry.state == State::Settled);
        let count = settled.map(|entry| sums.add(entry)).count();
        sums.write(&mut transaction).await?;
        transaction.commit().await?;
        Ok(Applied { ended: batch.ended.len(), settled: count, is_known: false })
    }

    /// How far the log is applied; None for a log the store does not know.
    ///
    /// # Errors
    /// Those of any read.
    pub async fn progress(self, log: &str) -> Result<Option<Position>> {
        let sql = "SELECT segment, position FROM ledger_logs WHERE log = $1";
        let row = self.0.database.row(sql, vec![log.into()]).await?;
        row.map(|row| Ok(Position { segment: row.count("segment")?, offset: row.count("position")? }))
            .transpose()
    }

    /// Forgets how far a log is applied that exists no more.
    ///
    /// # Errors
    /// Those of any write.
    pub async fn forget(self, log: &str) -> Result<()> {
        let mut transaction = self.0.database.write().await?;
        transaction.execute("DELETE FROM ledger_logs WHERE log = $1", vec![log.into()]).await?;
        transaction.commit().await
    }
}

fn check(batch: &LogBatch) -> Result<()> {
    if batch.ended.len() > MAX_BATCH {
        return Err(StoreError::invalid("ledger", "batch", format!("is longer than {MAX_BATCH} entries")));
    }
    if batch.ended.iter().chain(&batch.opened).any(|entry| entry.attempt_id.is_empty()) {
        return Err(StoreError::invalid("ledger", "attempt_id", "is empty"));
    }
    Ok(())
}

/// Moves the log's position from the batch's beginning to its end; false when it is somewhere else.
async fn advance(transaction: &mut Transaction, batch: &LogBatch) -> Result<bool> {
    let sql = "INSERT INTO ledger_logs (log, segment, position) VALUES ($1, $2, $3)
               ON CONFLICT (log) DO UPDATE SET segment = excluded.segment, position = excluded.position
               WHERE ledger_logs.segment = $4 AND ledger_logs.position = $5";
    let (from, to) = (batch.from, batch.to);
    let values = vec![
        batch.log.as_str().into(),
        to.segment.into(),
        to.offset.into(),
        from.segment.into(),
        from.offset.into(),
    ];
    Ok(transaction.execute(sql, values).await? == 1)
}
