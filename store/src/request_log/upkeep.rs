//! What a gateway does beside its requests: rows of older versions become blocks, and small blocks become larger ones.

use std::sync::Arc;

use super::block::{RequestBlock, SPAN_MS};
use super::{LoggedRequest, RequestLog, append};
use crate::database::Row;
use crate::error::{Result, StoreError};
use crate::ledger::Subject;

/// Rows that are moved at once.
const ROWS: i64 = 1_000;
/// Blocks that are joined at once.
const BLOCKS: i64 = 32;

impl RequestLog<'_> {
    /// Moves what older versions have written, a row for each request, into blocks; answers how many rows that were.
    ///
    /// # Errors
    /// Those of any write; what is moved by then is moved.
    pub async fn move_rows(self) -> Result<u64> {
        self.move_or_erase().await.map(|(moved, _)| moved)
    }

    /// The same, and how many of them were left out because they were to be erased.
    pub(super) async fn move_or_erase(self) -> Result<(u64, u64)> {
        let sql = "DELETE FROM request_log WHERE request_id IN (SELECT request_id FROM request_log LIMIT $1)
                   RETURNING *";
        let (mut moved, mut erased) = (0, 0);
        // Nearly always there are none, and nobody has to wait for a look.
        while self.0.database.row("SELECT request_id FROM request_log LIMIT 1", vec![]).await?.is_some() {
            let mut transaction = self.0.database.write().await?;
            let rows = transaction.rows(sql, vec![ROWS.into()]).await?;
            moved += rows.len() as u64;
            let requests = rows.iter().map(read).collect::<Result<Vec<_>>>()?;
            erased += append(&mut transaction, &RequestBlock::of(requests)?).await?;
            transaction.commit().await?;
        }
        Ok((moved, erased))
    }

    /// Joins some small blocks of one hour, when all their requests are older than this time; false when there are none to
    /// join. A quiet gateway writes a block for every few requests, which would be slow to search.
    ///
    /// # Errors
    /// Those of any write.
    pub async fn join_blocks(self, before_ms: i64) -> Result<bool> {
        let sql = "SELECT last_at / $1 AS hour FROM request_blocks WHERE requests < 2048 AND last_at < $2
                   GROUP BY 1 HAVING COUNT(*) > 1 ORDER BY 1 LIMIT 1";
        let Some(hour) = self.0.database.row(sql, vec![SPAN_MS.into(), before_ms.into()]).await? else {
            return Ok(false);
        };
        let first_ms = hour.int("hour")?.saturating_mul(SPAN_MS);
        let mut transaction = self.0.database.write().await?;
        let lock = if transaction.is_postgres() { " FOR UPDATE" } else { "" };
        let sql = format!(
            "SELECT id, data FROM request_blocks WHERE requests < 2048 AND last_at >= $1 AND last_at < $2
             ORDER BY last_at, id LIMIT $3{lock}"
        );
        let end_ms = first_ms.saturating_add(SPAN_MS).min(before_ms);
        let rows = transaction.rows(&sql, vec![first_ms.into(), end_ms.into(), BLOCKS.into()]).await?;
        let mut requests = Vec::new();
        for row in &rows {
            requests.extend(RequestBlock::read(row)?.into_requests());
            transaction
                .execute("DELETE FROM request_blocks WHERE id = $1", vec![row.text("id")?.into()])
                .await?;
        }
        // What was erased since an erasure read the filters of these is left out.
        append(&mut transaction, &RequestBlock::split(requests, SPAN_MS)?).await?;
        transaction.commit().await?;
        Ok(true)
    }
}

/// A row of an older version.
fn read(row: &Row) -> Result<LoggedRequest> {
    let small =
        |column| u32::try_from(row.int(column)?).map_err(|error| StoreError::database(error.to_string()));
    Ok(LoggedRequest {
        request_id: row.text("request_id")?,
        at_ms: row.int("at")?,
        subject: Arc::new(Subject::read(row)?),
        operation: row.text("operation")?.into(),
        status: u16::try_from(small("status")?).map_err(|error| StoreError::database(error.to_string()))?,
        error: row.text("error")?.into(),
        cache: row.text("cache")?.into(),
        attempts: small("attempts")?,
        duration_ms: row.count("duration_ms")?,
        first_token_ms: row.count_or_null("first_token_ms")?,
        usage: row.usage()?,
        cost: row.micros("cost_micros")?,
    })
}
