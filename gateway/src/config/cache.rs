//! The `cache` section: where answers are kept, for whom and for how long.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{SecretSource, Size, Span};

/// The answer cache.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CacheConfig {
    /// The memory tier's cap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<Size>,
    /// The disk tier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk: Option<CacheDiskConfig>,
    /// Encrypts what a cluster shares, and the disk tier unless that has a key of its own: 32 bytes in hexadecimal or
    /// base64, the same for all gateways.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<SecretSource>,
    /// What a cluster shares.
    #[serde(default)]
    pub shared: SharedCacheConfig,
    /// The exact cache.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exact: Option<ExactCacheConfig>,
    /// The semantic cache.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub semantic: Option<SemanticCacheConfig>,
}

/// The cache's disk tier.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CacheDiskConfig {
    /// Its folder.
    pub path: String,
    /// Its cap.
    pub size: Size,
    /// Encrypts it with AES-256-GCM: 32 bytes in hexadecimal or base64. What another key encrypted is not found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<SecretSource>,
}

/// Answers that the gateways of a cluster share, in its Redis.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SharedCacheConfig {
    /// They share them, if there is a `cluster`.
    pub enabled: bool,
    /// How long a request that found nothing here waits for Redis, 1ms to 1s. One that waited in vain is the last one
    /// until Redis is well again.
    pub deadline: Span,
}

impl Default for SharedCacheConfig {
    fn default() -> Self {
        Self { enabled: true, deadline: Span::from_millis(3) }
    }
}

/// The exact cache: the same request gets the same answer.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ExactCacheConfig {
    /// How long an answer is served, unless its request says otherwise.
    pub ttl: Span,
    /// How long after that it is still served at once, while a new one is fetched.
    pub stale_while_revalidate: Span,
    /// How long after its time it is still served when no provider answers.
    pub stale_if_error: Span,
    /// How long a provider's refusal of the request itself is kept: 400, 404, 405, 413, 415 and 422. 0: not at all.
    pub negative_ttl: Span,
    /// How long the call for an answer goes on after its last client has left, so that it is kept and a client that asks
    /// again finds it.
    pub outlives: Span,
    /// Who shares answers.
    pub scope: CacheScope,
    /// What becomes of requests whose answers are meant to vary.
    pub sampled: Sampled,
    /// Also keep answers to requests that offer tools to the model, which may call them again.
    pub tools: bool,
    /// A larger answer is not kept.
    pub largest: Size,
}

/// Who shares answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CacheScope {
    /// Each key has its own.
    Key,
    /// The keys of a team; a key without one has its own.
    #[default]
    Team,
    /// The teams and keys of an organisation; a team or key without one has its own.
    Organization,
    /// Everyone.
    Global,
}

/// What becomes of requests with a temperature above 0.3, or none, and without a seed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Sampled {
    /// Their answers are kept only when the request asks for it.
    Off,
    /// The first answer is everybody's.
    #[default]
    First,
}

impl Default for ExactCacheConfig {
    fn default() -> Self {
        Self {
            ttl: Span::from_millis(3_600_000),
            stale_while_revalidate: Span::from_millis(0),
            stale_if_error: Span::from_millis(0),
            negative_ttl: Span::from_millis(10_000),
            outlives: Span::from_millis(2_000),
            scope: CacheScope::default(),
            sampled: Sampled::default(),
            tools: false,
            largest: Size(1 << 20),
        }
    }
}

/// The semantic cache: a question gets the answer that another wording of it got, once there is evidence that such
/// answers are right.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SemanticCacheConfig {
    /// The largest share of hits that may be wrong.
    #[schemars(range(min = 0, max = 1))]
    pub max_error: f64,
    /// What makes vectors of questions.
    pub embedder: Embedder,
    /// The share of hits that are asked upstream as well, beside the request, to learn whether they were right.
    #[schemars(range(min = 0, max = 1))]
    pub audit_share: f64,
    /// The most that this costs each key in a day, in USD. 0: no hit is asked upstream.
    #[schemars(range(min = 0))]
    pub audit_usd: f64,
    /// The index's cap in memory.
    pub memory: Size,
    /// How MiniLM runs, where a vector of its is wanted.
    #[serde(skip_serializing_if = "MinilmConfig::is_default")]
    pub minilm: MinilmConfig,
}

/// How MiniLM runs: through ONNX Runtime (`router.library`), on threads of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct MinilmConfig {
    /// The folder that scripts/fetch-minilm made, or one of another model with `model.onnx` and `tokenizer.json`. By
    /// default `minilm` beside the program.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// How long a request waits for its vector, 1ms to 1s; one that is late is a miss.
    pub deadline: Span,
    /// So much of a question is read.
    #[schemars(range(min = 16, max = 512))]
    pub max_tokens: u32,
    /// Threads that make vectors.
    #[schemars(range(min = 1, max = 64))]
    pub threads: u32,
    /// Questions that may wait for them; with more they are misses.
    #[schemars(range(min = 1, max = 65536))]
    pub queue: u32,
}

impl MinilmConfig {
    /// Nothing is set.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl Default for MinilmConfig {
    fn default() -> Self {
        Self { path: None, deadline: Span::from_millis(20), max_tokens: 128, threads: 1, queue: 64 }
    }
}

/// What makes vectors of questions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Embedder {
    /// A table of token vectors that is built in; it takes two microseconds.
    #[default]
    Static,
    /// all-MiniLM-L6-v2, which knows rewordings better and takes milliseconds. Where it cannot be used the table is.
    Minilm,
}

impl Default for SemanticCacheConfig {
    fn default() -> Self {
        Self {
            max_error: 0.01,
            embedder: Embedder::default(),
            audit_share: 0.05,
            audit_usd: 1.0,
            memory: Size(128 << 20),
            minilm: MinilmConfig::default(),
        }
    }
}
