//! The configuration file: its shape, its faults, its secrets. Owns everything between the YAML text
//! and a [`Config`] that is known to be sound; resolving it into deployments is the snapshot's work.

mod alert;
mod cache;
mod cluster;
mod contents;
mod encryption;
mod fault;
mod health;
mod key;
mod load;
mod model;
mod provider;
mod root;
mod route;
mod router;
mod schema;
mod secret;
mod shadow;
mod unit;
mod validate;

pub use alert::{AlertConfig, AlertKind, WebhookConfig, WebhookFormat};
pub use cache::{
    CacheConfig, CacheDiskConfig, CacheScope, Embedder, ExactCacheConfig, MinilmConfig, Sampled,
    SemanticCacheConfig, SharedCacheConfig,
};
pub use cluster::{ClusterConfig, WhenAway};
pub use contents::ContentsConfig;
pub use encryption::EncryptionConfig;
pub use fault::{Fault, Faults};
pub use health::{HealthCheckKind, HealthConfig};
pub use key::{BudgetConfig, KeyConfig, Priority, is_printable};
pub use load::{Loaded, load, load_text, read};
pub use model::{
    Adaptive, Affinity, BackoffConfig, BalanceStrategy, CacheUse, Coalesce, CooldownConfig, DeploymentConfig,
    HedgeConfig, MaxInFlight, ModelConfig, PriceConfig, QueueConfig, ResumeMode, RetryConfig, TimeoutConfig,
};
pub use provider::{CredentialConfig, ProviderConfig};
pub use root::{
    AdminConfig, BackupConfig, Config, LedgerConfig, LimitConfig, LogConfig, NO_STORE, RequestLogConfig,
    TlsConfig,
};
pub use route::{
    CandidateConfig, ConditionConfig, CountRange, ExternalConfig, ExternalKind, RouteConfig, RouteWeights,
    RuleConfig, ShareOf, Sticky, Tradeoff,
};
pub use router::{ModelRuntime, RouterConfig, Stage1Config};
pub use schema::json_schema;
pub use secret::{SecretSource, onnxruntime_path};
pub use shadow::ShadowConfig;
pub use unit::{Size, Span};
