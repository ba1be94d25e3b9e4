//! The `providers` section.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{HealthConfig, SecretSource};

/// A vendor or server. Its `kind` brings URL, credential header and quirks from the catalogue.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProviderConfig {
    /// A kind of the catalogue: `openai`, `anthropic`, `groq`, `ollama`, …
    pub kind: String,
    /// Where it is, when not where the catalogue says. OpenAI-compatible URLs end in `/v1`; Anthropic's is the root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_url: Option<String>,
    /// The provider's credential. As a credential it has the provider's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_key: Option<SecretSource>,
    /// More of them: requests are spread over all, and one that is refused or rate limited is left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub api_keys: Vec<CredentialConfig>,
    /// Headers that every request to it carries besides; a value may be `env:NAME` or `file:PATH`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, SecretSource>,
    /// Active health checks; none when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<HealthConfig>,
}

/// One of several credentials of a provider.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CredentialConfig {
    /// Its name in the ids of deployments, in metrics and in `credentials` of keys; no other credential has it.
    pub name: String,
    /// The credential itself.
    pub key: SecretSource,
    /// Its share among those of its priority; 0 drains it.
    #[serde(default = "one")]
    pub weight: u32,
    /// Those with the lowest number go first, the others while none of them can be asked.
    #[serde(default)]
    pub priority: u32,
}

fn one() -> u32 {
    1
}
