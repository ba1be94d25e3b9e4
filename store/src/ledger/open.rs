//! Reservations without an end, a row each: there are few of them.

use std::sync::Arc;

use super::sums::{chunks, many};
use super::{Ledger, LedgerEntry, State, Subject};
use crate::database::{Row, Transaction, Value};
use crate::error::{Result, StoreError};
use crate::records::places;

const COLUMNS: [&str; 13] = [
    "attempt_id",
    "log",
    "request_id",
    "at",
    "key_id",
    "key_name",
    "team_id",
    "user_id",
    "model",
    "deployment",
    "provider",
    "reserved_micros",
    "tags",
];
/// Rows of one statement.
const ROWS: usize = 32;
/// Entries that a list holds at most.
pub(super) const PAGE: i64 = 1_000;

/// Adds reservations and removes those that have ended.
pub(super) async fn change(
    transaction: &mut Transaction,
    log: &str,
    opened: &[LedgerEntry],
    closed: &[String],
) -> Result<()> {
    let head = format!("INSERT INTO ledger_open ({}) VALUES ", COLUMNS.join(", "));
    let rows = opened.iter().map(|entry| values(log, entry)).collect::<Result<Vec<_>>>()?;
    for chunk in chunks(&rows, ROWS) {
        let sql = many(&head, chunk.len(), " ON CONFLICT (attempt_id) DO NOTHING", COLUMNS.len());
        transaction.execute(&sql, chunk.concat()).await?;
    }
    for chunk in chunks(closed, ROWS) {
        let sql = format!("DELETE FROM ledger_open WHERE attempt_id IN ({})", places(1, chunk.len()));
        transaction.execute(&sql, chunk.iter().map(|id| id.as_str().into()).collect()).await?;
    }
    Ok(())
}

fn values(log: &str, entry: &LedgerEntry) -> Result<Vec<Value>> {
    let tags = serde_json::to_string(&entry.subject.tags)
        .map_err(|error| StoreError::invalid("ledger", "tags", error.to_string()))?;
    Ok(vec![
        entry.attempt_id.as_str().into(),
        log.into(),
        entry.request_id.as_str().into(),
        entry.at_ms.into(),
        entry.subject.key_id.as_str().into(),
        entry.subject.key_name.as_str().into(),
        entry.subject.team_id.as_str().into(),
        entry.subject.user_id.as_str().into(),
        entry.subject.model.as_str().into(),
        entry.subject.deployment.as_str().into(),
        entry.subject.provider.as_str().into(),
        entry.reserved.into(),
        tags.into(),
    ])
}

pub(super) fn read(row: &Row) -> Result<LedgerEntry> {
    Ok(LedgerEntry {
        attempt_id: row.text("attempt_id")?,
        request_id: row.text("request_id")?,
        at_ms: row.int("at")?,
        state: State::Reserved,
        subject: Arc::new(Subject::read(row)?),
        reserved: row.micros("reserved_micros")?,
        ..LedgerEntry::default()
    })
}

impl Ledger<'_> {
    /// Reservations made before `before_ms` that nobody settled or aborted, oldest first; at most 1,000.
    ///
    /// # Errors
    /// Those of any read.
    pub async fn unsettled(self, before_ms: i64) -> Result<Vec<LedgerEntry>> {
        let sql = "SELECT * FROM ledger_open WHERE at < $1 ORDER BY at, attempt_id LIMIT $2";
        let rows = self.0.database.rows(sql, vec![before_ms.into(), PAGE.into()]).await?;
        rows.iter().map(read).collect()
    }

    /// The reservations of a log that were `opened` and not `closed`.
    ///
    /// # Errors
    /// Those of any read.
    pub async fn open_of(self, log: &str) -> Result<Vec<LedgerEntry>> {
        let sql = "SELECT * FROM ledger_open WHERE log = $1";
        self.0.database.rows(sql, vec![log.into()]).await?.iter().map(read).collect()
    }
}
