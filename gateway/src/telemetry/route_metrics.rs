//! The metrics of virtual models.

use prometheus::{HistogramVec, IntCounterVec, IntGaugeVec};

use super::register::Register;

/// Seconds: a decision takes microseconds.
const SECONDS: [f64; 8] = [5e-6, 1e-5, 2e-5, 4e-5, 8e-5, 1.6e-4, 6.4e-4, 5e-3];

/// What routes decide, and how fast.
#[derive(Debug)]
pub struct RouteMetrics {
    /// By virtual model, model chosen, and reason.
    pub decisions: IntCounterVec,
    /// By virtual model.
    pub seconds: HistogramVec,
    /// By classifier: 1 when it can be used.
    pub classifier_up: IntGaugeVec,
}

impl RouteMetrics {
    pub(super) fn new(metrics: &Register<'_>) -> Self {
        Self {
            decisions: metrics.counter(
                "signalbox_route_decisions_total",
                "Decisions of virtual models; every reason but `classifier` is one without a score.",
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
                "1 when the classifier can be used; with 0 its routes send everything to their strong model.",
                &["classifier"],
            ),
        }
    }
}
