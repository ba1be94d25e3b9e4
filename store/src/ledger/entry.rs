//! One attempt in the ledger.

use std::sync::Arc;

use domain::{Micros, Usage};
use serde::{Deserialize, Serialize};

use crate::database::Row;
use crate::error::Result;

/// How far an attempt has come.
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

/// What an entry is of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A call of a deployment.
    #[default]
    Attempt,
    /// A call through the raw pass-through.
    PassThrough,
    /// A request that was given the answer to an identical one which ran: no call.
    Coalesced,
    /// A request that a cache answered: no call.
    CacheHit,
}

impl Kind {
    /// As in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Attempt => "attempt",
            Self::PassThrough => "pass_through",
            Self::Coalesced => "coalesced",
            Self::CacheHit => "cache_hit",
        }
    }

    /// A provider was called.
    pub fn is_call(self) -> bool {
        matches!(self, Self::Attempt | Self::PassThrough)
    }
}

/// Who counted the tokens of an entry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Counted {
    /// The provider, in its answer; of what used nothing, nobody had to.
    #[default]
    Provider,
    /// We: the provider's count did not come. Its bill may differ.
    Estimate,
    /// Nobody: what it cost is not known and stands as zero.
    Nobody,
}

impl Counted {
    /// As in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Provider => "provider",
            Self::Estimate => "estimate",
            Self::Nobody => "nobody",
        }
    }
}

/// Who pays for what: what very many entries have in common, so they share it. Texts that do not apply are empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct Subject {
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
    /// For reports.
    pub tags: Vec<String>,
}

impl Subject {
    /// That of a row which stands for one attempt or request alone.
    pub(crate) fn read(row: &Row) -> Result<Self> {
        Ok(Self {
            key_id: row.text("key_id")?,
            key_name: row.text("key_name")?,
            team_id: row.text("team_id")?,
            user_id: row.text("user_id")?,
            model: row.text("model")?,
            deployment: row.text("deployment")?,
            provider: row.text("provider")?,
            tags: row.json("tags")?,
        })
    }
}

/// What is known of one attempt, or of a request that needed none.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LedgerEntry {
    /// Unique; what makes applying idempotent.
    pub attempt_id: String,
    /// The request it belongs to.
    pub request_id: String,
    /// When it ended, in unix milliseconds: spend counts at the time it was settled. Of a reservation, when it was made.
    pub at_ms: i64,
    /// How far it has come.
    pub state: State,
    /// What it is of.
    pub kind: Kind,
    /// Who pays for what.
    pub subject: Arc<Subject>,
    /// How the attempt ended: `ok`, or the kind of the failure.
    pub outcome: String,
    /// True for exactly one attempt of a request, so that requests can be counted by adding up.
    pub counts_request: bool,
    /// Tokens, as billed.
    pub usage: Usage,
    /// Who counted them.
    pub counted: Counted,
    /// What it cost.
    pub cost: Micros,
    /// What was held back.
    pub reserved: Micros,
    /// What it would have cost without a cache or somebody to share with.
    pub saved: Micros,
}
