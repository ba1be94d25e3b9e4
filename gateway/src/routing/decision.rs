//! What was decided for a request, with all that it was decided by: for the answer's header, the log, and whoever replays it.

use std::fmt;
use std::sync::Arc;

use domain::ModelName;
use serde::{Deserialize, Serialize, Serializer};

use super::evidence::{Evidence, Objective, Prospect};
use super::policy::decide;

/// What a decision was made by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The classifier's scores and the objective.
    Classifier,
    /// The objective, without a classifier.
    Policy,
    /// Only one of the candidates could take the request.
    Constraint,
    /// A rule.
    Rule,
    /// The conversation stays with its model.
    Sticky,
    /// An external router.
    External,
    /// The request has no text of a user.
    NoText,
    /// The classifier's file cannot be used.
    NoClassifier,
    /// The classifier gave no probability.
    BadScore,
    /// The classifier was late.
    Late,
}

impl Reason {
    /// As metrics, headers and logs name it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Classifier => "classifier",
            Self::Policy => "policy",
            Self::Constraint => "constraint",
            Self::Rule => "rule",
            Self::Sticky => "sticky",
            Self::External => "external",
            Self::NoText => "no_text",
            Self::NoClassifier => "no_classifier",
            Self::BadScore => "bad_score",
            Self::Late => "late",
        }
    }
}

/// Which candidates, in which order, and why the first one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// Positions; those that may not be asked at all are left out.
    pub order: Vec<usize>,
    /// Why.
    pub reason: Reason,
}

/// What was decided for a request. Its text is the answer's header; as JSON it can be replayed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    /// Which classifier scored; empty without one.
    #[serde(with = "super::evidence::shared")]
    pub classifier: Arc<str>,
    /// Of what.
    pub evidence: Evidence,
    /// What.
    pub verdict: Verdict,
}

impl Decision {
    /// Decides.
    pub fn of(evidence: Evidence, classifier: Arc<str>) -> Self {
        let verdict = decide(&evidence);
        Self { classifier, evidence, verdict }
    }

    /// The candidate that comes first.
    pub fn chosen(&self) -> Option<&Prospect> {
        self.evidence.candidates.get(*self.verdict.order.first()?)
    }

    /// Its name; empty when nobody may be asked.
    pub fn model(&self) -> &str {
        self.chosen().map_or("", |chosen| chosen.model.as_str())
    }

    /// The names of those to ask, in their order.
    pub fn models(&self) -> impl Iterator<Item = &ModelName> {
        let prospects = self.verdict.order.iter().filter_map(|at| self.evidence.candidates.get(*at));
        prospects.map(|prospect| &prospect.model)
    }

    /// Writes the text of the header in place of the JSON.
    ///
    /// # Errors
    /// The serialiser's.
    pub fn as_header<S: Serializer>(decision: &Option<&Self>, serializer: S) -> Result<S::Ok, S::Error> {
        match decision {
            Some(decision) => serializer.collect_str(decision),
            None => serializer.serialize_none(),
        }
    }
}

impl fmt::Display for Decision {
    fn fmt(&self, text: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(text, "{}; reason={}", self.model(), self.verdict.reason.as_str())?;
        let evidence = &self.evidence;
        if let Some(rule) = evidence.rule.as_ref().filter(|_| self.verdict.reason == Reason::Rule) {
            write!(text, "; rule={}", rule.name)?;
        }
        match evidence.objective {
            Objective::Threshold(_) | Objective::Share(_) => {
                if let Some(score) = evidence.score {
                    write!(text, "; win={:.4}; quantile={:.4}", score.win, score.quantile)?;
                }
            }
            _ => {
                let chosen = self.chosen();
                if let Some(quality) = chosen.and_then(|chosen| chosen.quality) {
                    write!(text, "; quality={quality:.4}")?;
                }
                if let Some(nanos) = chosen.and_then(|chosen| chosen.cost_nanos) {
                    write!(text, "; cost_usd={:.9}", nanos as f64 / 1e9)?;
                }
            }
        }
        if let Some(stage1) = evidence.stage1 {
            write!(text, "; stage1={}", stage1.outcome.as_str())?;
            if let Some(win) = stage1.win {
                write!(text, "; stage1_win={win:.4}")?;
            }
        }
        match evidence.objective {
            Objective::Threshold(threshold) => write!(text, "; threshold={threshold}"),
            Objective::Share(share) => write!(text, "; share={share}"),
            Objective::TargetQuality(target) => write!(text, "; target_quality={target}"),
            Objective::BestQuality => Ok(()),
            Objective::Weights { quality, cost, latency } => {
                write!(text, "; weights={quality}/{cost}/{latency}")
            }
        }
    }
}
