//! The metrics of the spend ledger.

use prometheus::{IntCounter, IntGauge};

use super::register::Register;

/// How far the ledger's log is from the store.
#[derive(Debug)]
pub struct LedgerMetrics {
    /// Steps of attempts that the store has taken.
    pub applied: IntCounter,
    /// Times that the store did not.
    pub failures: IntCounter,
    /// Lines of the log that failed their check: the last one of a process that was killed.
    pub damaged: IntCounter,
    /// Bytes of the log that the store has not taken.
    pub pending_bytes: IntGauge,
    /// Settlements that neither disk nor memory had room for.
    pub lost: IntGauge,
}

impl LedgerMetrics {
    pub(super) fn new(metrics: &Register<'_>) -> Self {
        let counter = |name, help| metrics.add(IntCounter::new(name, help));
        Self {
            applied: counter("signalbox_ledger_applied_total", "Steps of attempts that the store has taken."),
            failures: counter(
                "signalbox_ledger_apply_failures_total",
                "Times that the store did not take a batch; it is sent again.",
            ),
            damaged: counter(
                "signalbox_ledger_damaged_lines_total",
                "Lines of the log that failed their check.",
            ),
            pending_bytes: metrics.single_gauge(
                "signalbox_ledger_pending_bytes",
                "Bytes of the log that the store has not taken.",
            ),
            lost: metrics.single_gauge(
                "signalbox_ledger_lost_lines",
                "Settlements that neither disk nor memory had room for.",
            ),
        }
    }
}
