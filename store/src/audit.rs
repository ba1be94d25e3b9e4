//! The log of administrative changes. A change of the store is written together with it, in one transaction.

use serde::{Deserialize, Serialize};

use crate::Store;
use crate::database::{Row, Transaction, Value};
use crate::error::Result;

/// Who makes a change, and when. Every writing call of keys, teams, users, credentials and admins takes one.
#[derive(Clone, Debug)]
pub struct Change {
    /// When.
    pub at_ms: i64,
    /// The admin's name, or what else acts (`cli`, `config`).
    pub actor: String,
    /// The client's address; empty when there is none.
    pub address: String,
}

/// One entry.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AuditEntry {
    /// Sorts by time.
    pub id: String,
    /// When.
    pub at_ms: i64,
    /// Who.
    pub actor: String,
    /// From where; empty when unknown.
    pub address: String,
    /// `create`, `update`, `rotate`, `delete`.
    pub action: String,
    /// The table.
    pub object_kind: String,
    /// The row.
    pub object_id: String,
    /// The row before, without hashes and ciphertexts; `None` for `create`.
    pub before: Option<serde_json::Value>,
    /// The row afterwards; `None` for `delete`.
    pub after: Option<serde_json::Value>,
}

/// What to list; newest first.
#[derive(Clone, Debug, Default)]
pub struct AuditFilter {
    /// Only of this table.
    pub object_kind: Option<String>,
    /// Only of this row.
    pub object_id: Option<String>,
    /// Only of what belongs, and belonged before, to this team.
    pub team_id: Option<String>,
    /// Only entries older than this one: the last of the page before.
    pub before_id: Option<String>,
    /// At most this many, and never more than 1,000.
    pub limit: u32,
}

/// The log. See [`Store::audit`].
#[derive(Clone, Copy, Debug)]
pub struct Audit<'a>(pub(crate) &'a Store);

impl Audit<'_> {
    /// Writes down a change of what the store does not have, or that something was looked at. Before it is done: what was
    /// done is in the log, also when the process ends in between. `team` is the one that it concerns; empty: none.
    ///
    /// # Errors
    /// Those of any write.
    pub async fn note(self, change: &Change, action: &str, object: (&str, &str), team: &str) -> Result<()> {
        let mut transaction = self.0.database.write().await?;
        let difference = Difference { team: team.to_owned(), ..Difference::default() };
        append(&mut transaction, change, action, object, difference).await?;
        transaction.commit().await
    }

    /// A page of entries, newest first.
    ///
    /// # Errors
    /// Those of any read.
    pub async fn list(self, filter: &AuditFilter) -> Result<Vec<AuditEntry>> {
        let mut sql = "SELECT * FROM audit_log WHERE 1 = 1".to_owned();
        let mut values: Vec<Value> = vec![];
        let conditions = [
            ("object_kind =", &filter.object_kind),
            ("object_id =", &filter.object_id),
            ("team_id =", &filter.team_id),
            ("id <", &filter.before_id),
        ];
        for (condition, value) in conditions {
            if let Some(value) = value {
                values.push(value.as_str().into());
                sql += &format!(" AND {condition} ${}", values.len());
            }
        }
        values.push(i64::from(filter.limit.min(1_000)).into());
        sql += &format!(" ORDER BY id DESC LIMIT ${}", values.len());
        self.0.database.rows(&sql, values).await?.iter().map(read).collect()
    }
}

fn read(row: &Row) -> Result<AuditEntry> {
    let json = |column| row.text_or_null(column)?.map(|_| row.json(column)).transpose();
    Ok(AuditEntry {
        id: row.text("id")?,
        at_ms: row.int("at")?,
        actor: row.text("actor")?,
        address: row.text("address")?,
        action: row.text("action")?,
        object_kind: row.text("object_kind")?,
        object_id: row.text("object_id")?,
        before: json("before")?,
        after: json("after")?,
    })
}

/// The row before and afterwards, as JSON.
#[derive(Default)]
pub(crate) struct Difference {
    pub(crate) before: Option<String>,
    pub(crate) after: Option<String>,
    /// The team that the change concerns; empty: none, or more than one.
    pub(crate) team: String,
}

/// Appends an entry within the transaction of the change.
pub(crate) async fn append(
    transaction: &mut Transaction,
    change: &Change,
    action: &str,
    (table, id): (&str, &str),
    difference: Difference,
) -> Result<()> {
    let sql = "INSERT INTO audit_log (id, at, actor, address, action, object_kind, object_id, before, after,
                                      team_id)
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";
    let values = vec![
        crate::new_id().into(),
        change.at_ms.into(),
        change.actor.as_str().into(),
        change.address.as_str().into(),
        action.into(),
        table.into(),
        id.into(),
        Value::from(difference.before.as_deref()),
        Value::from(difference.after.as_deref()),
        difference.team.as_str().into(),
    ];
    transaction.execute(sql, values).await.map(|_| ())
}
