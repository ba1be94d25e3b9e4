//! The metrics of what the answers of virtual models were worth, whoever said so.

use prometheus::{Gauge, GaugeVec, IntCounter, IntCounterVec};

use super::register::Register;
use crate::routing::{Routed, ShadowOutcome};

/// Who judged how many answers, and how wrong the predictions were.
#[derive(Debug)]
pub struct FeedbackMetrics {
    /// Answers that were judged, by virtual model and model chosen.
    judged: IntCounterVec,
    /// Judgements by a repeated request among them, by virtual model.
    repeats: IntCounterVec,
    /// Answers looked at a second time, by virtual model and what came of it.
    shadows: IntCounterVec,
    /// Judgements for which there was no room on their way to the store.
    pub unsaved: IntCounter,
    /// Failures of the store to take judgements.
    pub failures: IntCounter,
    /// By how much they were better than predicted, of late.
    surprise: GaugeVec,
}

impl FeedbackMetrics {
    pub(super) fn new(metrics: &Register<'_>) -> Self {
        Self {
            judged: metrics.counter(
                "signalbox_route_feedback_total",
                "Answers of virtual models that clients have judged.",
                &["model", "chosen"],
            ),
            repeats: metrics.counter(
                "signalbox_route_repeats_total",
                "Answers of virtual models whose request came again, which counts as a judgement.",
                &["model"],
            ),
            shadows: metrics.counter(
                "signalbox_route_shadow_total",
                "Answers of virtual models that were compared with a reference's, by what came of it; those agreed, differed and judged count as judgements.",
                &["model", "outcome"],
            ),
            unsaved: metrics.add(IntCounter::new(
                "signalbox_route_feedback_unsaved_total",
                "Judgements that a restart forgets: too many waited for the store.",
            )),
            failures: metrics.add(IntCounter::new(
                "signalbox_route_feedback_failures_total",
                "Times that the store did not take judgements of routed answers or erase old ones; it is tried again.",
            )),
            surprise: metrics.shares(
                "signalbox_route_feedback_surprise",
                "Mean of score less predicted quality over the last dozens of judged answers: far from 0 the prediction drifts.",
                &["model", "chosen"],
            ),
        }
    }

    /// An answer was judged by its request's coming again.
    pub fn repeated(&self, routed: &Routed, score: f64) {
        self.repeats.with_label_values(&[routed.route.as_str()]).inc();
        self.judged(routed, score);
    }

    /// An answer was looked at a second time.
    pub fn looked(&self, model: &str, outcome: ShadowOutcome) {
        self.shadows.with_label_values(&[model, outcome.as_str()]).inc();
    }

    /// An answer was judged.
    pub fn judged(&self, routed: &Routed, score: f64) {
        let labels = [routed.route.as_str(), routed.chosen.as_str()];
        self.judged.with_label_values(&labels).inc();
        approach(
            &self.surprise.with_label_values(&labels),
            0.0,
            score - f64::from(routed.quality),
            1.0 / 32.0,
        );
    }
}

/// Moves a mean towards a sample; it begins at `begin`.
pub(super) fn approach(mean: &Gauge, begin: f64, sample: f64, step: f64) {
    let known = if mean.get() == 0.0 { begin } else { mean.get() };
    mean.set(known + step * (sample - known));
}
