//! One attempt in the ledger.

use domain::{Micros, Usage};
use serde::{Deserialize, Serialize};

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

    fn is_attempt(&self) -> bool {
        *self == Self::Attempt
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

    fn is_provider(&self) -> bool {
        *self == Self::Provider
    }
}

/// What is known of one attempt, or of a request that needed none. Texts that do not apply are empty. As JSON, what is empty or zero is left out.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct LedgerEntry {
    /// Unique; what makes applying idempotent.
    pub attempt_id: String,
    /// The request it belongs to.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub request_id: String,
    /// When it ended, in unix milliseconds: spend counts at the time it was settled. Of a reservation, when it was made.
    pub at_ms: i64,
    /// How far it has come.
    pub state: State,
    /// What it is of.
    #[serde(skip_serializing_if = "Kind::is_attempt")]
    pub kind: Kind,
    /// Who pays.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub key_id: String,
    /// The key's name at that time.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub key_name: String,
    /// The key's team.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub team_id: String,
    /// The key's user.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub user_id: String,
    /// The model that was asked for.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub model: String,
    /// The deployment that was called.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub deployment: String,
    /// Its provider.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub provider: String,
    /// How the attempt ended: `ok`, or the kind of the failure.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub outcome: String,
    /// True for exactly one attempt of a request, so that requests can be counted by adding up.
    pub counts_request: bool,
    /// Tokens, as billed.
    #[serde(skip_serializing_if = "Usage::is_empty")]
    pub usage: Usage,
    /// Who counted them.
    #[serde(skip_serializing_if = "Counted::is_provider")]
    pub counted: Counted,
    /// What it cost.
    #[serde(skip_serializing_if = "is_zero")]
    pub cost: Micros,
    /// What was held back.
    #[serde(skip_serializing_if = "is_zero")]
    pub reserved: Micros,
    /// What it would have cost without a cache or somebody to share with.
    #[serde(skip_serializing_if = "is_zero")]
    pub saved: Micros,
    /// For reports.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_zero(amount: &Micros) -> bool {
    *amount == Micros(0)
}
