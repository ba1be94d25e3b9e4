//! One attempt in the ledger, from its reservation to its end.

use std::hint::black_box;
use std::sync::Arc;

use domain::{Micros, ModelName, Usage};
use store::{Counted, Kind, State};

use super::line::{Ending, Opening, encode_opening};
use super::subjects::Subjects;
use super::{Ledger, now_ms};
use crate::budgets::Hold;
use crate::keys::Principal;
use crate::upstream::Deployment;

/// What is held for a running attempt. Dropped without an end it is aborted: it cost nothing.
#[derive(Debug)]
pub struct Reservation {
    pub(super) ledger: Arc<Ledger>,
    pub(super) attempt: u64,
    pub(super) request_id: String,
    pub(super) principal: Arc<Principal>,
    pub(super) model: ModelName,
    pub(super) deployment: Arc<Deployment>,
    pub(super) reserved: Micros,
    pub(super) holds: Vec<Hold>,
    pub(super) kind: Kind,
    pub(super) is_open: bool,
}

/// How an attempt ended.
#[derive(Clone, Copy, Debug)]
pub struct End<'a> {
    /// `ok`, or the metric label of the failure.
    pub outcome: &'a str,
    /// Tokens, as billed.
    pub usage: Usage,
    /// Who counted them.
    pub counted: Counted,
    /// True for one attempt of a request.
    pub counts_request: bool,
}

impl<'a> End<'a> {
    fn without_cost(outcome: &'a str) -> Self {
        Self { outcome, usage: Usage::default(), counted: Counted::Provider, counts_request: false }
    }
}

impl Reservation {
    /// It cost what its usage costs at its deployment. In the log when this returns.
    pub fn settle(mut self, end: End<'_>) -> Micros {
        let cost = self.deployment.cost(&end.usage).unwrap_or_default();
        let now = now_ms();
        self.close(State::Settled, end, cost, Micros(0), now);
        for hold in self.holds.drain(..) {
            let account = hold.account().clone();
            hold.settle(cost, now);
            self.ledger.watch_alerts(&account);
        }
        cost
    }

    /// Has all that its settlement reads brought into the processor's cache, side by side: since it was made, other keys'
    /// requests have come and gone.
    pub(crate) fn fetch(&self) {
        for hold in &self.holds {
            hold.account().fetch();
        }
        black_box(self.principal.priority);
    }

    /// What it is of; an attempt unless said here.
    #[must_use]
    pub fn of(mut self, kind: Kind) -> Self {
        self.kind = kind;
        self
    }

    /// It cost nothing.
    pub fn abort(mut self, outcome: &str) {
        self.close(State::Aborted, End::without_cost(outcome), Micros(0), Micros(0), now_ms());
    }

    /// Nobody had to be called for it, which saved so much. It counts as a request.
    pub(super) fn save(mut self, outcome: &str, saved: Micros) {
        let end = End { counts_request: true, ..End::without_cost(outcome) };
        self.close(State::Settled, end, Micros(0), saved, now_ms());
    }

    /// It is known by now whom it calls, and that it may cost more than was held when it began.
    pub fn raise(&mut self, deployment: Arc<Deployment>, estimate: &Usage) {
        let reserved = deployment.cost(estimate).unwrap_or_default();
        self.deployment = deployment;
        if let Some(more) = reserved.0.checked_sub(self.reserved.0) {
            self.reserved = reserved;
            for hold in &mut self.holds {
                hold.raise(Micros(more));
            }
        }
    }

    /// What it cost will not be known: the store shows it as unsettled.
    pub fn leave_open(mut self) {
        self.is_open = false;
    }

    /// Writes what the log says of the reservation itself.
    pub(super) fn encode(&self, out: &mut Vec<u8>, subjects: &mut Subjects, at_ms: i64) {
        let subject = subjects.number(out, &self.principal, &self.deployment, &self.model);
        let opening = Opening { at_ms, reserved: self.reserved, request_id: &self.request_id, subject };
        encode_opening(out, self.attempt, &opening);
    }

    fn close(&mut self, state: State, end: End<'_>, cost: Micros, saved: Micros, at_ms: i64) {
        self.is_open = false;
        let End { outcome, usage, counted, counts_request } = end;
        let kind = self.kind;
        let ending = Ending { at_ms, state, outcome, counts_request, usage, cost, kind, counted, saved };
        self.ledger.end(self.attempt, &ending);
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if self.is_open {
            let end = End::without_cost("dropped");
            self.close(State::Aborted, end, Micros(0), Micros(0), now_ms());
        }
    }
}
