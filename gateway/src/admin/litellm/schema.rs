//! What LiteLLM's calls for keys take and answer, for the OpenAPI document. `words` reads and writes them member by member,
//! since what is not known may be there as long as it is empty.

#![expect(dead_code, reason = "these types describe what is put together by name")]

use schemars::JsonSchema;
use serde_json::{Map, Value};

use crate::admin::route::{Kind, Parameter};

/// What `info` takes.
pub(in crate::admin) const INFO: &[Parameter] = &[Parameter {
    name: "key",
    kind: Kind::Text,
    about: "The key itself or its token; a key sees itself without it.",
}];

/// What `list` takes.
pub(in crate::admin) const LIST: &[Parameter] = &[
    Parameter { name: "page", kind: Kind::Number(u32::MAX), about: "Counted from 1." },
    Parameter { name: "size", kind: Kind::Number(100), about: "Keys of a page; 10 without it." },
    Parameter { name: "user_id", kind: Kind::Text, about: "Only of this user." },
    Parameter { name: "team_id", kind: Kind::Text, about: "Only of this team." },
    Parameter { name: "key_alias", kind: Kind::Text, about: "Only with this alias." },
    Parameter {
        name: "return_full_object",
        kind: Kind::Text,
        about: "true: whole keys instead of their tokens.",
    },
];

/// Settings of a key to make. Public API.
#[derive(Debug, JsonSchema)]
pub(in crate::admin) struct KeyWords {
    /// The key itself, which begins with sk- and has 20 letters or more; left out: a random one.
    key: Option<String>,
    #[serde(flatten)]
    settings: Settings,
}

/// Settings of a key to change. Public API.
#[derive(Debug, JsonSchema)]
pub(in crate::admin) struct KeyChange {
    /// The key itself or its token.
    key: String,
    #[serde(flatten)]
    settings: Settings,
}

/// What may be set. Any other member that is not empty is refused.
#[derive(Debug, JsonSchema)]
struct Settings {
    /// Unique.
    key_alias: Option<String>,
    /// Empty: every public name.
    models: Option<Vec<String>>,
    /// US dollars.
    #[schemars(range(min = 0))]
    max_budget: Option<f64>,
    /// US dollars at which an alert is raised.
    #[schemars(range(min = 0))]
    soft_budget: Option<f64>,
    /// As in `30d`; left out: the budget is never filled up again.
    #[schemars(regex(pattern = r"^[0-9]+(s|m|h|d|w|mo)$"))]
    budget_duration: Option<String>,
    /// As in `30d`: when the key expires.
    #[schemars(regex(pattern = r"^[0-9]+(s|m|h|d|w|mo)$"))]
    duration: Option<String>,
    #[schemars(range(min = 1))]
    rpm_limit: Option<u32>,
    #[schemars(range(min = 1))]
    tpm_limit: Option<u64>,
    #[schemars(range(min = 1))]
    max_parallel_requests: Option<u32>,
    metadata: Option<Map<String, Value>>,
    team_id: Option<String>,
    /// Of a key without a team, or that of its team.
    organization_id: Option<String>,
    /// A user that is missing is made.
    user_id: Option<String>,
    tags: Option<Vec<String>>,
    blocked: Option<bool>,
}

/// Which key. Public API.
#[derive(Debug, JsonSchema)]
pub(in crate::admin) struct NamedKey {
    /// The key itself or its token.
    key: String,
}

/// How to exchange a secret. Public API.
#[derive(Debug, JsonSchema)]
pub(in crate::admin) struct RegenerateKey {
    /// The key itself or its token, unless the path names it.
    key: Option<String>,
    /// How long the old value still works, as in `24h`.
    #[schemars(regex(pattern = r"^[0-9]+(s|m|h|d|w|mo)$"))]
    grace_period: Option<String>,
    #[serde(flatten)]
    settings: Settings,
}

/// Which keys. Public API.
#[derive(Debug, JsonSchema)]
pub(in crate::admin) struct DeleteKeys {
    /// Keys themselves or their tokens.
    keys: Option<Vec<String>>,
    key_aliases: Option<Vec<String>>,
}

/// Which keys are gone. Public API.
#[derive(Debug, JsonSchema)]
pub(in crate::admin) struct DeletedKeys {
    deleted_keys: Vec<String>,
}

/// A key without its secret. Public API.
#[derive(Debug, JsonSchema)]
pub(in crate::admin) struct KeyInWords {
    /// Our id, not a hash.
    token: String,
    token_id: String,
    /// `sk-...1a2b`.
    key_name: String,
    key_alias: String,
    models: Vec<String>,
    max_budget: Option<f64>,
    soft_budget: Option<f64>,
    budget_duration: Option<String>,
    rpm_limit: Option<u64>,
    tpm_limit: Option<u64>,
    max_parallel_requests: Option<u64>,
    metadata: Map<String, Value>,
    tags: Vec<String>,
    team_id: Option<String>,
    organization_id: Option<String>,
    user_id: Option<String>,
    blocked: bool,
    expires: Option<String>,
    /// Null for a key of the configuration.
    created_at: Option<String>,
    updated_at: Option<String>,
}

/// A key with its secret, which is shown this once. Public API.
#[derive(Debug, JsonSchema)]
pub(in crate::admin) struct NewKeyWords {
    /// The key itself.
    key: String,
    #[serde(flatten)]
    view: KeyInWords,
}

/// A key and what it has spent. Public API.
#[derive(Debug, JsonSchema)]
pub(in crate::admin) struct KeyInfo {
    /// As it was asked for.
    key: String,
    info: SpentKey,
}

/// A key and what it has spent.
#[derive(Debug, JsonSchema)]
struct SpentKey {
    #[serde(flatten)]
    view: KeyInWords,
    /// US dollars since the beginning.
    spend: f64,
}

/// A page of keys. Public API.
#[derive(Debug, JsonSchema)]
pub(in crate::admin) struct KeyList {
    /// Tokens, or whole keys when those are asked for.
    keys: Vec<KeyOrToken>,
    total_count: u64,
    current_page: u64,
    total_pages: u64,
}

/// A key or its token.
#[derive(Debug, JsonSchema)]
#[serde(untagged)]
enum KeyOrToken {
    Token(String),
    Key(Box<KeyInWords>),
}
