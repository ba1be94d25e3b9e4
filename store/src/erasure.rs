//! Erasing what was said by key, team, user, request and time. Each erasure is written down before anything is deleted:
//! a gateway that still has in its queue what it concerns finds it there, and appends that no more.

use serde::Serialize;

use crate::Store;
use crate::audit::{self, Change, Difference};
use crate::database::{Row, Transaction, Value};
use crate::error::{Result, StoreError};
use crate::revision::{self, Topic};

/// What to erase: what belongs to all of those that are named, and is older than `before_ms`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Erasure {
    /// Of this key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_id: Option<String>,
    /// Of this team.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub team_id: Option<String>,
    /// Of this user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_id: Option<String>,
    /// Of the request with this id, or those if it came more than once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// From before this time; None: until now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before_ms: Option<i64>,
    /// Also from the request log, not only what was said.
    pub requests: bool,
}

/// An erasure that was asked for here or elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotedErasure {
    /// Counted from 1, in the order of the commits, without a gap: the revision of [`Topic::Erasures`].
    pub number: u64,
    /// Of this key.
    pub key_id: Option<String>,
    /// Of this team.
    pub team_id: Option<String>,
}

/// How much was erased.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Erased {
    /// Requests whose prompt and answer are gone.
    pub contents: u64,
    /// Requests that are gone from the request log.
    pub requests: u64,
}

/// Whose something is, and when it was made.
pub(crate) struct Owned<'a> {
    pub(crate) at_ms: i64,
    pub(crate) key_id: &'a str,
    pub(crate) team_id: &'a str,
    pub(crate) user_id: &'a str,
    pub(crate) request_id: &'a str,
}

/// An erasure as it is written down. Empty texts do not matter.
pub(crate) struct Noted {
    until_ms: i64,
    key_id: String,
    team_id: String,
    user_id: String,
    request_id: String,
    pub(crate) requests: bool,
}

/// Erasures. See [`Store::erasures`].
#[derive(Clone, Copy, Debug)]
pub struct Erasures<'a>(pub(crate) &'a Store);

impl Erasures<'_> {
    /// Erases. A few rows at a time, so that others can write in between: an error leaves part of the work done, and the
    /// same call goes on.
    ///
    /// # Errors
    /// `Invalid` when nothing is named; those of any write; `Busy` when everything is deleted, but a reader keeps
    /// SQLite's log from being emptied.
    pub async fn erase(self, what: &Erasure, change: &Change) -> Result<Erased> {
        let (condition, values) = condition(what)?;
        self.note(what, change).await?;
        let contents = self.0.contents().delete(&condition, values).await?;
        let requests = match what.requests {
            true => self.0.request_log().erase(what).await?,
            false => 0,
        };
        self.0.database.fold_log().await?;
        Ok(Erased { contents, requests })
    }

    /// Lets PostgreSQL use the space of what was erased, which overwrites it in time, and shortens files that end with such
    /// space. Nobody who reads or writes has to wait for it. With SQLite there is nothing to do.
    ///
    /// # Errors
    /// `Busy` when it takes longer than a statement may, or somebody else does the same: the database does it by itself later.
    pub async fn free_space(self) -> Result<()> {
        self.0.database.vacuum("VACUUM request_contents, request_blocks").await
    }

    /// Erasures behind this number, in order, at most a thousand. Old ones are forgotten: then the first is not the next.
    ///
    /// # Errors
    /// Those of any read.
    pub async fn after(self, number: u64) -> Result<Vec<NotedErasure>> {
        let sql = "SELECT number, key_id, team_id FROM erasures WHERE number > $1 ORDER BY number LIMIT 1000";
        let read = |row: &Row| {
            let named = |column| Ok(Some(row.text(column)?).filter(|text| !text.is_empty()));
            let (key_id, team_id) = (named("key_id")?, named("team_id")?);
            Ok(NotedErasure { number: row.count("number")?, key_id, team_id })
        };
        self.0.database.rows(sql, vec![number.into()]).await?.iter().map(read).collect()
    }

    /// Forgets erasures of what is older than this time: nothing that old is kept anyway.
    ///
    /// # Errors
    /// Those of any write.
    pub async fn forget_before(self, at_ms: i64) -> Result<()> {
        let mut transaction = self.0.database.write().await?;
        transaction.execute("DELETE FROM erasures WHERE until <= $1", vec![at_ms.into()]).await?;
        transaction.commit().await
    }

    /// Together with its entry in the audit log.
    async fn note(self, what: &Erasure, change: &Change) -> Result<()> {
        // The transaction that raises it is alone with it until it commits.
        let sql = "INSERT INTO erasures (id, until, key_id, team_id, user_id, request_id, requests, number)
                   SELECT $1, $2, $3, $4, $5, $6, $7, revision FROM revisions WHERE topic = $8";
        let text = |text: &Option<String>| Value::from(text.as_deref().unwrap_or_default());
        let id = crate::new_id();
        let values = vec![
            id.as_str().into(),
            // What arrives in this millisecond may have been sent before it.
            what.before_ms.unwrap_or_else(|| change.at_ms.saturating_add(1)).into(),
            text(&what.key_id),
            text(&what.team_id),
            text(&what.user_id),
            text(&what.request_id),
            what.requests.into(),
            Topic::Erasures.as_str().into(),
        ];
        let after = serde_json::to_string(what)
            .map_err(|error| StoreError::invalid("erasures", "", error.to_string()))?;
        let team = what.team_id.clone().unwrap_or_default();
        let difference = Difference { before: None, after: Some(after), team };
        let mut transaction = self.0.database.write().await?;
        revision::raise(&mut transaction, Topic::Erasures).await?;
        // Waits for whoever appends, and lets nobody append who has not seen it.
        transaction.execute(sql, values).await?;
        audit::append(&mut transaction, change, "erase", ("request_contents", &id), difference).await?;
        transaction.commit().await
    }
}

