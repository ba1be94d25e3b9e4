//! The `models` section: public names, the deployments behind them, and how attempts are made.

use std::num::NonZeroU32;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Embedder, RouteConfig, Span};

/// A public model name: either deployments, or a rule that picks another model.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ModelConfig {
    /// The targets that answer for this model.
    pub deployments: Vec<DeploymentConfig>,
    /// How traffic is spread over them.
    pub balance: BalanceStrategy,
    /// What keeps requests on one deployment, before `balance` is asked.
    pub affinity: Affinity,
    /// Attempts at one deployment.
    pub retries: RetryConfig,
    /// How long to wait for what.
    pub timeouts: TimeoutConfig,
    /// A stream slower than this counts as stalled; 0 is off.
    pub min_chars_per_second: u32,
    /// How an answer goes on that breaks off after part of it was sent.
    pub resume: ResumeMode,
    /// A second attempt for requests whose first one is slower than usual. Left out: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hedge: Option<HedgeConfig>,
    /// Which identical requests of one key share one upstream call while it runs.
    pub coalesce: Coalesce,
    /// Whether its answers are kept, when there is a `cache`.
    pub cache: CacheUse,
    /// What makes vectors of its questions for the semantic cache; without it what `cache.semantic.embedder` says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub embedder: Option<Embedder>,
    /// When a deployment leaves the rotation.
    pub cooldown: CooldownConfig,
    /// Models to try, in this order, when every deployment failed.
    pub fallbacks: Vec<String>,
    /// Requests in flight at once, streams until their end: a number, or `adaptive` to let the latency of the
    /// answers' first byte and the provider's overload answers decide. Left out: no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_in_flight: Option<MaxInFlight>,
    /// Where requests beyond `max_in_flight` wait.
    pub queue: QueueConfig,
    /// Drop request fields that a deployment's wire format cannot express, instead of refusing the request.
    pub drop_params: bool,
    /// Makes this a virtual model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub route: Option<RouteConfig>,
}

/// Hedged requests (Dean and Barroso, The Tail at Scale, 2013): the answer that begins first is taken, the
/// other call is ended. Both may be charged by the provider.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct HedgeConfig {
    /// The share of requests that may get a second attempt.
    #[schemars(range(min = 0.0, max = 0.5))]
    pub share: f64,
    /// The second attempt is made when the first one has been silent for longer than this share of the
    /// deployment's recent answers took to begin. Left out: what `share` leaves.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.5, max = 1.0))]
    pub quantile: Option<f64>,
}

/// Which identical requests of one key share one upstream call while it runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Coalesce {
    /// None.
    Off,
    /// Those with a temperature of 0, and embeddings, rerank and moderations.
    #[default]
    Deterministic,
    /// All of them.
    All,
}

/// Whether a model's answers are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CacheUse {
    /// By the rules of the `cache` section.
    #[default]
    On,
    /// Not at all.
    Off,
}

/// How an answer goes on that breaks off after part of it was sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ResumeMode {
    /// By prefill where the target model takes one, else by a new answer that begins with the same letters.
    #[default]
    Auto,
    /// By prefill only: a new answer is paid for, and is often another one.
    Prefill,
    /// Not at all: the stream ends with an error.
    Off,
}

/// One callable target.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeploymentConfig {
    /// A key of `providers`.
    pub provider: String,
    /// The model's name at the provider.
    pub model: String,
    /// The provider's credential that it uses. Left out: all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<String>,
    /// Its share of the traffic; 0 drains it.
    #[serde(default = "one")]
    pub weight: u32,
    /// Whether the model goes on with an assistant's message at the end of a request, when the catalogue
    /// does not know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefill: Option<bool>,
    /// What it charges, when not what the catalogue says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<PriceConfig>,
    /// Requests in any 60 seconds; more go elsewhere, or are refused with 429.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub rpm: Option<u32>,
    /// Tokens in any 60 seconds, prompt and answer, estimated before a request and settled after it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub tpm: Option<u64>,
    /// Requests in flight at once, as for a model. A full deployment is passed over; nobody waits for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_in_flight: Option<MaxInFlight>,
}

/// A limit on requests in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum MaxInFlight {
    /// Always this many.
    Fixed(NonZeroU32),
    /// As many as are answered without delay.
    Adaptive(Adaptive),
}

