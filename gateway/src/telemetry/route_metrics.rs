//! The metrics of virtual models.

use std::sync::OnceLock;
use std::time::Duration;

use prometheus::{Gauge, GaugeVec, Histogram, HistogramVec, IntCounter, IntCounterVec, IntGaugeVec};

use super::feedback_metrics::approach;
use super::register::Register;
use crate::routing::{Decision, Reason, Stage1Outcome};

/// Seconds: a decision takes microseconds.
const SECONDS: [f64; 8] = [5e-6, 1e-5, 2e-5, 4e-5, 8e-5, 1.6e-4, 6.4e-4, 5e-3];

/// Seconds: a transformer takes milliseconds.
const STAGE1_SECONDS: [f64; 9] = [1e-3, 2e-3, 4e-3, 8e-3, 0.015, 0.02, 0.03, 0.1, 0.5];

/// Seconds: an answer comes over a network.
const EXTERNAL_SECONDS: [f64; 8] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 2.0];

/// What routes decide, and how fast.
#[derive(Debug)]
pub struct RouteMetrics {
    /// By virtual model, model chosen, and reason.
    pub decisions: IntCounterVec,
    /// By virtual model.
    pub seconds: HistogramVec,
    /// By classifier: 1 when it can be used.
    pub classifier_up: IntGaugeVec,
    /// By classifier: 1 when it runs through ONNX Runtime.
    pub onnx_up: IntGaugeVec,
    /// 1 when the transformer behind the classifiers can be used.
    pub stage1_up: IntGaugeVec,
    /// By virtual model and what came of it.
    stage1: IntCounterVec,
    stage1_seconds: HistogramVec,
    /// By virtual model and what came of it.
    external: IntCounterVec,
    external_seconds: HistogramVec,
    /// The mean quantile of prompts, of late: 0.5 for prompts like those of the calibration.
    quantile: GaugeVec,
}

impl RouteMetrics {
    pub(super) fn new(metrics: &Register<'_>) -> Self {
        Self {
            decisions: metrics.counter(
                "signalbox_route_decisions_total",
                "Decisions of virtual models, by what made them.",
                &["model", "chosen", "reason"],
            ),
            seconds: metrics.histogram(
                "signalbox_route_seconds",
                "Time to decide, with reading the prompt.",
                &SECONDS,
                &["model"],
            ),
            classifier_up: metrics.gauge(
                "signalbox_route_classifier_up",
                "1 when the classifier can be used; with 0 its routes send everything to their default model.",
                &["classifier"],
            ),
            onnx_up: metrics.gauge(
                "signalbox_route_onnx_up",
                "1 when the classifier runs through ONNX Runtime; with 0, though it is wanted, the built-in evaluator has taken over.",
                &["classifier"],
            ),
            stage1_up: metrics.gauge(
                "signalbox_route_stage1_up",
                "1 when the transformer of router.stage1 can be used; with 0 classifiers decide alone.",
                &[],
            ),
            stage1: metrics.counter(
                "signalbox_route_stage1_total",
                "Decisions by whether the transformer was asked and answered; with every outcome but `scored` the classifier's score stands.",
                &["model", "outcome"],
            ),
            stage1_seconds: metrics.histogram(
                "signalbox_route_stage1_seconds",
                "Time that requests waited for the transformer.",
                &STAGE1_SECONDS,
                &["model"],
            ),
            external: metrics.counter(
                "signalbox_route_external_total",
                "Questions to external routers; every outcome but `selected` leaves the decision to ours.",
                &["model", "outcome"],
            ),
            external_seconds: metrics.histogram(
                "signalbox_route_external_seconds",
                "Time that requests waited for an external router.",
                &EXTERNAL_SECONDS,
                &["model"],
            ),
            quantile: metrics.shares(
                "signalbox_route_score_quantile",
                "Mean quantile of the last hundreds of prompts: far from 0.5 they are unlike those of the calibration.",
                &["model"],
            ),
        }
    }

    /// A decision was made in this time; `series` is its route's.
    pub fn decided(&self, series: &OnceLock<RouteSeries>, model: &str, decision: &Decision, took: Duration) {
        let series = series.get_or_init(|| RouteSeries::of(self, model));
        let chosen = decision.verdict.order.first().copied().unwrap_or(usize::MAX);
        let name = [model, decision.model(), decision.verdict.reason.as_str()];
        series.decisions.count(&self.decisions, &name, chosen, decision.verdict.reason);
        series.seconds.observe(took.as_secs_f64());
        if let Some(score) = decision.evidence.score.filter(|score| score.is_usable()) {
            let mean = series.quantile.get_or_init(|| self.quantile.with_label_values(&[model]));
            approach(mean, 0.5, f64::from(score.quantile), 1.0 / 256.0);
        }
    }

    /// The transformer was asked, or would have been.
    pub fn second_opinion(&self, model: &str, outcome: Stage1Outcome, took: Duration) {
        self.stage1.with_label_values(&[model, outcome.as_str()]).inc();
        if outcome.was_asked() {
            self.stage1_seconds.with_label_values(&[model]).observe(took.as_secs_f64());
        }
    }

    /// An external router was asked, or would have been.
    pub fn external_answered(&self, model: &str, outcome: &str, took: Duration) {
        self.external.with_label_values(&[model, outcome]).inc();
        self.external_seconds.with_label_values(&[model]).observe(took.as_secs_f64());
    }
}

/// The series of one virtual model, which are looked up once.
#[derive(Debug)]
pub struct RouteSeries {
    decisions: Decisions,
    seconds: Histogram,
    /// None as long as nothing was scored.
    quantile: OnceLock<Gauge>,
}

/// Counters by the position of the chosen candidate and the reason.
#[derive(Debug)]
struct Decisions([[OnceLock<IntCounter>; Reason::COUNT]; COUNTED]);

/// Candidates behind these are looked up each time.
const COUNTED: usize = 16;

impl RouteSeries {
    fn of(metrics: &RouteMetrics, model: &str) -> Self {
        Self {
            decisions: Decisions(Default::default()),
            seconds: metrics.seconds.with_label_values(&[model]),
            quantile: OnceLock::new(),
        }
    }
}

impl Decisions {
    fn count(&self, all: &IntCounterVec, name: &[&str; 3], chosen: usize, reason: Reason) {
        match self.0.get(chosen).and_then(|reasons| reasons.get(reason as usize)) {
            Some(known) => known.get_or_init(|| all.with_label_values(name)).inc(),
            None => all.with_label_values(name).inc(),
        }
    }
}
