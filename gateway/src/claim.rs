//! What an attempt takes before it is sent: of its deployment's own limits, of its provider's quota, and of the budgets.
//! Owns what becomes of that when no answer comes of the attempt.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use domain::{FailureKind, Usage};
use store::Counted;

use crate::ledger::{End, Refused, Reservation};
use crate::request::{Record, Request};
use crate::snapshot::Model;
use crate::upstream::{Deployment, Taken};

/// What one attempt has taken. Dropped, its call has been broken off.
#[derive(Debug)]
pub struct Claim {
    /// Of the deployment's own limits.
    taken: Option<Taken>,
    /// Of the budgets.
    reservation: Option<Reservation>,
    sent: Sent,
    prompt: u64,
}

/// Whether a provider has the request and has not refused it. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Sent(Arc<AtomicBool>);

impl Sent {
    /// The provider has it now.
    pub fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// The provider has refused it, and bills nothing.
    pub fn refused(&self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

impl Claim {
    /// Counts one attempt against all of them, or against none. None: the deployment's own limits are used up.
    ///
    /// # Errors
    /// When a budget is spent, or the ledger cannot be written.
    pub fn of(
        request: &Request,
        model: &Model,
        deployment: &Arc<Deployment>,
        record: &Record,
    ) -> Result<Option<Self>, Refused> {
        let (prompt, completion) = (request.prompt_tokens(), request.completion_tokens());
        let tokens = prompt.saturating_add(completion);
        let Ok(taken) = deployment.state.take(deployment.limit, tokens, Instant::now()) else {
            return Ok(None);
        };
        let mut claim = Self { taken, reservation: None, sent: Sent::default(), prompt };
        match record.reserve(request, model, deployment) {
            Ok(reservation) => claim.reservation = reservation,
            // Dropped before it is sent, the claim gives back what it has taken.
            Err(refused) => return Err(refused),
        }
        deployment.state.quota.spend(deployment.quota_tokens(prompt, completion));
        Ok(Some(claim))
    }

    /// For the attempt to say when it is sent.
    pub fn sent(&self) -> Sent {
        self.sent.clone()
    }

    /// An answer has begun: the request answers for both from here on.
    pub fn answered(mut self) -> (Option<Taken>, Option<Reservation>) {
        (self.taken.take(), self.reservation.take())
    }

    /// No answer came of it. A provider that was left waiting may bill the prompt.
    pub fn failed(mut self, kind: FailureKind) {
        let is_left = matches!(kind, FailureKind::FirstToken | FailureKind::Idle | FailureKind::Total);
        if !is_left {
            self.sent.refused();
        }
        self.close(kind.as_str(), false);
    }

    /// It was broken off before it answered; `counts_request` when nothing else will come of the request.
    pub fn abandon(mut self, outcome: &str, counts_request: bool) {
        self.close(outcome, counts_request);
    }

    /// Nobody says what a call cost that was broken off. Once it is sent its prompt counts, by our own count.
    fn close(&mut self, outcome: &str, counts_request: bool) {
        let prompt = if self.sent.0.load(Ordering::Relaxed) { self.prompt } else { 0 };
        if let Some(taken) = self.taken.take() {
            taken.settle(prompt, Instant::now());
        }
        match self.reservation.take() {
            Some(reservation) if prompt > 0 => {
                let usage = Usage { prompt, ..Usage::default() };
                reservation.settle(End { outcome, usage, counted: Counted::Estimate, counts_request });
            }
            Some(reservation) => reservation.abort(outcome),
            None => {}
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.close("abandoned", false);
    }
}
