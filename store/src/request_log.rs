//! The request log: what happened to each request. What was said in it is in `contents`.

use domain::{Micros, Usage};
use serde::{Deserialize, Serialize};

use crate::Store;
use crate::database::{Row, Value};
use crate::erasure::{self, Owned};
use crate::error::{Result, StoreError};
use crate::records::places;

/// One request. Texts that do not apply are empty.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LoggedRequest {
    /// Unique.
    pub request_id: String,
    /// When it arrived.
    pub at_ms: i64,
    /// Whose key.
    pub key_id: String,
    /// The key's name at that time.
    pub key_name: String,
    /// The key's team.
    pub team_id: String,
    /// The key's user.
    pub user_id: String,
    /// What was asked for: `chat`, `embeddings`, …
    pub operation: String,
    /// The model that was asked for.
    pub model: String,
    /// The deployment that answered.
    pub deployment: String,
    /// Its provider.
    pub provider: String,
    /// The status of our answer.
    pub status: u16,
    /// The kind of the error.
    pub error: String,
    /// `hit`, `semantic`, `miss`, `bypass`.
    pub cache: String,
    /// Attempts it took.
    pub attempts: u32,
    /// From the first byte in to the last byte out.
    pub duration_ms: u64,
    /// Until the first token went out.
    pub first_token_ms: Option<u64>,
    /// Tokens.
    pub usage: Usage,
    /// What all attempts cost.
    pub cost: Micros,
    /// The request's and the key's tags.
    pub tags: Vec<String>,
}

/// Which requests to list. What is None does not matter.
#[derive(Clone, Debug, Default)]
pub struct RequestFilter {
    /// From this time on.
    pub from_ms: Option<i64>,
    /// Before this time.
    pub to_ms: Option<i64>,
    /// The one with this id.
    pub request_id: Option<String>,
    /// Of this key.
    pub key_id: Option<String>,
    /// Of this team.
    pub team_id: Option<String>,
    /// Of this user.
    pub user_id: Option<String>,
    /// For this model.
    pub model: Option<String>,
    /// With this status.
    pub status: Option<u16>,
    /// Older than the request with this time and id: the last one of the page before.
    pub before: Option<(i64, String)>,
}

const COLUMNS: [&str; 23] = [
    "request_id",
    "at",
    "key_id",
    "key_name",
    "team_id",
    "user_id",
    "operation",
    "model",
    "deployment",
    "provider",
    "status",
    "error",
    "cache",
    "attempts",
    "duration_ms",
    "first_token_ms",
    "input_tokens",
    "output_tokens",
    "cached_tokens",
    "cache_write_tokens",
    "reasoning_tokens",
    "cost_micros",
    "tags",
];

/// The longest list, and the rows that one erasing statement takes.
const PAGE: i64 = 1_000;

/// The request log. See [`Store::request_log`].
#[derive(Clone, Copy, Debug)]
pub struct RequestLog<'a>(pub(crate) &'a Store);

