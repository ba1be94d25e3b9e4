//! The `route` of a virtual model: which models it chooses from, by what, and who is asked.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{SecretSource, ShadowConfig, Span};

/// The rule of a virtual model. Either `strong` and `weak` with `threshold` or `share`, or `candidates` with any of
/// `target_quality`, `weights`, `max_cost` and `max_latency`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RouteConfig {
    /// Who tells hard from easy: `builtin`, or the file of a classifier that `router-model/train` made.
    pub classifier: String,
    /// The model for what the classifier finds hard.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub strong: Option<String>,
    /// The model for the rest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weak: Option<String>,
    /// The win rate of the strong model from which on it answers; `signalbox router calibrate` finds one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1))]
    pub threshold: Option<f64>,
    /// Instead: the share of usual prompts that the strong model is to answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1))]
    pub share: Option<f64>,
    /// Among which prompts that share is counted.
    #[serde(skip_serializing_if = "ShareOf::is_calibration")]
    pub share_of: ShareOf,
    /// Any number of models to choose from, in place of `strong` and `weak`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub candidates: Vec<CandidateConfig>,
    /// The cheapest candidate whose predicted quality is at least this answers; the best one when none is.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1))]
    pub target_quality: Option<f64>,
    /// Instead: what each of the three counts for. Without both the best candidate answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weights: Option<RouteWeights>,
    /// What a request may cost by estimate, in dollars. A candidate without a known price is not chosen then.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub max_cost: Option<f64>,
    /// How long the first token may take, by what was measured of late.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_latency: Option<Span>,
    /// Who answers when the classifier gives no usable score. Left out: `strong`, or the first candidate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default: Option<String>,
    /// A candidate that the key may not ask for by itself is not chosen.
    pub respect_keys: bool,
    /// What becomes of a conversation that another model has answered before.
    pub sticky: Sticky,
    /// How long a conversation is remembered after its last request; about what providers keep of a prompt.
    pub sticky_for: Span,
    /// What is decided before the classifier is asked; the first rule whose conditions all hold.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<RuleConfig>,
    /// A router of others that is asked; ours decides when it does not answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external: Option<ExternalConfig>,
    /// Whether feedback corrects the predicted quality, for each team or key by itself.
    pub recalibrate: bool,
    /// What an answer was worth, from 0 to 1, whose very request the same key sends again within ten minutes. Left out,
    /// that says nothing: programs repeat themselves, people who do were not content.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1))]
    pub repeat_score: Option<f64>,
    /// Whose answers are looked at a second time. Left out, nobody's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shadow: Option<ShadowConfig>,
}

/// Which prompts a share is counted among.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ShareOf {
    /// Those that the classifier was calibrated on: the same prompt is always decided alike.
    #[default]
    Calibration,
    /// Those that the route has had of late, so that the share is met whatever they are.
    Traffic,
}

impl ShareOf {
    fn is_calibration(&self) -> bool {
        *self == Self::Calibration
    }
}

/// One of several models.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CandidateConfig {
    /// A model with deployments.
    pub model: String,
    /// Whose prediction of the classifier stands for it. Left out: the head with the model's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub head: Option<String>,
    /// Instead, for a model that the classifier does not know: the share of prompts that it answers well.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1))]
    pub quality: Option<f64>,
    /// It can call tools. Left out, as for the next two: unless the catalogue knows better of its deployments.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tools: Option<bool>,
    /// It can see pictures.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vision: Option<bool>,
    /// It can answer in the form that a request wants: JSON, with or without a schema.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub json: Option<bool>,
    /// The longest prompt it takes in tokens, where the catalogue does not know it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context: Option<u32>,
    /// What an external router calls it, as `provider/model`. Left out: by its first deployment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external: Option<String>,
}

/// What counts for how much. Cost and latency are shares of those of the dearest and the slowest candidate.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RouteWeights {
    /// Of the predicted quality, 0 to 1.
    #[schemars(range(min = 0))]
    pub quality: f64,
    /// Of the cost.
    #[schemars(range(min = 0))]
    pub cost: f64,
    /// Of the time to the first token.
    #[schemars(range(min = 0))]
    pub latency: f64,
}

/// Whether a conversation stays with its model, whose provider has its beginning in its prompt cache.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Sticky {
    /// Each request is decided by itself.
    Off,
    /// What the prompt cache saves counts: no change to a model that is neither better nor, with that, cheaper.
    #[default]
    Priced,
    /// It stays as long as the model can take its requests.
    Hold,
}

