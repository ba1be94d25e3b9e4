//! What a decision is made of: numbers and names, nothing of the prompt. It is logged whole, and read back to the same bits.

use std::sync::Arc;

use domain::ModelName;
use serde::{Deserialize, Serialize};

use super::prompt::Steps;

/// What the classifier says of a prompt.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// The probability that the strong model does better.
    #[serde(deserialize_with = "exact::required")]
    pub win: f32,
    /// The share of calibration prompts that score lower.
    #[serde(deserialize_with = "exact::required")]
    pub quantile: f32,
}

/// What is wanted of the model that answers.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Objective {
    /// The first candidate from this win rate on, as with RouteLLM; else the second.
    Threshold(#[serde(deserialize_with = "exact::required")] f64),
    /// The first candidate for this share of prompts like those that the classifier was calibrated on.
    Share(#[serde(deserialize_with = "exact::required")] f64),
    /// The cheapest that is at least this good.
    TargetQuality(#[serde(deserialize_with = "exact::required")] f64),
    /// The best.
    BestQuality,
    /// Quality, cost and latency against each other.
    Weights {
        /// Of the quality.
        #[serde(deserialize_with = "exact::required")]
        quality: f64,
        /// Of the cost, as a share of the dearest candidate's.
        #[serde(deserialize_with = "exact::required")]
        cost: f64,
        /// Of the latency, as a share of the slowest candidate's.
        #[serde(deserialize_with = "exact::required")]
        latency: f64,
    },
}

/// Why a candidate cannot take a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Exclusion {
    /// The key may not ask for it.
    Key,
    /// All its deployments are drained, in cooldown or without a credential, or none supports the operation.
    Unavailable,
    /// The prompt is longer than its context.
    Context,
    /// It cannot call tools.
    Tools,
    /// It cannot see pictures.
    Vision,
    /// It cannot answer in the form that is wanted.
    Json,
    /// It would cost more than `max_cost`, or nobody knows what.
    Cost,
    /// It takes longer than `max_latency`.
    Latency,
}

/// What is known of one candidate for one request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Prospect {
    /// Which.
    pub model: ModelName,
    /// Why it cannot answer; None when it can.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub excluded: Option<Exclusion>,
    /// Which of the route's limits it is beyond; it is asked only when all are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub beyond: Option<Exclusion>,
    /// The probability that it answers well.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "exact::optional")]
    pub quality: Option<f32>,
    /// The same before feedback corrected it.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "exact::optional")]
    pub raw_quality: Option<f32>,
    /// The same by the transformer alone, where it was asked and knows the head; it is in both already.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "exact::optional")]
    pub stage1_quality: Option<f32>,
    /// What the answer would cost, in billionths of a dollar.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost_nanos: Option<u64>,
    /// How long its first token takes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency_us: Option<u64>,
}

/// The model that has answered the conversation before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// Which candidate.
    pub candidate: usize,
    /// It stays while it can.
    pub hold: bool,
}

/// A rule whose conditions hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleHit {
    /// Its name.
    #[serde(with = "shared")]
    pub name: Arc<str>,
    /// The candidate that it names.
    pub candidate: usize,
}

/// Why the classifier has no score for a prompt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unscored {
    /// The request has no text of a user.
    NoText,
    /// The classifier cannot be used.
    NoClassifier,
    /// The classifier gave no probability.
    BadScore,
    /// The classifier was late, or too much waited for it.
    Late,
    /// No candidate's quality depends on the prompt.
    NotAsked,
}

/// All that decides.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// In the order of the configuration; of a pair the strong one is the first.
    pub candidates: Vec<Prospect>,
    /// What is wanted.
    pub objective: Objective,
    /// What it may cost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_cost_nanos: Option<u64>,
    /// How long the first token may take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_latency_us: Option<u64>,
    /// Who answers without a score.
    pub default: usize,
    /// The classifier's score.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub score: Option<Score>,
    /// Or why there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unscored: Option<Unscored>,
    /// The rule that holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<RuleHit>,
    /// Who an external router picked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external: Option<usize>,
    /// Who answered before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kept: Option<Kept>,
    /// The request in tokens, estimated.
    pub tokens: u64,
    /// What an agent has done so far, where a rule or a candidate asks for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steps: Option<Steps>,
    /// What the transformer behind the classifier had to do with it; its opinion is in the qualities and the score already.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stage1: Option<SecondOpinion>,
}

/// Whether a second opinion was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct SecondOpinion {
    /// What came of it.
    pub outcome: Stage1Outcome,
    /// By how much the decision was clear before.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "exact::optional")]
    pub margin: Option<f32>,
    /// The pair's win rate by the transformer alone, where it knows the pair.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "exact::optional")]
    pub win: Option<f32>,
}

/// What came of the question for a second opinion.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Stage1Outcome {
    /// It was given, and counts.
    Scored,
    /// Something else than the score decides, or there is none.
    Settled,
    /// The classifier is sure enough.
    Sure,
    /// The prompt is longer than `max_tokens`.
    Long,
    /// The route's `max_latency` leaves no time for it.
    NoTime,
    /// It was not there by the deadline.
    Late,
    /// Too many prompts waited.
    Busy,
    /// The transformer gave no probabilities.
    Failed,
    /// The transformer cannot be used.
    Down,
}

impl Stage1Outcome {
    /// A request waited for it.
    pub fn was_asked(self) -> bool {
        matches!(self, Self::Scored | Self::Late | Self::Failed)
    }

    /// As metrics, headers and logs name it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Scored => "scored",
            Self::Settled => "settled",
            Self::Sure => "sure",
            Self::Long => "long",
            Self::NoTime => "no_time",
            Self::Late => "late",
            Self::Busy => "busy",
            Self::Failed => "failed",
            Self::Down => "down",
        }
    }
}

impl Score {
    /// Both are numbers.
    pub fn is_usable(self) -> bool {
        self.win.is_finite() && self.quantile.is_finite()
    }
}

/// A text that is shared and read back as one of its own.
pub(super) mod shared {
    use std::sync::Arc;

    use serde::{Deserialize, Deserializer, Serializer};

    pub(in crate::routing) fn serialize<S: Serializer>(
        text: &Arc<str>,
        writer: S,
    ) -> Result<S::Ok, S::Error> {
        writer.serialize_str(text)
    }

    pub(in crate::routing) fn deserialize<'de, D: Deserializer<'de>>(
        reader: D,
    ) -> Result<Arc<str>, D::Error> {
        String::deserialize(reader).map(Arc::from)
    }
}

/// Numbers as they were written: `serde_json` may read one a last bit beside it.
mod exact {
    use std::str::FromStr;

    use serde::de::Error;
    use serde::{Deserialize, Deserializer};
    use serde_json::value::RawValue;

    pub(super) fn required<'de, D: Deserializer<'de>, T: FromStr>(reader: D) -> Result<T, D::Error> {
        let text = <Box<RawValue>>::deserialize(reader)?;
        text.get().parse().map_err(|_| D::Error::custom("no number"))
    }

    pub(super) fn optional<'de, D: Deserializer<'de>, T: FromStr>(reader: D) -> Result<Option<T>, D::Error> {
        let text = <Option<Box<RawValue>>>::deserialize(reader)?;
        let number = |text: Box<RawValue>| text.get().parse().map_err(|_| D::Error::custom("no number"));
        text.filter(|text| text.get() != "null").map(number).transpose()
    }
}
