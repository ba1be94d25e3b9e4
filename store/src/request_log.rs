//! The request log: what happened to each request, and, only for keys that ask for it, the prompt and the answer,
//! encrypted by the caller.

use domain::{Micros, Usage};
use serde::{Deserialize, Serialize};

use crate::Store;
use crate::database::{Row, Value};
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

/// Prompt and answer, encrypted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contents {
    /// Which key they are encrypted with.
    pub encryption_key_id: String,
    /// The prompt's ciphertext with what its cipher needs.
    pub prompt: Option<Vec<u8>>,
    /// The same of the answer.
    pub answer: Option<Vec<u8>>,
}

/// What to erase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Erase<'a> {
    /// Prompts and answers of a key; what happened stays.
    ContentsOfKey(&'a str),
    /// Prompts and answers of a user.
    ContentsOfUser(&'a str),
    /// Everything about a key's requests.
    RequestsOfKey(&'a str),
    /// Everything about a user's requests.
    RequestsOfUser(&'a str),
    /// Prompts and answers older than this time.
    ContentsBefore(i64),
    /// Everything older than this time.
    RequestsBefore(i64),
}

const COLUMNS: [&str; 26] = [
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
    "encryption_key_id",
    "prompt",
    "answer",
];

/// The longest list, and the rows that one erasing statement takes.
const PAGE: i64 = 1_000;

/// The request log. See [`Store::request_log`].
#[derive(Clone, Copy, Debug)]
pub struct RequestLog<'a>(pub(crate) &'a Store);

impl RequestLog<'_> {
    /// Appends requests, all or none. One that is there already is left as it is.
    ///
    /// # Errors
    /// Those of any write.
    pub async fn append(self, requests: &[(LoggedRequest, Option<Contents>)]) -> Result<()> {
        let sql = format!(
            "INSERT INTO request_log ({}) VALUES ({}) ON CONFLICT (request_id) DO NOTHING",
            COLUMNS.join(", "),
            places(1, COLUMNS.len())
        );
        let mut transaction = self.0.database.write().await?;
        for (request, contents) in requests {
            transaction.execute(&sql, values(request, contents.as_ref())?).await?;
        }
        transaction.commit().await
    }

    /// The requests that match, newest first, at most `limit` and 1,000.
    ///
    /// # Errors
    /// Those of any read.
    pub async fn list(self, filter: &RequestFilter, limit: u32) -> Result<Vec<LoggedRequest>> {
        // Without the contents, which may be large.
        let (columns, _) = COLUMNS.split_at(COLUMNS.len() - 3);
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
            columns.join(", ")
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

    /// The prompt and answer of a request, when they were kept.
    ///
    /// # Errors
    /// Those of any read.
    pub async fn contents(self, request_id: &str) -> Result<Option<Contents>> {
        let sql = "SELECT encryption_key_id, prompt, answer FROM request_log WHERE request_id = $1";
        let Some(row) = self.0.database.row(sql, vec![request_id.into()]).await? else { return Ok(None) };
        let Some(encryption_key_id) = row.text_or_null("encryption_key_id")? else { return Ok(None) };
        let (prompt, answer) = (row.bytes_or_null("prompt")?, row.bytes_or_null("answer")?);
        Ok(Some(Contents { encryption_key_id, prompt, answer }))
    }

    /// Erases; answers how many requests it concerned. A thousand rows at a time, so that others can write in between:
    /// an error leaves part of the work done, and the same call goes on.
    ///
    /// # Errors
    /// Those of any write.
    pub async fn erase(self, what: Erase<'_>) -> Result<u64> {
        let (contents, condition, value): (bool, &str, Value) = match what {
            Erase::ContentsOfKey(id) => (true, "key_id = $1", id.into()),
            Erase::ContentsOfUser(id) => (true, "user_id = $1", id.into()),
            Erase::RequestsOfKey(id) => (false, "key_id = $1", id.into()),
            Erase::RequestsOfUser(id) => (false, "user_id = $1", id.into()),
            Erase::ContentsBefore(at_ms) => (true, "at < $1", at_ms.into()),
            Erase::RequestsBefore(at_ms) => (false, "at < $1", at_ms.into()),
        };
        let (act, kept) = if contents {
            let act = "UPDATE request_log SET encryption_key_id = NULL, prompt = NULL, answer = NULL";
            (act, " AND encryption_key_id IS NOT NULL")
        } else {
            ("DELETE FROM request_log", "")
        };
        let sql = format!(
            "{act} WHERE request_id IN (SELECT request_id FROM request_log WHERE {condition}{kept} LIMIT {PAGE})"
        );
        let mut erased = 0;
        loop {
            let mut transaction = self.0.database.write().await?;
            let now = transaction.execute(&sql, vec![value.clone()]).await?;
            transaction.commit().await?;
            erased += now;
            if now == 0 {
                return Ok(erased);
            }
        }
    }
}

fn values(request: &LoggedRequest, contents: Option<&Contents>) -> Result<Vec<Value>> {
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
        contents.map(|contents| contents.encryption_key_id.as_str()).into(),
        contents.and_then(|contents| contents.prompt.as_deref()).into(),
        contents.and_then(|contents| contents.answer.as_deref()).into(),
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
