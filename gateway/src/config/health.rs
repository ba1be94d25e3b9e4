//! The `health` section of a provider.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Span;

/// Active checks. One that fails opens the cooldown of the provider's deployments, one that goes well closes it,
/// so that recovery needs no live traffic.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HealthConfig {
    /// What is asked.
    pub check: HealthCheckKind,
    /// With `http`: the path that has to answer with 2xx, from the host's root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The wait between two checks.
    #[serde(default = "every")]
    pub every: Span,
    /// Failed checks in a row that open the cooldown.
    #[serde(default = "failures")]
    #[schemars(range(min = 1))]
    pub failures: u32,
    /// How long one check may take.
    #[serde(default = "timeout")]
    pub timeout: Span,
}

/// What a health check asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum HealthCheckKind {
    /// For a connection, with TLS where the provider has it. Takes back only what such a check has found.
    Tcp,
    /// For a path. Takes back only what such a check has found.
    Http,
    /// For a chat completion of one token, from each deployment. It costs money.
    Completion,
}

fn every() -> Span {
    Span::from_millis(10_000)
}

fn failures() -> u32 {
    2
}

fn timeout() -> Span {
    Span::from_millis(2_000)
}
