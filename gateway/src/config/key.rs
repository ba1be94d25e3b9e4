//! The `keys` section: virtual keys that live in the configuration.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{SecretSource, Span};

/// A virtual key.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KeyConfig {
    /// Its name in logs, metrics and reports.
    pub name: String,
    /// The key itself; only its hash is kept.
    pub key: SecretSource,
    /// What it may ask for: public names, `provider/model`, `provider/*` (which opens the raw pass-through of that
    /// provider too) or `*`. Left out: every public name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub models: Option<Vec<String>>,
    /// Names of the providers' credentials that its requests may use; a provider's `api_key` has the provider's name.
    /// Left out: all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials: Option<Vec<String>>,
    /// The organisation that it belongs to: with `cache.exact.scope: organization` its keys share answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub organization_id: Option<String>,
    /// Requests in any 60 seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub rpm: Option<u32>,
    /// Prompt and completion tokens in any 60 seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub tpm: Option<u64>,
    /// Requests at the same time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub max_parallel: Option<u32>,
    /// What it asks and is answered is stored, encrypted: see `log.contents`. Needs a `store`, and with PostgreSQL
    /// `encryption.key`.
    #[serde(default)]
    pub store_prompts: bool,
    /// Who goes first when there is more to do than can be done.
    #[serde(default)]
    pub priority: Priority,
    /// A money cap per window.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<BudgetConfig>,
}

/// The longest name of a stored key, team, user or organisation.
const LONGEST_NAME: usize = 128;

/// A name is there, short and printable.
pub fn is_printable(name: &str) -> bool {
    !name.trim().is_empty() && name.len() <= LONGEST_NAME && !name.chars().any(char::is_control)
}

/// Who goes first in overload, in this order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Priority {
    /// Shed last: a user is waiting.
    High,
    /// In between.
    #[default]
    Normal,
    /// Shed first: batches, and whatever can be repeated.
    Low,
}

/// A money cap per window.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BudgetConfig {
    /// US dollars.
    #[schemars(range(min = 0))]
    pub usd: f64,
    /// The window: whole minutes up to an hour, whole hours beyond. Days and longer begin at midnight UTC and are counted
    /// from a Monday, shorter ones from the epoch.
    pub per: Span,
    /// Percentage of the budget at which an alert of the kind `budget` is raised.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100))]
    pub alert_percent: Option<u8>,
}
