//! What waits for the store, and how much memory that and the running requests take together.

use std::sync::Arc;
use std::time::Instant;

use super::{Capture, Said};
use crate::backlog::Backlog;
use crate::config::ContentsConfig;
use crate::keys::Principal;
use crate::ledger::ago_ms;
use crate::telemetry::Metrics;

/// The near end.
#[derive(Debug)]
pub struct ContentsLog {
    /// Running requests hold room in it too.
    pub(super) backlog: Backlog<Waiting>,
    largest: usize,
    pub(super) metrics: &'static Metrics,
}

/// What was said in a request that has ended.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) request_id: String,
    pub(super) at_ms: i64,
    pub(super) principal: Arc<Principal>,
    pub(super) said: Said,
}

impl ContentsLog {
    /// What a request takes besides what is said in it, about.
    pub(super) const RECORD: usize = 512;

    /// As the configuration asks for it. What cannot be stored sealed is not kept.
    pub fn new(config: &ContentsConfig, can_seal: bool, metrics: &'static Metrics) -> Self {
        let bytes = |size: u64| usize::try_from(size).unwrap_or(usize::MAX);
        let memory = if can_seal { bytes(config.memory.0) } else { 0 };
        let largest = bytes(config.largest.0);
        Self { backlog: Backlog::new(memory), largest, metrics }
    }

    /// Begins to listen to a request; None, and counted, when there is no room for it. `started` is when it arrived.
    pub fn begin(
        self: &Arc<Self>,
        principal: &Arc<Principal>,
        request_id: &str,
        started: Instant,
    ) -> Option<Box<Capture>> {
        if !self.backlog.take(Self::RECORD) {
            self.lost();
            return None;
        }
        let at_ms = ago_ms(started.elapsed());
        Some(Box::new(Capture::new(self.clone(), principal.clone(), request_id.to_owned(), at_ms)))
    }

    /// Waits until the store has what was said, two seconds at most.
    pub async fn drain(&self) {
        self.backlog.drain().await;
    }

    /// Bytes of a prompt, and of an answer.
    pub(super) fn largest(&self) -> usize {
        self.largest
    }

    /// Something of a key that keeps its prompts is not kept.
    pub(super) fn lost(&self) {
        self.metrics.request_log.contents_dropped.inc();
    }
}

impl Waiting {
    /// The room it has taken.
    pub(super) fn held(&self) -> usize {
        ContentsLog::RECORD + self.said.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Size;
    use crate::contents::anonymous;

    fn log(memory: u64) -> Arc<ContentsLog> {
        let config = ContentsConfig { memory: Size(memory), largest: Size(100), ..ContentsConfig::default() };
        Arc::new(ContentsLog::new(&config, true, Metrics::global()))
    }

    #[test]
    fn a_long_body_is_cut_and_says_so() {
        let log = log(1 << 20);
        let mut capture = log.begin(&anonymous(), "r1", Instant::now()).unwrap();
        capture.prompt(&[b'a'; 60]);
        capture.prompt(&[b'b'; 60]);
        capture.answer(&[b'c'; 100]);
        drop(capture);
        let said = &log.backlog.take_all()[0].said;
        assert_eq!((said.prompt.bytes.len(), said.prompt.is_cut), (100, true));
        assert_eq!((said.answer.bytes.len(), said.answer.is_cut), (100, false));
    }

    #[test]
    fn running_and_waiting_requests_together_take_no_more_than_the_memory() {
        let log = log(1_200);
        let mut first = log.begin(&anonymous(), "r1", Instant::now()).unwrap();
        let mut second = log.begin(&anonymous(), "r2", Instant::now()).unwrap();
        first.prompt(&[b'a'; 100]);
        assert!(log.begin(&anonymous(), "r3", Instant::now()).is_none());
        second.prompt(&[b'b'; 76]);
        second.answer(b"c");
        drop((first, second));
        let waiting = log.backlog.take_all();
        assert_eq!(waiting.iter().map(|it| it.request_id.as_str()).collect::<Vec<_>>(), ["r1"]);
        assert_eq!(log.backlog.held(), waiting[0].held());
        // A request of which nothing was heard leaves nothing.
        drop(log.begin(&anonymous(), "r4", Instant::now()).unwrap());
        assert!(log.backlog.take_all().is_empty());
        assert_eq!(log.backlog.held(), waiting[0].held());
    }

    #[test]
    fn nothing_is_kept_that_cannot_be_sealed() {
        let log = Arc::new(ContentsLog::new(&ContentsConfig::default(), false, Metrics::global()));
        assert!(log.begin(&anonymous(), "r1", Instant::now()).is_none());
    }
}
