//! The request log's way to the store: what is known of ended requests waits in a bounded queue and becomes blocks on the
//! store's thread. A request never waits for it, and never fails with it. No prompt and no answer comes here.

mod ended;
mod writer;

pub use ended::Ended;
pub use writer::Writer;

use crate::backlog::Backlog;
use crate::config::RequestLogConfig;
use crate::telemetry::Metrics;

/// The near end.
#[derive(Debug)]
pub struct RequestLog {
    backlog: Backlog<Ended>,
    metrics: &'static Metrics,
}

impl RequestLog {
    /// As the configuration asks for it; without a store nothing is logged.
    pub fn new(config: &RequestLogConfig, has_store: bool, metrics: &'static Metrics) -> Self {
        let memory = if has_store && config.enabled { config.memory.0 } else { 0 };
        Self { backlog: Backlog::new(usize::try_from(memory).unwrap_or(usize::MAX)), metrics }
    }

    /// Is nothing logged?
    pub fn is_off(&self) -> bool {
        self.backlog.is_off()
    }

    /// Appends a request; one for which there is no room is counted, and not logged.
    pub fn append(&self, ended: Ended) {
        if self.backlog.take(ended.held()) {
            self.backlog.push(ended);
        } else {
            self.metrics.request_log.dropped.inc();
        }
    }

    /// Waits until the store has what was appended, two seconds at most.
    pub async fn drain(&self) {
        self.backlog.drain().await;
    }
}
