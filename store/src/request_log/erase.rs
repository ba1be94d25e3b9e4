//! Forgets requests: whole blocks where that is enough, and else what is to go out of the blocks that have it.

use super::block::{RequestBlock, SPAN_MS};
use super::sieve::{Token, may_hold};
use super::{LoggedRequest, RequestLog};
use crate::database::Row;
use crate::erasure::{Erasure, Noted};
use crate::error::Result;

/// Blocks of one deleting statement, whose pages are overwritten.
const DROPS: i64 = 50;
/// Blocks whose filters are read at once.
const HEADS: i64 = 64;

impl RequestLog<'_> {
    /// Erases what is older than this time; answers how many requests that were. A few blocks at a time, so that others
    /// can write in between: an error leaves part of the work done, and the same call goes on.
    ///
    /// # Errors
    /// Those of any write.
    pub async fn erase_before(self, at_ms: i64) -> Result<u64> {
        let (_, moving) = self.move_or_erase().await?;
        let mut erased = moving + self.drop_before(at_ms).await?;
        // The few that reach over that time.
        let sql =
            "SELECT id FROM request_blocks WHERE last_at >= $1 AND last_at < $2 AND first_at < $1 LIMIT 1";
        let values = vec![at_ms.into(), at_ms.saturating_add(SPAN_MS).into()];
        while let Some(row) = self.0.database.row(sql, values.clone()).await? {
            erased += self.take_out(&row.text("id")?, |request| request.at_ms < at_ms).await?;
        }
        Ok(erased)
    }

    /// Erases what was asked for.
    pub(crate) async fn erase(self, what: &Erasure) -> Result<u64> {
        if let (Some(before_ms), false) = (what.before_ms, what.names_somebody()) {
            return self.erase_before(before_ms).await;
        }
        let (_, moving) = self.move_or_erase().await?;
        let until = what.before_ms.unwrap_or(i64::MAX);
        let noted = Noted::of(what, until);
        let sql =
            "SELECT id, names, ids FROM request_blocks WHERE id > $1 AND first_at < $2 ORDER BY id LIMIT $3";
        let (mut erased, mut after) = (moving, String::new());
        loop {
            let heads = self.0.database.rows(sql, vec![after.into(), until.into(), HEADS.into()]).await?;
            let Some(last) = heads.last() else { return Ok(erased) };
            after = last.text("id")?;
            for head in &heads {
                if may_concern(what, head)? {
                    let is_gone = |request: &LoggedRequest| noted.concerns(&request.owned());
                    erased += self.take_out(&head.text("id")?, is_gone).await?;
                }
            }
        }
    }

    /// Whole blocks alone.
    async fn drop_before(self, at_ms: i64) -> Result<u64> {
        let sql = "DELETE FROM request_blocks WHERE id IN (SELECT id FROM request_blocks WHERE last_at < $1 LIMIT $2)
                   RETURNING requests";
        let mut erased = 0;
        loop {
            let mut transaction = self.0.database.write().await?;
            let gone = transaction.rows(sql, vec![at_ms.into(), DROPS.into()]).await?;
            transaction.commit().await?;
            if gone.is_empty() {
                return Ok(erased);
            }
            for row in &gone {
                erased += row.count("requests")?;
            }
        }
    }

    /// Writes a block anew without these; answers how many that were.
    async fn take_out(self, id: &str, is_gone: impl Fn(&LoggedRequest) -> bool) -> Result<u64> {
        let mut transaction = self.0.database.write().await?;
        let lock = if transaction.is_postgres() { " FOR UPDATE" } else { "" };
        let sql = format!("SELECT id, data FROM request_blocks WHERE id = $1{lock}");
        let Some(row) = transaction.row(&sql, vec![id.into()]).await? else { return Ok(0) };
        let block = RequestBlock::read(&row)?;
        let left: Vec<_> = block.requests().iter().filter(|it| !is_gone(it)).cloned().collect();
        let erased = (block.requests().len() - left.len()) as u64;
        if erased == 0 {
            return Ok(0);
        }
        if left.is_empty() {
            transaction.execute("DELETE FROM request_blocks WHERE id = $1", vec![id.into()]).await?;
        } else {
            block.of_these(left)?.update(&mut transaction).await?;
        }
        transaction.commit().await?;
        Ok(erased)
    }
}

fn may_concern(what: &Erasure, head: &Row) -> Result<bool> {
    let names = head.bytes("names")?;
    let wanted = [
        what.key_id.as_deref().map(Token::Key),
        what.team_id.as_deref().map(Token::Team),
        what.user_id.as_deref().map(Token::User),
    ];
    if !wanted.into_iter().flatten().all(|token| may_hold(&names, token)) {
        return Ok(false);
    }
    let id = what.request_id.as_deref();
    id.map_or(Ok(true), |id| Ok(may_hold(&head.bytes("ids")?, Token::Request(id))))
}
