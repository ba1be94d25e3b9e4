//! The metrics of the request log.

use prometheus::IntCounter;

use super::register::Register;

/// What becomes of the records of requests.
#[derive(Debug)]
pub struct RequestLogMetrics {
    /// Records that found the queue full.
    pub dropped: IntCounter,
    /// Times that the store did not take records, or did not erase old ones.
    pub failures: IntCounter,
}

impl RequestLogMetrics {
    pub(super) fn new(metrics: &Register<'_>) -> Self {
        let counter = |name, help| metrics.add(IntCounter::new(name, help));
        Self {
            dropped: counter(
                "signalbox_request_log_dropped_total",
                "Requests that are not in the request log because its queue was full.",
            ),
            failures: counter(
                "signalbox_request_log_failures_total",
                "Times that the store did not take a batch of the request log or erase old requests; it is tried again.",
            ),
        }
    }
}
