//! One request of a key whose prompts are kept, while it runs. However it ends, what was said goes to the queue.

use std::sync::Arc;

use super::queue::{ContentsLog, Waiting};
use super::{Part, Said};
use crate::keys::Principal;

/// What is said in a running request.
#[derive(Debug)]
pub struct Capture {
    log: Arc<ContentsLog>,
    principal: Arc<Principal>,
    request_id: String,
    at_ms: i64,
    said: Said,
    /// There was no room for it.
    is_lost: bool,
}

impl Capture {
    /// Of a request that has room for itself already.
    pub(super) fn new(
        log: Arc<ContentsLog>,
        principal: Arc<Principal>,
        request_id: String,
        at_ms: i64,
    ) -> Self {
        Self { log, principal, request_id, at_ms, said: Said::default(), is_lost: false }
    }

    /// Hears a piece of the request's body.
    pub fn prompt(&mut self, piece: &[u8]) {
        self.hear(piece, |said| &mut said.prompt);
    }

    /// Hears a piece of the answer.
    pub fn answer(&mut self, piece: &[u8]) {
        self.hear(piece, |said| &mut said.answer);
    }

    fn hear(&mut self, piece: &[u8], part: impl FnOnce(&mut Said) -> &mut Part) {
        if self.is_lost {
            return;
        }
        let part = part(&mut self.said);
        let room = self.log.largest().saturating_sub(part.bytes.len());
        let kept = piece.get(..room).unwrap_or(piece);
        part.is_cut |= kept.len() < piece.len();
        if kept.is_empty() {
            return;
        }
        if self.log.backlog.take(kept.len()) {
            part.bytes.extend_from_slice(kept);
        } else {
            self.log.backlog.give_back(self.said.len());
            self.said = Said::default();
            self.is_lost = true;
            self.log.lost();
        }
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        let said = std::mem::take(&mut self.said);
        if said.is_empty() {
            return self.log.backlog.give_back(ContentsLog::RECORD);
        }
        self.log.backlog.push(Waiting {
            request_id: std::mem::take(&mut self.request_id),
            at_ms: self.at_ms,
            principal: self.principal.clone(),
            said,
        });
    }
}
