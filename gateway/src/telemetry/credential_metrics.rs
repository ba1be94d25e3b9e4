//! The metrics of the credentials that live in the store.

use prometheus::{IntCounter, IntGauge};

use super::register::Register;

/// How well this process follows the credentials of the store.
#[derive(Debug)]
pub struct CredentialMetrics {
    /// Credentials that it knows.
    pub stored: IntGauge,
    /// Credentials that it cannot decrypt.
    pub unreadable: IntGauge,
    /// Times that the store could not be asked.
    pub failures: IntCounter,
}

impl CredentialMetrics {
    pub(super) fn new(metrics: &Register<'_>) -> Self {
        Self {
            stored: metrics.single_gauge(
                "signalbox_stored_credentials",
                "Credentials of the store, as this process knows them.",
            ),
            unreadable: metrics.single_gauge(
                "signalbox_unreadable_credentials",
                "Credentials of the store that this process has no key for; they stay as they were last known.",
            ),
            failures: metrics.add(IntCounter::new(
                "signalbox_credential_refresh_failures_total",
                "Times that changes of credentials could not be read; the last known ones stay.",
            )),
        }
    }
}
