//! The metrics of limits on requests in flight, and of what they refuse.

use std::sync::atomic::{AtomicU64, Ordering};

use prometheus::{IntCounter, IntCounterVec, IntGauge, IntGaugeVec};

use super::register::Register;

/// Limits, queues and refusals.
#[derive(Debug)]
pub struct OverloadMetrics {
    shed: IntCounterVec,
    /// The sum of `shed`; it is not exposed.
    shed_total: AtomicU64,
    /// Attempts that were not made because the retry budget was empty.
    pub retry_budget_exhausted: IntCounter,
    /// Those of the process's door.
    pub gate: GateSeries,
    in_flight_limit: IntGaugeVec,
    queue_depth: IntGaugeVec,
}

/// The series of the process's door.
#[derive(Clone, Debug)]
pub struct GateSeries {
    /// The cap on requests in flight.
    pub in_flight: IntGauge,
    /// Requests a second that are admitted while the workers are late.
    pub admissions: IntGauge,
}

/// The series of one limit on requests in flight.
#[derive(Clone, Debug)]
pub struct LimitSeries {
    /// The limit in force.
    pub limit: IntGauge,
    /// Requests that wait for a place.
    pub queue_depth: IntGauge,
}

impl OverloadMetrics {
    pub(super) fn new(metrics: &Register<'_>) -> Self {
        let in_flight_limit = metrics.gauge(
            "signalbox_in_flight_limit",
            "The limit on requests in flight; without a model the process's.",
            &["model"],
        );
        let gate = GateSeries {
            in_flight: in_flight_limit.with_label_values(&[""]),
            admissions: metrics.add(IntGauge::new(
                "signalbox_admission_limit",
                "Requests a second that are admitted while the workers are late; 0 without a limit.",
            )),
        };
        Self {
            gate,
            shed_total: AtomicU64::new(0),
            shed: metrics.counter(
                "signalbox_shed_total",
                "Requests refused in overload, by reason.",
                &["reason"],
            ),
            retry_budget_exhausted: metrics.add(IntCounter::new(
                "signalbox_retry_budget_exhausted_total",
                "Retries and fallbacks that were not made because the budget was empty.",
            )),
            in_flight_limit,
            queue_depth: metrics.gauge(
                "signalbox_queue_depth",
                "Requests that wait for a place.",
                &["model"],
            ),
        }
    }

    /// The series of one model's limit on requests in flight.
    pub fn in_flight_limit(&self, model: &str) -> LimitSeries {
        LimitSeries {
            limit: self.in_flight_limit.with_label_values(&[model]),
            queue_depth: self.queue_depth.with_label_values(&[model]),
        }
    }

    /// Requests refused in overload so far.
    pub fn shed_total(&self) -> u64 {
        self.shed_total.load(Ordering::Relaxed)
    }

    /// A request was refused in overload.
    pub fn shed(&self, reason: &str) {
        self.shed.with_label_values(&[reason]).inc();
        self.shed_total.fetch_add(1, Ordering::Relaxed);
    }
}
