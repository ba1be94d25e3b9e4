//! One attempt in the ledger, and its row.

use domain::{Micros, Usage};
use serde::{Deserialize, Serialize};

use crate::database::{Row, Value};
use crate::error::{Result, StoreError};

/// How far an attempt has come. Only upwards: a settlement counts even after an abort, because the provider did bill,
/// and nothing changes a settlement.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// An estimate is held back from the budget.
    #[default]
    Reserved,
    /// It cost nothing; the estimate is free again.
    Aborted,
    /// What it cost is known.
    Settled,
}

impl State {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Reserved => "reserved",
            Self::Aborted => "aborted",
            Self::Settled => "settled",
        }
    }

    fn parse(text: &str) -> Result<Self> {
        [Self::Reserved, Self::Aborted, Self::Settled]
            .into_iter()
            .find(|state| state.as_str() == text)
            .ok_or_else(|| StoreError::database(format!("ledger.state is {text:?}")))
    }
}

/// What is known of one attempt. Each entry is complete in itself, so that a settlement whose reservation was lost
/// still counts. Texts that do not apply are empty.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LedgerEntry {
    /// Unique; what makes applying idempotent.
    pub attempt_id: String,
    /// The request it belongs to.
    pub request_id: String,
    /// When it was reserved, or settled: spend counts at the time it was settled.
    pub at_ms: i64,
    /// How far it has come.
    pub state: State,
    /// Who pays.
    pub key_id: String,
    /// The key's name at that time.
    pub key_name: String,
    /// The key's team.
    pub team_id: String,
    /// The key's user.
    pub user_id: String,
    /// The model that was asked for.
    pub model: String,
    /// The deployment that was called.
    pub deployment: String,
    /// Its provider.
    pub provider: String,
    /// How the attempt ended: `ok`, or the kind of the failure.
    pub outcome: String,
    /// True for exactly one attempt of a request, so that requests can be counted by adding up.
    pub counts_request: bool,
    /// Tokens, as billed.
    pub usage: Usage,
    /// What it cost.
    pub cost: Micros,
    /// What was held back.
    pub reserved: Micros,
    /// What a cache saved.
    pub saved: Micros,
    /// For reports.
    pub tags: Vec<String>,
}

/// The columns, in the order of [`LedgerEntry::values`].
pub(super) const COLUMNS: &[&str] = &[
    "attempt_id",
    "request_id",
    "at",
    "state",
    "key_id",
    "key_name",
    "team_id",
    "user_id",
    "model",
    "deployment",
    "provider",
    "outcome",
    "requests",
    "input_tokens",
    "output_tokens",
    "cached_tokens",
    "cache_write_tokens",
    "reasoning_tokens",
    "cost_micros",
    "reserved_micros",
    "saved_micros",
    "tags",
];

impl LedgerEntry {
    pub(super) fn values(&self, reserved: Micros) -> Result<Vec<Value>> {
        let tags = serde_json::to_string(&self.tags)
            .map_err(|error| StoreError::invalid("ledger", "tags", error.to_string()))?;
        Ok(vec![
            self.attempt_id.as_str().into(),
            self.request_id.as_str().into(),
            self.at_ms.into(),
            self.state.as_str().into(),
            self.key_id.as_str().into(),
            self.key_name.as_str().into(),
            self.team_id.as_str().into(),
            self.user_id.as_str().into(),
            self.model.as_str().into(),
            self.deployment.as_str().into(),
            self.provider.as_str().into(),
            self.outcome.as_str().into(),
            i64::from(self.counts_request).into(),
            self.usage.prompt.into(),
            self.usage.completion.into(),
            self.usage.cached.into(),
            self.usage.cache_write.into(),
            self.usage.reasoning.into(),
            self.cost.into(),
            reserved.into(),
            self.saved.into(),
            tags.into(),
        ])
    }

    pub(super) fn read(row: &Row) -> Result<Self> {
        Ok(Self {
            attempt_id: row.text("attempt_id")?,
            request_id: row.text("request_id")?,
            at_ms: row.int("at")?,
            state: State::parse(&row.text("state")?)?,
            key_id: row.text("key_id")?,
            key_name: row.text("key_name")?,
            team_id: row.text("team_id")?,
            user_id: row.text("user_id")?,
            model: row.text("model")?,
            deployment: row.text("deployment")?,
            provider: row.text("provider")?,
            outcome: row.text("outcome")?,
            counts_request: row.int("requests")? != 0,
            usage: Usage {
                prompt: row.count("input_tokens")?,
                completion: row.count("output_tokens")?,
                cached: row.count("cached_tokens")?,
                cache_write: row.count("cache_write_tokens")?,
                reasoning: row.count("reasoning_tokens")?,
            },
            cost: row.micros("cost_micros")?,
            reserved: row.micros("reserved_micros")?,
            saved: row.micros("saved_micros")?,
            tags: row.json("tags")?,
        })
    }
}
