//! The metrics of the keys that live in the store.

use prometheus::{IntCounter, IntGauge};

use super::register::Register;

/// How well this process follows the keys of the store.
#[derive(Debug)]
pub struct KeyMetrics {
    /// Keys that it knows.
    pub stored: IntGauge,
    /// Times that the store could not be asked.
    pub failures: IntCounter,
}

impl KeyMetrics {
    pub(super) fn new(metrics: &Register<'_>) -> Self {
        Self {
            stored: metrics.single_gauge(
                "signalbox_stored_keys",
                "Virtual keys of the store, as this process knows them.",
            ),
            failures: metrics.add(IntCounter::new(
                "signalbox_key_refresh_failures_total",
                "Times that changes of keys, teams and users could not be read; the last known ones stay.",
            )),
        }
    }
}
