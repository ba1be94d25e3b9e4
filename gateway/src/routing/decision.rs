//! Strong or weak? Constraints first, then the score against the cut. Without a usable score the strong model answers:
//! what was broken must not cost quality.

use std::fmt;

use domain::ModelName;
use serde::{Serialize, Serializer};

/// One of a route's two models.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The better and dearer one.
    Strong,
    /// The other.
    Weak,
}

/// What the classifier says of a prompt.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Score {
    /// The probability that the strong model does better.
    pub win: f32,
    /// The share of calibration prompts that score lower.
    pub quantile: f32,
}

/// From where on the strong model answers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Cut {
    /// From this win rate on, as with RouteLLM.
    Threshold(f64),
    /// For this share of prompts like those that the classifier was calibrated on.
    Share(f64),
}

/// Which of the two could take the request now.
#[derive(Clone, Copy, Debug)]
pub struct Fits {
    /// The strong one.
    pub strong: bool,
    /// The weak one.
    pub weak: bool,
}

/// What a decision was made by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The score and the cut.
    Classifier,
    /// Only one of the two could take the request.
    Constraint,
    /// The request has no text of a user.
    NoText,
    /// The classifier's file cannot be used.
    NoClassifier,
    /// The classifier gave no probability.
    BadScore,
}

impl Reason {
    /// As metrics, headers and logs name it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Classifier => "classifier",
            Self::Constraint => "constraint",
            Self::NoText => "no_text",
            Self::NoClassifier => "no_classifier",
            Self::BadScore => "bad_score",
        }
    }
}

/// What was decided, for the answer's header and the log. Its text is the header, and what the log has.
#[derive(Clone, Debug)]
pub struct Decision {
    /// The model that comes first.
    pub chosen: ModelName,
    /// Why.
    pub reason: Reason,
    /// What the classifier said, if it was asked and answered.
    pub score: Option<Score>,
    /// What that was compared with.
    pub cut: Cut,
}

impl fmt::Display for Decision {
    fn fmt(&self, text: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(text, "{}; reason={}", self.chosen.as_str(), self.reason.as_str())?;
        if let Some(score) = self.score {
            write!(text, "; win={:.4}; quantile={:.4}", score.win, score.quantile)?;
        }
        match self.cut {
            Cut::Threshold(threshold) => write!(text, "; threshold={threshold}"),
            Cut::Share(share) => write!(text, "; share={share}"),
        }
    }
}

impl Serialize for Decision {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Which side, and why.
pub fn decide(score: Result<Score, Reason>, cut: Cut, fits: Fits) -> (Side, Reason) {
    match (fits.strong, fits.weak) {
        (true, false) => return (Side::Strong, Reason::Constraint),
        (false, true) => return (Side::Weak, Reason::Constraint),
        // When neither can, attempts tell the client why.
        _ => {}
    }
    let score = match score {
        Ok(score) if score.win.is_finite() && score.quantile.is_finite() => score,
        Ok(_) => return (Side::Strong, Reason::BadScore),
        Err(reason) => return (Side::Strong, reason),
    };
    let is_hard = match cut {
        Cut::Threshold(threshold) => f64::from(score.win) >= threshold,
        Cut::Share(share) => share > 0.0 && f64::from(score.quantile) >= 1.0 - share,
    };
    (if is_hard { Side::Strong } else { Side::Weak }, Reason::Classifier)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOTH: Fits = Fits { strong: true, weak: true };

    fn score(win: f32, quantile: f32) -> Result<Score, Reason> {
        Ok(Score { win, quantile })
    }

    #[test]
    fn a_score_at_the_cut_goes_to_the_strong_model_and_one_below_does_not() {
        let cut = Cut::Threshold(0.5);
        assert_eq!(decide(score(0.5, 0.0), cut, BOTH), (Side::Strong, Reason::Classifier));
        assert_eq!(decide(score(0.499, 1.0), cut, BOTH), (Side::Weak, Reason::Classifier));
        let cut = Cut::Share(0.25);
        assert_eq!(decide(score(0.0, 0.75), cut, BOTH), (Side::Strong, Reason::Classifier));
        assert_eq!(decide(score(1.0, 0.74), cut, BOTH), (Side::Weak, Reason::Classifier));
        assert_eq!(decide(score(1.0, 1.0), Cut::Share(0.0), BOTH).0, Side::Weak);
    }

    #[test]
    fn a_model_that_cannot_take_the_request_is_not_chosen_whatever_the_score() {
        let cut = Cut::Threshold(0.5);
        let only_weak = Fits { strong: false, weak: true };
        assert_eq!(decide(score(0.9, 0.9), cut, only_weak), (Side::Weak, Reason::Constraint));
        let only_strong = Fits { strong: true, weak: false };
        assert_eq!(decide(score(0.1, 0.1), cut, only_strong), (Side::Strong, Reason::Constraint));
        let neither = Fits { strong: false, weak: false };
        assert_eq!(decide(score(0.1, 0.1), cut, neither), (Side::Weak, Reason::Classifier));
    }

    #[test]
    fn without_a_usable_score_the_strong_model_answers() {
        let cut = Cut::Threshold(1.0);
        assert_eq!(decide(score(f32::NAN, 0.1), cut, BOTH), (Side::Strong, Reason::BadScore));
        assert_eq!(decide(Err(Reason::NoClassifier), cut, BOTH), (Side::Strong, Reason::NoClassifier));
        assert_eq!(decide(Err(Reason::NoText), cut, BOTH), (Side::Strong, Reason::NoText));
    }

    #[test]
    fn a_decision_reads_as_a_header() {
        let score = Some(Score { win: 0.625, quantile: 0.5 });
        let (chosen, cut) = (ModelName::from("large"), Cut::Threshold(0.6));
        let decision = Decision { chosen, reason: Reason::Classifier, score, cut };
        let text = "large; reason=classifier; win=0.6250; quantile=0.5000; threshold=0.6";
        assert_eq!(decision.to_string(), text);
    }
}