impl Erasure {
    /// Does it name more than a time?
    pub(crate) fn names_somebody(&self) -> bool {
        [&self.key_id, &self.team_id, &self.user_id, &self.request_id].iter().any(|it| it.is_some())
    }
}

impl Noted {
    /// What is to be erased, up to this time.
    pub(crate) fn of(what: &Erasure, until_ms: i64) -> Self {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        Self {
            until_ms,
            key_id: text(&what.key_id),
            team_id: text(&what.team_id),
            user_id: text(&what.user_id),
            request_id: text(&what.request_id),
            requests: what.requests,
        }
    }

    /// Was it erased?
    pub(crate) fn concerns(&self, it: &Owned<'_>) -> bool {
        let fits = |wanted: &str, is: &str| wanted.is_empty() || wanted == is;
        it.at_ms < self.until_ms
            && fits(&self.key_id, it.key_id)
            && fits(&self.team_id, it.team_id)
            && fits(&self.user_id, it.user_id)
            && fits(&self.request_id, it.request_id)
    }
}

/// Erasures that may concern something as old as this, or younger. None comes between them and the end of the transaction.
pub(crate) async fn reaching(transaction: &mut Transaction, oldest_ms: i64) -> Result<Vec<Noted>> {
    if transaction.is_postgres() {
        // SQLite has one writer at a time.
        transaction.execute("LOCK TABLE erasures IN SHARE MODE", vec![]).await?;
    }
    let sql = "SELECT * FROM erasures WHERE until > $1";
    transaction.rows(sql, vec![oldest_ms.into()]).await?.iter().map(read).collect()
}

/// Repeats a deleting statement, each time in a transaction of its own, until nothing is left; answers how many rows that
/// were.
pub(crate) async fn repeat(store: &Store, sql: &str, values: Vec<Value>) -> Result<u64> {
    let mut deleted = 0;
    loop {
        let mut transaction = store.database.write().await?;
        let now = transaction.execute(sql, values.clone()).await?;
        transaction.commit().await?;
        deleted += now;
        if now == 0 {
            return Ok(deleted);
        }
    }
}

fn condition(what: &Erasure) -> Result<(String, Vec<Value>)> {
    let named = [
        ("key_id", &what.key_id),
        ("team_id", &what.team_id),
        ("user_id", &what.user_id),
        ("request_id", &what.request_id),
    ];
    let mut values: Vec<Value> = Vec::new();
    let mut conditions = Vec::new();
    for (column, value) in named {
        let Some(value) = value else { continue };
        if value.is_empty() {
            return Err(StoreError::invalid("erasures", column, "is empty: name one, or leave it out"));
        }
        values.push(value.as_str().into());
        conditions.push(format!("{column} = ${}", values.len()));
    }
    if let Some(before_ms) = what.before_ms {
        values.push(before_ms.into());
        conditions.push(format!("at < ${}", values.len()));
    }
    if conditions.is_empty() {
        let reason = "nothing is named: name a key, a team, a user, a request or a time";
        return Err(StoreError::invalid("erasures", "", reason));
    }
    Ok((conditions.join(" AND "), values))
}

fn read(row: &Row) -> Result<Noted> {
    Ok(Noted {
        until_ms: row.int("until")?,
        key_id: row.text("key_id")?,
        team_id: row.text("team_id")?,
        user_id: row.text("user_id")?,
        request_id: row.text("request_id")?,
        requests: row.bool("requests")?,
    })
}
