//! Blocks: ended attempts as JSON lines, compressed with zstd (RFC 8878). A tenth of the size and a twentieth of the CPU
//! of a row for each.

use std::io::Read;

use super::LedgerEntry;
use crate::database::{Row, Transaction};
use crate::error::{Result, StoreError};

/// The fastest that zstd has; more saves little of such lines.
const LEVEL: i32 = 1;
/// What a block may become when it is read: ten thousand entries with long tags.
const MAX_SIZE: u64 = 256 << 20;

/// The entries' block; None without entries.
pub(super) fn encode(entries: &[LedgerEntry]) -> Result<Option<Vec<u8>>> {
    if entries.is_empty() {
        return Ok(None);
    }
    let mut lines = Vec::with_capacity(entries.len() * 400);
    for entry in entries {
        serde_json::to_writer(&mut lines, entry)
            .map_err(|error| StoreError::invalid("ledger", "entry", error.to_string()))?;
        lines.push(b'\n');
    }
    let packed = zstd::bulk::compress(&lines, LEVEL)
        .map_err(|error| StoreError::database(format!("a block cannot be compressed: {error}")))?;
    Ok(Some(packed))
}

/// The entries of a row, in the order of time.
pub(super) fn decode(row: &Row) -> Result<Vec<LedgerEntry>> {
    let damaged = |error: String| StoreError::database(format!("a block of the ledger is damaged: {error}"));
    let packed = row.bytes("data")?;
    let mut lines = Vec::new();
    let reader =
        zstd::stream::read::Decoder::new(packed.as_slice()).map_err(|error| damaged(error.to_string()))?;
    reader.take(MAX_SIZE).read_to_end(&mut lines).map_err(|error| damaged(error.to_string()))?;
    let entries = serde_json::Deserializer::from_slice(&lines).into_iter::<LedgerEntry>();
    let mut entries =
        entries.collect::<std::result::Result<Vec<_>, _>>().map_err(|error| damaged(error.to_string()))?;
    entries.sort_by(|one, other| (one.at_ms, &one.attempt_id).cmp(&(other.at_ms, &other.attempt_id)));
    Ok(entries)
}

/// Writes the entries' block.
pub(super) async fn insert(
    transaction: &mut Transaction,
    entries: &[LedgerEntry],
    packed: &[u8],
) -> Result<()> {
    let times = || entries.iter().map(|entry| entry.at_ms);
    let sql = "INSERT INTO ledger_blocks (id, first_at, last_at, entries, data) VALUES ($1, $2, $3, $4, $5)";
    let values = vec![
        crate::new_id().into(),
        times().min().unwrap_or_default().into(),
        times().max().unwrap_or_default().into(),
        (entries.len() as u64).into(),
        packed.into(),
    ];
    transaction.execute(sql, values).await.map(|_| ())
}
