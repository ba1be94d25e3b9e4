//! Reads entries, a page at a time. No page holds a transaction open: a slow reader of an export must not keep
//! SQLite's write-ahead log from being folded in, nor a connection from others.

use super::{Ledger, LedgerEntry};
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
    /// The request.
    pub request_id: Option<String>,
}

/// Rows of one page.
const PAGE: i64 = 1_000;

/// An export in progress, in the order of time. Entries that are settled while it runs appear at their new time.
#[derive(Debug)]
pub struct Export {
    store: Store,
    filter: LedgerFilter,
    /// The last row of the page before: its time and attempt.
    after: Option<(i64, String)>,
    done: bool,
}

impl Export {
    /// The next page, at most 1,000 entries; `None` after the last.
    ///
    /// # Errors
    /// Those of any read; the next call tries the same page.
    pub async fn next_page(&mut self) -> Result<Option<Vec<LedgerEntry>>> {
        if self.done {
            return Ok(None);
        }
        let (conditions, mut values) = conditions(&self.filter);
        let mut sql = format!("SELECT * FROM ledger WHERE {conditions}");
        if let Some((at_ms, attempt_id)) = &self.after {
            values.extend([(*at_ms).into(), attempt_id.as_str().into()]);
            sql += &format!(" AND (at, attempt_id) > (${}, ${})", values.len() - 1, values.len());
        }
        values.push(PAGE.into());
        sql += &format!(" ORDER BY at, attempt_id LIMIT ${}", values.len());
        let rows = self.store.database.rows(&sql, values).await?;
        let page = rows.iter().map(LedgerEntry::read).collect::<Result<Vec<_>>>()?;
        self.done = page.len() < usize::try_from(PAGE).unwrap_or_default();
        match page.last() {
            Some(last) => self.after = Some((last.at_ms, last.attempt_id.clone())),
            None => return Ok(None),
        }
        Ok(Some(page))
    }
}

fn conditions(filter: &LedgerFilter) -> (String, Vec<Value>) {
    let mut conditions = "1 = 1".to_owned();
    let mut values = vec![];
    let mut add = |condition: &str, value: Value| {
        values.push(value);
        conditions += &format!(" AND {condition} ${}", values.len());
    };
    if let Some(from_ms) = filter.from_ms {
        add("at >=", from_ms.into());
    }
    if let Some(to_ms) = filter.to_ms {
        add("at <", to_ms.into());
    }
    let texts = [
        ("key_id =", &filter.key_id),
        ("team_id =", &filter.team_id),
        ("user_id =", &filter.user_id),
        ("model =", &filter.model),
        ("provider =", &filter.provider),
        ("request_id =", &filter.request_id),
    ];
    for (condition, value) in texts {
        if let Some(value) = value {
            add(condition, value.as_str().into());
        }
    }
    (conditions, values)
}

impl Ledger<'_> {
    /// All entries that match, page by page.
    pub fn export(self, filter: LedgerFilter) -> Export {
        Export { store: self.0.clone(), filter, after: None, done: false }
    }

    /// The entry of one attempt.
    ///
    /// # Errors
    /// Those of any read.
    pub async fn get(self, attempt_id: &str) -> Result<Option<LedgerEntry>> {
        let sql = "SELECT * FROM ledger WHERE attempt_id = $1";
        self.0
            .database
            .row(sql, vec![attempt_id.into()])
            .await?
            .map(|row| LedgerEntry::read(&row))
            .transpose()
    }

    /// Reservations made before `before_ms` that nobody settled or aborted, oldest first; at most 1,000.
    ///
    /// # Errors
    /// Those of any read.
    pub async fn unsettled(self, before_ms: i64) -> Result<Vec<LedgerEntry>> {
        let sql =
            "SELECT * FROM ledger WHERE state = 'reserved' AND at < $1 ORDER BY at, attempt_id LIMIT $2";
        let rows = self.0.database.rows(sql, vec![before_ms.into(), PAGE.into()]).await?;
        rows.iter().map(LedgerEntry::read).collect()
    }
}