/// A rule before the classifier.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RuleConfig {
    /// What logs and headers call it.
    pub name: String,
    /// All of these must hold.
    pub when: ConditionConfig,
    /// The candidate that answers then. It is passed over when it cannot take the request.
    #[serde(rename = "use")]
    pub chosen: String,
}

/// What a rule asks of a request. What is left out holds always.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ConditionConfig {
    /// One of these words or phrases is in the user's last turn, in whatever case.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub keywords: Vec<String>,
    /// The key has one of these tags, or the request in `metadata.tags`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// The whole request in tokens, estimated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens: Option<CountRange>,
    /// The time of day in UTC, as in `22:00-06:00`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hours: Option<String>,
    /// Members of the request's `metadata` that have these values.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
    /// Turns of the user so far.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub turns: Option<CountRange>,
    /// Results of tools in the conversation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool_results: Option<CountRange>,
    /// Results of tools that are errors, since the user's last turn.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub errors: Option<CountRange>,
    /// The request goes on after the result of a tool.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after_tool: Option<bool>,
    /// By how many tokens, estimated, the conversation has grown since its last request. Does not hold for the first one, nor
    /// with `sticky: off`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub growth: Option<CountRange>,
    /// The request offers tools.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tools: Option<bool>,
}

/// From `min` to `max`, both included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CountRange {
    /// At least.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min: Option<u64>,
    /// At most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max: Option<u64>,
}

/// A router of others. It sees the prompt.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExternalConfig {
    /// Whose protocol.
    pub kind: ExternalKind,
    /// Where it is. Left out for Not Diamond: its own address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_url: Option<String>,
    /// What it is asked with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_key: Option<SecretSource>,
    /// How long its answer may take.
    #[serde(default = "external_timeout")]
    pub timeout: Span,
    /// RouteLLM: the router and its threshold, as in `router-mf-0.116`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub router: Option<String>,
    /// Not Diamond: `cost` or `latency`. Left out: quality.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tradeoff: Option<Tradeoff>,
    /// Not Diamond: a router of one's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preference_id: Option<String>,
    /// Not Diamond: the prompt is hashed there and not kept.
    #[serde(default = "yes")]
    pub hash_content: bool,
}

/// Whose protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ExternalKind {
    /// Not Diamond's `modelSelect`.
    NotDiamond,
    /// A server of RouteLLM, which answers with one token of the model that it picks.
    #[serde(rename = "routellm")]
    RouteLlm,
}

/// What Not Diamond is to favour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Tradeoff {
    /// Cheaper models.
    Cost,
    /// Faster models.
    Latency,
}

impl RouteConfig {
    /// The names of the models it chooses from, in their order.
    pub fn models(&self) -> impl Iterator<Item = &str> {
        let pair = self.strong.iter().chain(&self.weak).map(String::as_str);
        pair.chain(self.candidates.iter().map(|candidate| candidate.model.as_str()))
    }

    /// Who answers without a usable score.
    pub fn default_model(&self) -> &str {
        self.default.as_deref().or_else(|| self.models().next()).unwrap_or_default()
    }
}

impl Default for RouteConfig {
    fn default() -> Self {
        Self {
            classifier: crate::routing::BUILTIN.to_owned(),
            strong: None,
            weak: None,
            threshold: None,
            share: None,
            share_of: ShareOf::default(),
            candidates: Vec::new(),
            target_quality: None,
            weights: None,
            max_cost: None,
            max_latency: None,
            default: None,
            respect_keys: false,
            sticky: Sticky::default(),
            sticky_for: Span::from_millis(300_000),
            rules: Vec::new(),
            external: None,
            recalibrate: true,
            repeat_score: None,
            shadow: None,
        }
    }
}

impl Default for CandidateConfig {
    fn default() -> Self {
        let (tools, vision, json) = (None, None, None);
        let (head, quality, context, external) = (None, None, None, None);
        Self { model: String::new(), head, quality, tools, vision, json, context, external }
    }
}

impl Default for RouteWeights {
    fn default() -> Self {
        Self { quality: 1.0, cost: 0.0, latency: 0.0 }
    }
}

impl CountRange {
    /// Does it have this number in it?
    pub fn contains(self, count: u64) -> bool {
        self.min.is_none_or(|min| count >= min) && self.max.is_none_or(|max| count <= max)
    }
}

fn external_timeout() -> Span {
    Span::from_millis(300)
}

fn yes() -> bool {
    true
}
