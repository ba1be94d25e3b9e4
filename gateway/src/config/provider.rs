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
    /// The provider's credential.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_key: Option<SecretSource>,
    /// Headers that every request to it carries besides; a value may be `env:NAME` or `file:PATH`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, SecretSource>,
    /// Active health checks; none when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<HealthConfig>,
}
