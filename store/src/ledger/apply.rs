//! Applies a batch of entries in one transaction.

use std::collections::{BTreeMap, HashSet};

use domain::Micros;

use super::entry::COLUMNS;
use super::sums::{Sums, chunks, many};
use super::{Ledger, LedgerEntry, State};
use crate::database::Transaction;
use crate::error::{Result, StoreError};

/// The longest batch of one transaction.
pub const MAX_BATCH: usize = 10_000;

/// Rows of one statement: 22 values each, well below both databases' limits.
const ROWS: usize = 32;

/// Attempts of a deadlock's victim.
const TRIES: usize = 3;

/// What a batch changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// Attempts that are new or went a step up.
    pub changed: usize,
    /// Of these, settled: what was added to the sums.
    pub settled: usize,
    /// Attempts that the ledger knew as far already.
    pub known: usize,
}

/// An attempt as the batch leaves it: its furthest entry and the largest estimate.
struct Step<'a> {
    entry: &'a LedgerEntry,
    reserved: Micros,
}

impl Ledger<'_> {
    /// Applies at most [`MAX_BATCH`] entries: all or none. Entries of one attempt may come more than once, in one batch
    /// or several, in any order and from several nodes: it counts once, with the figures of the first settlement.
    ///
    /// # Errors
    /// `Invalid` for a batch that is too long or an entry without an attempt id; `Busy`, after which the same batch may
    /// be applied again.
    pub async fn apply(self, batch: &[LedgerEntry]) -> Result<Applied> {
        if batch.len() > MAX_BATCH {
            return Err(StoreError::invalid(
                "ledger",
                "batch",
                format!("is longer than {MAX_BATCH} entries"),
            ));
        }
        if batch.iter().any(|entry| entry.attempt_id.is_empty()) {
            return Err(StoreError::invalid("ledger", "attempt_id", "is empty"));
        }
        let steps = furthest(batch);
        let mut tries = 1;
        loop {
            match self.try_apply(&steps).await {
                // Only PostgreSQL has deadlocks and refuses what another order of events would allow.
                Err(StoreError::Busy { .. }) if self.0.database.is_postgres() && tries < TRIES => tries += 1,
                done => return done,
            }
        }
    }

    async fn try_apply(self, steps: &[Step<'_>]) -> Result<Applied> {
        if steps.is_empty() {
            return Ok(Applied::default());
        }
        let mut transaction = self.0.database.write().await?;
        let changed = upsert(&mut transaction, steps).await?;
        let mut sums = Sums::default();
        let mut settled = 0;
        for step in steps.iter().filter(|step| step.entry.state == State::Settled) {
            if changed.contains(step.entry.attempt_id.as_str()) {
                sums.add(step.entry);
                settled += 1;
            }
        }
        sums.write(&mut transaction).await?;
        transaction.commit().await?;
        Ok(Applied { changed: changed.len(), settled, known: steps.len() - changed.len() })
    }
}

/// One step for each attempt, sorted: a statement may not touch a row twice, and writers that take rows in one order
/// do not deadlock.
fn furthest(batch: &[LedgerEntry]) -> Vec<Step<'_>> {
    let mut steps: BTreeMap<&str, Step<'_>> = BTreeMap::new();
    for entry in batch {
        steps
            .entry(&entry.attempt_id)
            .and_modify(|step| {
                step.reserved = step.reserved.max(entry.reserved);
                if entry.state > step.entry.state {
                    step.entry = entry;
                }
            })
            .or_insert(Step { entry, reserved: entry.reserved });
    }
    steps.into_values().collect()
}

/// Writes the steps that lead further than the ledger is; answers the ids of those.
async fn upsert(transaction: &mut Transaction, steps: &[Step<'_>]) -> Result<HashSet<String>> {
    let head = format!("INSERT INTO ledger ({}) VALUES ", COLUMNS.join(", "));
    let updates: Vec<String> = COLUMNS
        .iter()
        .filter(|column| !["attempt_id", "reserved_micros"].contains(column))
        .map(|column| format!("{column} = excluded.{column}"))
        .collect();
    // A settlement need not know what was reserved.
    let tail = format!(
        " ON CONFLICT (attempt_id) DO UPDATE SET {}, reserved_micros = CASE \
         WHEN excluded.reserved_micros > ledger.reserved_micros THEN excluded.reserved_micros \
         ELSE ledger.reserved_micros END \
         WHERE (ledger.state = 'reserved' AND excluded.state <> 'reserved') \
         OR (ledger.state = 'aborted' AND excluded.state = 'settled') RETURNING attempt_id",
        updates.join(", ")
    );
    let mut changed = HashSet::with_capacity(steps.len());
    for chunk in chunks(steps, ROWS) {
        let mut values = Vec::with_capacity(chunk.len() * COLUMNS.len());
        for step in chunk {
            values.extend(step.entry.values(step.reserved)?);
        }
        let sql = many(&head, chunk.len(), &tail, COLUMNS.len());
        for row in transaction.rows(&sql, values).await? {
            changed.insert(row.text("attempt_id")?);
        }
    }
    Ok(changed)
}
