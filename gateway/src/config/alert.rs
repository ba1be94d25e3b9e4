//! The `alerts` section.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{SecretSource, Span};

/// Who is told when something has to be mended.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AlertConfig {
    /// Where alerts are posted.
    pub webhooks: Vec<WebhookConfig>,
    /// The same alert about the same subject is not told again before this.
    pub repeat: Span,
}

/// One receiver. It gets a `POST` with a JSON body, three tries in all.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WebhookConfig {
    /// Its address, `http://` or `https://`; often a secret itself.
    pub url: SecretSource,
    /// The body's form.
    #[serde(default)]
    pub format: WebhookFormat,
    /// What it hears of. Left out: everything.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kinds: Vec<AlertKind>,
}

/// The body's form.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WebhookFormat {
    /// `{source, kind, subject, message, at}`.
    #[default]
    Json,
    /// `{text}`, as Slack's and Mattermost's incoming webhooks take it.
    Slack,
}

/// What can be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AlertKind {
    /// A provider refuses its credential.
    CredentialRefused,
    /// A deployment is cooling down.
    DeploymentOut,
    /// It answers again.
    DeploymentBack,
    /// A changed configuration was refused; the old one stays in force.
    ConfigRefused,
    /// Failures are no longer repeated elsewhere.
    RetryBudgetExhausted,
    /// Requests are refused.
    Overload,
    /// A budget's alert share is spent.
    Budget,
    /// A scheduled backup of the store could not be made.
    BackupFailed,
    /// The cluster's Redis is away: each gateway counts for itself.
    ClusterAway,
    /// Gateways count together again.
    ClusterBack,
}

impl AlertKind {
    /// The word in the configuration and the metric label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::CredentialRefused => "credential_refused",
            Self::DeploymentOut => "deployment_out",
            Self::DeploymentBack => "deployment_back",
            Self::ConfigRefused => "config_refused",
            Self::RetryBudgetExhausted => "retry_budget_exhausted",
            Self::Overload => "overload",
            Self::Budget => "budget",
            Self::BackupFailed => "backup_failed",
            Self::ClusterAway => "cluster_away",
            Self::ClusterBack => "cluster_back",
        }
    }
}

impl Default for AlertConfig {
    fn default() -> Self {
        Self { webhooks: Vec::new(), repeat: Span::from_millis(300_000) }
    }
}
