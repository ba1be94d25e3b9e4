//! The root of the configuration file and its small sections.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    AlertConfig, CacheConfig, ClusterConfig, ContentsConfig, Embedder, EncryptionConfig, KeyConfig,
    ModelConfig, ProviderConfig, RouterConfig, SecretSource, Size, Span,
};

/// The setting `store` of a gateway that keeps nothing.
pub const NO_STORE: &str = "none";

/// The configuration of one gateway.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Address and port of the public listener (HTTP/1.1 and HTTP/2).
    pub listen: String,
    /// Serves the public listener over TLS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsConfig>,
    /// The admin listener.
    pub admin: AdminConfig,
    /// Where keys and spend are kept: `sqlite:PATH` (below the working directory, when it is relative),
    /// `postgres://USER@HOST/DATABASE`, or `none`: then nothing outlives the process, and budgets begin anew with it.
    pub store: String,
    /// The log of what requests cost, on its way to the store.
    pub ledger: LedgerConfig,
    /// When the store is backed up by itself. Left out: never.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backup: Option<BackupConfig>,
    /// Limits and budgets that several gateways share: `redis://HOST:PORT`, or `{url, deadline, when_away}`. A change
    /// takes a restart.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster: Option<ClusterConfig>,
    /// The secret that the hashes of stored keys are keyed with, at least 16 bytes, the same for all gateways of one
    /// store. Left out with SQLite: a random one in `key-hash.secret` beside the database.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_hash: Option<SecretSource>,
    /// Encrypts what the store keeps of credentials.
    #[serde(skip_serializing_if = "EncryptionConfig::is_default")]
    pub encryption: EncryptionConfig,
    /// Vendors and servers by name.
    pub providers: BTreeMap<String, ProviderConfig>,
    /// Public model names.
    pub models: BTreeMap<String, ModelConfig>,
    /// What evaluates the classifiers of routes.
    #[serde(skip_serializing_if = "RouterConfig::is_default")]
    pub router: RouterConfig,
    /// Virtual keys. Without any, a gateway on a loopback address takes every request.
    pub keys: Vec<KeyConfig>,
    /// Answers that are kept for whoever asks the same again. Left out: none. A change takes a restart.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache: Option<CacheConfig>,
    /// What is refused or cut off.
    pub limits: LimitConfig,
    /// Who is told when something has to be mended.
    pub alerts: AlertConfig,
    /// What is logged.
    pub log: LogConfig,
    /// Worker threads of the public listener; 0: one per processor.
    pub threads: usize,
    /// How long running requests may take to finish after SIGTERM.
    pub drain: Span,
}

/// The log of what requests cost, on its way to the store.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LedgerConfig {
    /// Its folder, which several gateways may share.
    pub path: String,
    /// How much of it may wait for the store; then requests are refused with 503.
    pub size: Size,
}

/// Backups of the store, made by the gateway itself.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct BackupConfig {
    /// Their folder.
    pub path: String,
    /// How old the newest one may become.
    pub every: Span,
    /// How many are kept; older ones are deleted.
    #[schemars(range(min = 1))]
    pub keep: u32,
}

/// A certificate and its key, both PEM files.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TlsConfig {
    /// The certificate chain.
    pub cert: String,
    /// The private key.
    pub key: String,
}

/// The admin listener: metrics and health.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AdminConfig {
    /// Its address and port.
    pub listen: String,
    /// The token of whoever may do everything on the admin listener, as `Authorization: Bearer TOKEN`. Further operators have
    /// accounts in the store.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<SecretSource>,
}

/// Bounds on what one request or address may take.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LimitConfig {
    /// The largest request body.
    pub body: Size,
    /// How long a client may take to send its body.
    pub body_time: Span,
    /// The largest request header, its target included; a larger one is refused with 431.
    pub header: Size,
    /// The most fields of a request header.
    #[schemars(range(min = 1))]
    pub headers: u32,
    /// How long a new connection may take to send its first request header.
    pub header_time: Span,
    /// How long a kept-alive connection may be without another request header.
    pub idle_time: Span,
    /// How long a client may take to accept one piece of an answer, before its request and the call of the provider
    /// end. No more than that piece is buffered.
    pub write_time: Span,
    /// Open connections; more are closed at once.
    #[schemars(range(min = 1))]
    pub connections: u32,
    /// Open connections of one address; 0: any number, as behind a load balancer.
    pub connections_per_address: u32,
    /// The largest unstreamed answer of a provider.
    pub answer: Size,
    /// Requests in flight at once; more are refused with 503.
    #[schemars(range(min = 1))]
    pub in_flight: u32,
    /// How late the workers may be before new requests are refused with 503 ahead of `in_flight`, those of low priority
    /// first; `0ms`: never. What runs already goes on.
    pub shed_lag: Span,
    /// Retries and fallbacks of the last ten seconds, as a share of the requests; ten a second are always allowed.
    /// Beyond it a failure goes to the client at once, unless a deployment in good health is left to ask.
    #[schemars(range(min = 0, max = 10))]
    pub retry_budget: f64,
    /// Failed authentications per address in ten seconds, with keys and on the admin listener; more are refused with 429.
    #[schemars(range(min = 1))]
    pub failed_auth: u32,
}

