//! Reads entries, a page at a time. No page holds a transaction open: a slow reader of an export must not keep
//! SQLite's write-ahead log from being folded in, nor a connection from others.

use std::vec::IntoIter;

use super::open::{PAGE, read};
use super::{Ledger, LedgerEntry, block};
use crate::Store;
use crate::database::Value;
use crate::error::Result;

/// Which entries. Empty texts and `None` match all.
#[derive(Clone, Debug, Default)]
pub struct LedgerFilter {
    /// From this time on.
    pub from_ms: Option<i64>,
    /// Before this time.
    pub to_ms: Option<i64>,
    /// The key.
    pub key_id: Option<String>,
    /// The team.
    pub team_id: Option<String>,
    /// The user.
    pub user_id: Option<String>,
    /// The model that was asked for.
    pub model: Option<String>,
    /// The provider.
    pub provider: Option<String>,
    /// The request. Only a time narrows down where to look for it.
    pub request_id: Option<String>,
}

/// Blocks that are read at once.
const BLOCKS: i64 = 8;

/// An export in progress: what has ended, block by block in the order of their first entries, and then the reservations
/// without an end.
#[derive(Debug)]
pub struct Export {
    store: Store,
    filter: LedgerFilter,
    ready: IntoIter<LedgerEntry>,
    next: Next,
}

#[derive(Debug)]
enum Next {
    /// Blocks behind this one: its first entry's time, and its id.
    Blocks(i64, String),
    /// Reservations behind this one: its time and attempt.
    Open(i64, String),
    End,
}

impl Export {
    /// The next page, at most 1,000 entries; `None` after the last.
    ///
    /// # Errors
    /// Those of any read; the next call tries the same page.
    pub async fn next_page(&mut self) -> Result<Option<Vec<LedgerEntry>>> {
        loop {
            let page: Vec<LedgerEntry> =
                self.ready.by_ref().take(usize::try_from(PAGE).unwrap_or_default()).collect();
            if !page.is_empty() {
                return Ok(Some(page));
            }
            match &self.next {
                Next::Blocks(at_ms, id) => self.read_blocks(*at_ms, id.clone()).await?,
                Next::Open(at_ms, id) => self.read_open(*at_ms, id.clone()).await?,
                Next::End => return Ok(None),
            }
        }
    }

    async fn read_blocks(&mut self, at_ms: i64, id: String) -> Result<()> {
        let sql = "SELECT id, first_at, data FROM ledger_blocks
                   WHERE (first_at, id) > ($1, $2) AND first_at < $3 AND last_at >= $4
                   ORDER BY first_at, id LIMIT $5";
        let (from, to) = (self.filter.from_ms.unwrap_or(i64::MIN), self.filter.to_ms.unwrap_or(i64::MAX));
        let values: Vec<Value> = vec![at_ms.into(), id.into(), to.into(), from.into(), BLOCKS.into()];
        let rows = self.store.database.rows(sql, values).await?;
        let mut entries = Vec::new();
        for row in &rows {
            entries.extend(block::decode(row)?.into_iter().filter(|entry| self.filter.matches(entry)));
        }
        self.next = match rows.last() {
            Some(last) => Next::Blocks(last.int("first_at")?, last.text("id")?),
            None => Next::Open(i64::MIN, String::new()),
        };
        self.ready = entries.into_iter();
        Ok(())
    }

    async fn read_open(&mut self, at_ms: i64, id: String) -> Result<()> {
        let sql =
            "SELECT * FROM ledger_open WHERE (at, attempt_id) > ($1, $2) ORDER BY at, attempt_id LIMIT $3";
        let rows = self.store.database.rows(sql, vec![at_ms.into(), id.into(), PAGE.into()]).await?;
        let mut entries = rows.iter().map(read).collect::<Result<Vec<_>>>()?;
        self.next = match entries.last() {
            Some(last) => Next::Open(last.at_ms, last.attempt_id.clone()),
            None => Next::End,
        };
        entries.retain(|entry| self.filter.matches(entry));
        self.ready = entries.into_iter();
        Ok(())
    }
}

impl LedgerFilter {
    pub(super) fn matches(&self, entry: &LedgerEntry) -> bool {
        let texts = [
            (&self.key_id, &entry.subject.key_id),
            (&self.team_id, &entry.subject.team_id),
            (&self.user_id, &entry.subject.user_id),
            (&self.model, &entry.subject.model),
            (&self.provider, &entry.subject.provider),
            (&self.request_id, &entry.request_id),
        ];
        self.from_ms.is_none_or(|from| from <= entry.at_ms)
            && self.to_ms.is_none_or(|to| entry.at_ms < to)
            && texts.iter().all(|(wanted, is)| wanted.as_ref().is_none_or(|wanted| wanted == *is))
    }
}

impl Ledger<'_> {
    /// All entries that match, page by page.
    pub fn export(self, filter: LedgerFilter) -> Export {
        let ready = Vec::new().into_iter();
        Export { store: self.0.clone(), filter, ready, next: Next::Blocks(i64::MIN, String::new()) }
    }
}
