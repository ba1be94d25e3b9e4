//! The `shadow` of a route: whose answers are looked at a second time, and what that may cost.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A share of the answers is compared with what a better model says to the same request, and the outcome counts as feedback.
/// No client waits for that; its calls are charged to the key that asked.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ShadowConfig {
    /// The share of the answers of other models than the reference.
    #[schemars(range(min = 0, max = 1))]
    pub share: f64,
    /// The model whose answer is taken for right, one with deployments. Left out: the one that answers without a score, of a
    /// pair the strong one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// The model that tells how well an answer serves, given the reference's. Left out: only answers of a few words count, which
    /// say the same or do not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub judge: Option<String>,
    /// The most that this costs each key in a day, in USD.
    #[schemars(range(min = 0))]
    pub usd: f64,
}

impl Default for ShadowConfig {
    fn default() -> Self {
        Self { share: 0.01, reference: None, judge: None, usd: 1.0 }
    }
}