impl RequestLog<'_> {
    /// Appends requests, all or none, but for those that were erased meanwhile. One that is there already is left as it
    /// is.
    ///
    /// # Errors
    /// Those of any write.
    pub async fn append(self, requests: &[LoggedRequest]) -> Result<()> {
        let Some(oldest_ms) = requests.iter().map(|request| request.at_ms).min() else { return Ok(()) };
        let sql = format!(
            "INSERT INTO request_log ({}) VALUES ({}) ON CONFLICT (request_id) DO NOTHING",
            COLUMNS.join(", "),
            places(1, COLUMNS.len())
        );
        let mut transaction = self.0.database.write().await?;
        let mut erased = erasure::reaching(&mut transaction, oldest_ms).await?;
        erased.retain(|erasure| erasure.requests);
        for request in requests {
            if !erased.iter().any(|erasure| erasure.concerns(&owned(request))) {
                transaction.execute(&sql, values(request)?).await?;
            }
        }
        transaction.commit().await
    }

    /// The requests that match, newest first, at most `limit` and 1,000.
    ///
    /// # Errors
    /// Those of any read.
    pub async fn list(self, filter: &RequestFilter, limit: u32) -> Result<Vec<LoggedRequest>> {
        let (before_ms, before_id) =
            filter.before.as_ref().map_or((i64::MAX, ""), |(at, id)| (*at, id.as_str()));
        let mut values: Vec<Value> = vec![
            before_ms.into(),
            before_id.into(),
            i64::from(limit).min(PAGE).into(),
            filter.from_ms.unwrap_or(i64::MIN).into(),
            filter.to_ms.unwrap_or(i64::MAX).into(),
        ];
        let mut sql = format!(
            "SELECT {} FROM request_log WHERE (at, request_id) < ($1, $2) AND at >= $4 AND at < $5",
            COLUMNS.join(", ")
        );
        let texts = [
            ("request_id", &filter.request_id),
            ("key_id", &filter.key_id),
            ("team_id", &filter.team_id),
            ("user_id", &filter.user_id),
            ("model", &filter.model),
        ];
        let texts =
            texts.into_iter().filter_map(|(column, text)| Some((column, Value::from(text.as_deref()?))));
        let status = filter.status.map(|status| ("status", Value::from(i64::from(status))));
        for (column, value) in texts.chain(status) {
            values.push(value);
            sql += &format!(" AND {column} = ${}", values.len());
        }
        sql += " ORDER BY at DESC, request_id DESC LIMIT $3";
        self.0.database.rows(&sql, values).await?.iter().map(read).collect()
    }

    /// Erases what is older than this time; answers how many requests that were. A thousand rows at a time, so that
    /// others can write in between: an error leaves part of the work done, and the same call goes on.
    ///
    /// # Errors
    /// Those of any write.
    pub async fn erase_before(self, at_ms: i64) -> Result<u64> {
        self.delete("at < $1", vec![at_ms.into()]).await
    }

    pub(crate) async fn delete(self, condition: &str, values: Vec<Value>) -> Result<u64> {
        let sql = format!(
            "DELETE FROM request_log WHERE request_id IN
             (SELECT request_id FROM request_log WHERE {condition} LIMIT {PAGE})"
        );
        erasure::repeat(self.0, &sql, values).await
    }
}

fn owned(request: &LoggedRequest) -> Owned<'_> {
    Owned {
        at_ms: request.at_ms,
        key_id: &request.key_id,
        team_id: &request.team_id,
        user_id: &request.user_id,
        request_id: &request.request_id,
    }
}

fn values(request: &LoggedRequest) -> Result<Vec<Value>> {
    let tags = serde_json::to_string(&request.tags)
        .map_err(|error| StoreError::invalid("request_log", "tags", error.to_string()))?;
    Ok(vec![
        request.request_id.as_str().into(),
        request.at_ms.into(),
        request.key_id.as_str().into(),
        request.key_name.as_str().into(),
        request.team_id.as_str().into(),
        request.user_id.as_str().into(),
        request.operation.as_str().into(),
        request.model.as_str().into(),
        request.deployment.as_str().into(),
        request.provider.as_str().into(),
        i64::from(request.status).into(),
        request.error.as_str().into(),
        request.cache.as_str().into(),
        i64::from(request.attempts).into(),
        request.duration_ms.into(),
        request.first_token_ms.into(),
        request.usage.prompt.into(),
        request.usage.completion.into(),
        request.usage.cached.into(),
        request.usage.cache_write.into(),
        request.usage.reasoning.into(),
        request.cost.into(),
        tags.into(),
    ])
}

fn read(row: &Row) -> Result<LoggedRequest> {
    let small =
        |column| u32::try_from(row.int(column)?).map_err(|error| StoreError::database(error.to_string()));
    Ok(LoggedRequest {
        request_id: row.text("request_id")?,
        at_ms: row.int("at")?,
        key_id: row.text("key_id")?,
        key_name: row.text("key_name")?,
        team_id: row.text("team_id")?,
        user_id: row.text("user_id")?,
        operation: row.text("operation")?,
        model: row.text("model")?,
        deployment: row.text("deployment")?,
        provider: row.text("provider")?,
        status: u16::try_from(small("status")?).map_err(|error| StoreError::database(error.to_string()))?,
        error: row.text("error")?,
        cache: row.text("cache")?,
        attempts: small("attempts")?,
        duration_ms: row.count("duration_ms")?,
        first_token_ms: row.count_or_null("first_token_ms")?,
        usage: Usage {
            prompt: row.count("input_tokens")?,
            completion: row.count("output_tokens")?,
            cached: row.count("cached_tokens")?,
            cache_write: row.count("cache_write_tokens")?,
            reasoning: row.count("reasoning_tokens")?,
        },
        cost: row.micros("cost_micros")?,
        tags: row.json("tags")?,
    })
}