/// What is logged, and where.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LogConfig {
    /// The access log, one JSON object a line: `stdout`, `off` or a file's path.
    pub access: String,
    /// The program's own messages on stderr: `error`, `warn`, `info` or `debug`.
    pub level: String,
    /// The request log in the store.
    pub requests: RequestLogConfig,
    /// Prompts and answers in the store.
    pub contents: ContentsConfig,
}

/// What the store keeps of each request: who asked for what, when, and how it ended; no prompt and no answer. A change takes
/// a restart.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RequestLogConfig {
    /// Whether requests are logged; without a `store` none is.
    pub enabled: bool,
    /// How long they are kept, also of an earlier process and when no more are logged.
    pub keep: Span,
    /// How much memory those that wait for the store may take, about 250 bytes each; those beyond it are not logged, and
    /// counted in a metric.
    pub memory: Size,
}

impl Config {
    /// Does the semantic cache want MiniLM's vectors of any model's questions?
    pub fn wants_minilm(&self) -> bool {
        let semantic = self.cache.as_ref().and_then(|cache| cache.semantic.as_ref());
        semantic.is_some_and(|semantic| {
            let all = semantic.embedder == Embedder::Minilm;
            all || self.models.values().any(|model| model.embedder == Some(Embedder::Minilm))
        })
    }

    /// Has a provider a credential of this name here, be it `api_key`, which has the provider's, or one of `api_keys`?
    pub fn has_credential(&self, name: &str) -> bool {
        self.providers.iter().any(|(provider, settings)| {
            settings.api_key.is_some() && provider == name
                || settings.api_keys.iter().any(|credential| credential.name == name)
        })
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:8080".to_owned(),
            tls: None,
            admin: AdminConfig::default(),
            store: NO_STORE.to_owned(),
            ledger: LedgerConfig::default(),
            backup: None,
            cluster: None,
            key_hash: None,
            encryption: EncryptionConfig::default(),
            providers: BTreeMap::new(),
            models: BTreeMap::new(),
            router: RouterConfig::default(),
            keys: Vec::new(),
            cache: None,
            limits: LimitConfig::default(),
            alerts: AlertConfig::default(),
            log: LogConfig::default(),
            threads: 0,
            drain: Span::from_millis(600_000),
        }
    }
}

impl Default for BackupConfig {
    fn default() -> Self {
        Self { path: "data/backups".to_owned(), every: Span::from_millis(86_400_000), keep: 7 }
    }
}

impl Default for LedgerConfig {
    fn default() -> Self {
        Self { path: "data/ledger".to_owned(), size: Size(1 << 30) }
    }
}

impl Default for AdminConfig {
    fn default() -> Self {
        Self { listen: "127.0.0.1:9090".to_owned(), token: None }
    }
}

impl Default for LimitConfig {
    fn default() -> Self {
        Self {
            body: Size(32 << 20),
            body_time: Span::from_millis(60_000),
            header: Size(64 << 10),
            headers: 128,
            header_time: Span::from_millis(15_000),
            idle_time: Span::from_millis(75_000),
            write_time: Span::from_millis(60_000),
            connections: 40_000,
            connections_per_address: 0,
            answer: Size(64 << 20),
            in_flight: 20_000,
            shed_lag: Span::from_millis(25),
            retry_budget: 0.2,
            failed_auth: 100,
        }
    }
}

impl Default for LogConfig {
    fn default() -> Self {
        Self {
            access: "stdout".to_owned(),
            level: "info".to_owned(),
            requests: RequestLogConfig::default(),
            contents: ContentsConfig::default(),
        }
    }
}

impl Default for RequestLogConfig {
    fn default() -> Self {
        Self { enabled: true, keep: Span::from_millis(30 * 86_400_000), memory: Size(16 << 20) }
    }
}
