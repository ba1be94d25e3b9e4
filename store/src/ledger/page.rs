//! Reads entries a page at a time for callers that come back with a mark of where they were.

use super::open::read;
use super::{Ledger, LedgerEntry, LedgerFilter, block};
use crate::database::Value;
use crate::error::{Result, StoreError};

/// Entries of a page at most.
pub const LONGEST_PAGE: usize = 10_000;
/// Rows that are read at once: blocks, and reservations without an end.
const BLOCKS: i64 = 4;
const OPEN: i64 = 1_000;

/// A page, and where the next one begins.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LedgerPage {
    /// What has ended in the order of the blocks it lies in, and then the reservations without an end.
    pub entries: Vec<LedgerEntry>,
    /// For the next call; None when there is nothing more.
    pub next: Option<String>,
}

/// Where a page ends.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Mark {
    /// Behind so many entries of this block, or behind all of it.
    Block { first_at: i64, id: String, taken: Option<usize> },
    /// Behind this reservation.
    Open { at: i64, id: String },
}

impl Mark {
    const BEGINNING: Self = Self::Block { first_at: i64::MIN, id: String::new(), taken: None };
    /// Behind all blocks.
    const BLOCKS_END: Self = Self::Open { at: i64::MIN, id: String::new() };

    fn parse(text: &str) -> Result<Self> {
        let mut parts = text.splitn(4, '.');
        let mark = match (parts.next(), parts.next(), parts.next(), parts.next()) {
            (Some("b"), Some(taken), Some(at), Some(id)) => {
                let taken = if taken.is_empty() { Some(None) } else { taken.parse().ok().map(Some) };
                at.parse().ok().zip(taken).map(|(first_at, taken)| Self::Block {
                    first_at,
                    id: id.to_owned(),
                    taken,
                })
            }
            (Some("o"), Some(""), Some(at), Some(id)) => {
                at.parse().ok().map(|at| Self::Open { at, id: id.to_owned() })
            }
            _ => None,
        };
        mark.ok_or_else(|| StoreError::invalid("ledger", "after", "is not the `next` of a page"))
    }

    fn text(&self) -> String {
        match self {
            Self::Block { first_at, id, taken } => {
                format!("b.{}.{first_at}.{id}", taken.map(|taken| taken.to_string()).unwrap_or_default())
            }
            Self::Open { at, id } => format!("o..{at}.{id}"),
        }
    }
}

impl Ledger<'_> {
    /// Up to `limit` entries that match, behind the page whose `next` is `after`.
    ///
    /// # Errors
    /// `Invalid` for a mark that is none, and those of any read.
    pub async fn page(self, filter: &LedgerFilter, after: Option<&str>, limit: usize) -> Result<LedgerPage> {
        let limit = limit.clamp(1, LONGEST_PAGE);
        let mut mark = after.map_or(Ok(Mark::BEGINNING), Mark::parse)?;
        let mut page = LedgerPage::default();
        loop {
            let read = match &mark {
                Mark::Block { first_at, id, taken } => self.blocks(*first_at, id, *taken, filter).await?,
                Mark::Open { at, id } => self.open(*at, id).await?,
            };
            for (entry, behind) in read.entries {
                if filter.matches(&entry) {
                    page.entries.push(entry);
                }
                if page.entries.len() >= limit {
                    page.next = Some(behind.text());
                    return Ok(page);
                }
            }
            let Some(next) = read.next else { return Ok(page) };
            mark = next;
        }
    }

    /// The rest of a block, or the blocks behind it.
    async fn blocks(
        self,
        first_at: i64,
        id: &str,
        taken: Option<usize>,
        filter: &LedgerFilter,
    ) -> Result<Read> {
        let head = "SELECT id, first_at, data FROM ledger_blocks WHERE";
        let (sql, values): (String, Vec<Value>) = if taken.is_some() {
            (format!("{head} id = $1"), vec![id.into()])
        } else {
            let (from, to) = (filter.from_ms.unwrap_or(i64::MIN), filter.to_ms.unwrap_or(i64::MAX));
            let rest = "(first_at, id) > ($1, $2) AND first_at < $3 AND last_at >= $4 ORDER BY first_at, id LIMIT $5";
            (
                format!("{head} {rest}"),
                vec![first_at.into(), id.into(), to.into(), from.into(), BLOCKS.into()],
            )
        };
        let rows = self.0.database.rows(&sql, values).await?;
        let mut entries = Vec::new();
        for row in &rows {
            let (first_at, id) = (row.int("first_at")?, row.text("id")?);
            let behind = |taken| Mark::Block { first_at, id: id.clone(), taken: Some(taken) };
            let block = block::decode(row)?.into_iter().enumerate().skip(taken.unwrap_or(0));
            entries.extend(block.map(|(index, entry)| (entry, behind(index + 1))));
        }
        let next = match (rows.last(), taken) {
            (Some(last), _) => {
                Mark::Block { first_at: last.int("first_at")?, id: last.text("id")?, taken: None }
            }
            (None, Some(_)) => Mark::Block { first_at, id: id.to_owned(), taken: None },
            (None, None) => Mark::BLOCKS_END,
        };
        Ok(Read { entries, next: Some(next) })
    }

    /// Reservations without an end behind this one.
    async fn open(self, at: i64, id: &str) -> Result<Read> {
        let sql =
            "SELECT * FROM ledger_open WHERE (at, attempt_id) > ($1, $2) ORDER BY at, attempt_id LIMIT $3";
        let rows = self.0.database.rows(sql, vec![at.into(), id.into(), OPEN.into()]).await?;
        let behind = |entry: &LedgerEntry| Mark::Open { at: entry.at_ms, id: entry.attempt_id.clone() };
        let entries = rows.iter().map(|row| read(row).map(|entry| (entry.clone(), behind(&entry))));
        let entries = entries.collect::<Result<Vec<_>>>()?;
        let next = entries.last().map(|(_, behind)| behind.clone());
        Ok(Read { entries, next })
    }
}

/// What was read at once: each entry with the mark behind it, and where to read on.
struct Read {
    entries: Vec<(LedgerEntry, Mark)>,
    next: Option<Mark>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_reads_back_and_anything_else_is_refused() {
        let block = |taken| Mark::Block { first_at: -5, id: "a.b".to_owned(), taken };
        for mark in [block(None), block(Some(7)), Mark::Open { at: 9, id: "log-1a".to_owned() }] {
            assert_eq!(Mark::parse(&mark.text()).unwrap(), mark);
        }
        for text in ["", "b", "b.1", "b.x.5.id", "o.1.5.id", "c..5.id", "b..x.id"] {
            assert!(Mark::parse(text).is_err(), "{text}");
        }
    }
}