/// The word for an adaptive limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Adaptive {
    /// `adaptive`.
    Adaptive,
}

/// Where requests beyond a model's limit wait, those of a higher priority in front. Within one priority the
/// oldest goes first.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct QueueConfig {
    /// How many may wait; more are refused with 503 at once. 0: nobody waits. While the queue does not empty it holds
    /// no more than what got a place in half of `wait` lately, and at least four.
    #[schemars(range(min = 0, max = 100_000))]
    pub length: u32,
    /// How long one may wait before it is refused with 503.
    pub wait: Span,
}

fn one() -> u32 {
    1
}

/// USD per million tokens.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PriceConfig {
    /// Prompt tokens.
    #[schemars(range(min = 0))]
    pub input: f64,
    /// Generated tokens.
    #[schemars(range(min = 0))]
    pub output: f64,
    /// Prompt tokens read from the provider's prompt cache; `input` when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub cached_input: Option<f64>,
    /// Prompt tokens written to the provider's prompt cache; `input` when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub cache_write: Option<f64>,
}

/// How traffic is spread over a model's deployments.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BalanceStrategy {
    /// In proportion to `weight`, evenly interleaved.
    #[default]
    Weighted,
    /// In turn, whatever the weights.
    RoundRobin,
    /// To the one with the fewest requests in flight.
    LeastBusy,
    /// To the one whose first token comes soonest, of two taken at random.
    Latency,
    /// To the cheapest for the request at hand; those without a known price come last.
    Cost,
}

/// What keeps requests on one deployment, so that a provider's prompt cache keeps hitting. A deployment with
/// more than its share in flight is passed over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Affinity {
    /// Nothing.
    #[default]
    Off,
    /// The same beginning of the prompt: tools, system text and the user's first message.
    #[serde(rename = "prefix")]
    ByPrefix,
    /// The same session: the header `x-signalbox-session`, else the field `user` (Anthropic: `metadata.user_id`).
    #[serde(rename = "session")]
    BySession,
}

/// Attempts at one deployment.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RetryConfig {
    /// How often one deployment is called at most, the first call included.
    #[schemars(range(min = 1, max = 10))]
    pub attempts: u32,
    /// The wait between them.
    pub backoff: BackoffConfig,
}

/// Exponential backoff with full jitter: a random wait between zero and `initial` × 2ⁿ, at most `max`.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct BackoffConfig {
    /// The ceiling of the first wait.
    pub initial: Span,
    /// The ceiling of every wait.
    pub max: Span,
}

/// How long to wait for what.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TimeoutConfig {
    /// For a connection, TLS included.
    pub connect: Span,
    /// For the first token of a stream.
    pub first_token: Span,
    /// For an unstreamed answer to begin. Left out: four times `first_token`, since such an answer is silent until it is whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<Span>,
    /// Between two reads of an answer that has begun.
    pub idle: Span,
    /// For the request as a whole, all attempts included.
    pub total: Span,
}

/// When a deployment leaves the rotation.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CooldownConfig {
    /// Failures in a row that open it; 0 is never.
    pub failures: u32,
    /// How long it stays out before one request probes it. Each probe that fails doubles it, up to 24
    /// seconds or what is set here; the actual time varies by a fifth.
    pub open: Span,
}

impl Default for HedgeConfig {
    fn default() -> Self {
        Self { share: 0.03, quantile: None }
    }
}

impl Default for RetryConfig {
    fn default() -> Self {
        Self { attempts: 2, backoff: BackoffConfig::default() }
    }
}

impl Default for QueueConfig {
    fn default() -> Self {
        Self { length: 100, wait: Span::from_millis(30) }
    }
}

impl Default for BackoffConfig {
    fn default() -> Self {
        Self { initial: Span::from_millis(200), max: Span::from_millis(5_000) }
    }
}

impl Default for TimeoutConfig {
    fn default() -> Self {
        Self {
            connect: Span::from_millis(2_000),
            first_token: Span::from_millis(15_000),
            answer: None,
            idle: Span::from_millis(10_000),
            total: Span::from_millis(600_000),
        }
    }
}

impl Default for CooldownConfig {
    fn default() -> Self {
        Self { failures: 3, open: Span::from_millis(5_000) }
    }
}
