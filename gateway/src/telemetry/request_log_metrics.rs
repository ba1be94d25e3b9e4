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
    /// Requests of which prompt and answer are not kept, though their key wants that.
    pub contents_dropped: IntCounter,
    /// Times that the store did not take those of others, or did not erase old ones.
    pub contents_failures: IntCounter,
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
            contents_dropped: counter(
                "signalbox_contents_dropped_total",
                "Requests whose prompt and answer are not stored, though their key has `store_prompts`: there was no memory or no encryption key for it.",
            ),
            contents_failures: counter(
                "signalbox_contents_failures_total",
                "Times that the store did not take prompts and answers or erase old ones; it is tried again.",
            ),
        }
    }
}
