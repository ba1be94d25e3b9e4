//! What was decided for a request, with all that it was decided by: for the answer's header, the log, and whoever replays it.

use std::sync::{Arc, OnceLock};

use domain::ModelName;
use serde::{Deserialize, Serialize};

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
    /// How many there are.
    pub const COUNT: usize = Self::Late as usize + 1;

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
    /// Its text, which both the header and the log have.
    #[serde(skip)]
    text: OnceLock<String>,
}

/// How long such a text is, about.
const TEXT_BYTES: usize = 128;

impl Decision {
    /// Decides.
    pub fn of(evidence: Evidence, classifier: Arc<str>) -> Self {
        let verdict = decide(&evidence);
        Self { classifier, evidence, verdict, text: OnceLock::new() }
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

    /// As the header says it.
    pub fn text(&self) -> &str {
        self.text.get_or_init(|| {
            let mut text = String::with_capacity(TEXT_BYTES);
            self.describe(&mut text);
            push_objective(&mut text, self.evidence.objective);
            text
        })
    }

    /// Without `write!`, which takes three times as long: every routed request has this in its answer's header.
    fn describe(&self, text: &mut String) {
        let evidence = &self.evidence;
        text.push_str(self.model());
        push(text, "; reason=", self.verdict.reason.as_str());
        if let Some(rule) = evidence.rule.as_ref().filter(|_| self.verdict.reason == Reason::Rule) {
            push(text, "; rule=", &rule.name);
        }
        match evidence.objective {
            Objective::Threshold(_) | Objective::Share(_) => {
                if let Some(score) = evidence.score {
                    push_fraction(text, "; win=", score.win);
                    push_fraction(text, "; quantile=", score.quantile);
                }
            }
            _ => {
                let chosen = self.chosen();
                if let Some(quality) = chosen.and_then(|chosen| chosen.quality) {
                    push_fraction(text, "; quality=", quality);
                }
                if let Some(nanos) = chosen.and_then(|chosen| chosen.cost_nanos) {
                    let dollars = format!("{}.{:09}", nanos / 1_000_000_000, nanos % 1_000_000_000);
                    push(text, "; cost_usd=", &dollars);
                }
            }
        }
        if let Some(stage1) = evidence.stage1 {
            push(text, "; stage1=", stage1.outcome.as_str());
            if let Some(win) = stage1.win {
                push_fraction(text, "; stage1_win=", win);
            }
        }
    }
}

fn push(text: &mut String, name: &str, value: &str) {
    text.push_str(name);
    text.push_str(value);
}

/// With four places.
fn push_fraction(text: &mut String, name: &str, number: f32) {
    if !(0.0..=1.0).contains(&number) {
        push(text, name, &format!("{number:.4}"));
        return;
    }
    push_places(text, name, (number * 1e4).round());
}

/// With as many places as it has; those of a configuration have four at most.
fn push_number(text: &mut String, name: &str, number: f64) {
    let places = (number * 1e4).round();
    if !(0.0..10.0).contains(&number) || places / 1e4 != number {
        push(text, name, &number.to_string());
        return;
    }
    #[expect(clippy::cast_possible_truncation, reason = "whole, and below 100,000")]
    push_places(text, name, places as f32);
    let length = text.trim_end_matches('0').trim_end_matches('.').len();
    text.truncate(length);
}

/// A number below 10 by its four places: so many ten-thousandths.
fn push_places(text: &mut String, name: &str, places: f32) {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 99,999")]
    let places = places as u32;
    text.push_str(name);
    let digit = |unit: u32| char::from_digit(places / unit % 10, 10).unwrap_or('0');
    text.extend([digit(10_000), '.', digit(1_000), digit(100), digit(10), digit(1)]);
}

/// What was wanted.
fn push_objective(text: &mut String, objective: Objective) {
    match objective {
        Objective::Threshold(threshold) => push_number(text, "; threshold=", threshold),
        Objective::Share(share) => push_number(text, "; share=", share),
        Objective::TargetQuality(target) => push_number(text, "; target_quality=", target),
        Objective::BestQuality => {}
        Objective::Weights { quality, cost, latency } => {
            push_number(text, "; weights=", quality);
            push_number(text, "/", cost);
            push_number(text, "/", latency);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fraction_has_four_places_whatever_it_is() {
        let text = |number: f32| {
            let mut text = String::new();
            push_fraction(&mut text, "", number);
            text
        };
        assert_eq!(
            [0.0, 1.0, 0.5, 0.000_06, 0.999_96].map(text),
            ["0.0000", "1.0000", "0.5000", "0.0001", "1.0000"]
        );
        assert_eq!([f32::NAN, -0.5, 1.25].map(text), ["NaN", "-0.5000", "1.2500"]);
    }

    #[test]
    fn a_number_is_written_as_it_is_displayed() {
        for number in
            [0.0, 1.0, 0.5, 0.116, 0.1161, 12.5, 9_999.999_9, 0.000_1, 0.000_01, 1e9, -0.5, f64::NAN]
        {
            let mut text = String::new();
            push_number(&mut text, "", number);
            assert_eq!(text, number.to_string());
        }
    }
}
