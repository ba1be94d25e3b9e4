//! Identical requests that run at the same time share one upstream call (request coalescing, as in Go's
//! `singleflight`): the first one asks, the others follow its answer, streams included. Where answers are kept, those are
//! identical that a kept answer would serve; one that wants another form waits for the whole of it.

mod flight;
mod subscription;

use std::collections::HashMap;
use std::hash::Hasher;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use cache::exact::{Entry, Key};
use http::{HeaderName, HeaderValue};
use providers::{Operation, RequestHead};
use twox_hash::XxHash3_64;

use crate::config::Coalesce;
use crate::request::Request;

use flight::Likeness;
pub use flight::{Flight, Lead};
pub use subscription::{AnswerHead, News, Subscription};

/// Headers that go to the provider and do not change its answer.
const WITHOUT_EFFECT: [HeaderName; 3] = [
    HeaderName::from_static("traceparent"),
    HeaderName::from_static("tracestate"),
    HeaderName::from_static("idempotency-key"),
];

/// The answers that are on their way, by what was asked.
#[derive(Debug, Default)]
pub struct Coalescer(Mutex<HashMap<u64, Arc<Flight>>>);

/// What a request finds.
#[derive(Debug)]
pub enum Joined {
    /// Nobody asks this; whoever comes now follows.
    Leads(Lead, Subscription),
    /// Somebody does.
    Follows(Subscription),
    /// Somebody does, and is answered in another form: the whole answer can be given in this one.
    Awaits(Subscription),
    /// Somebody did, and the whole answer is about to be kept.
    Settles(Subscription),
    /// Somebody did, and the answer has just been kept.
    Kept(Arc<Entry>),
}

/// A request whose answer is kept. Those with the same key and the same credentials share one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keepable {
    /// What the answer is kept under; the scope is part of it.
    pub key: Key,
    /// The providers' credentials that may be used.
    pub credentials: Option<Arc<[String]>>,
    /// How it is answered.
    pub form: Form,
    /// It shares with others of its form only.
    pub own_form: bool,
}

/// How an answer is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Form {
    stream: bool,
    tells_usage: bool,
}

impl Form {
    /// The one that a request asks for.
    pub fn of(request: &Request) -> Self {
        let RequestHead { stream, include_usage, .. } = request.head;
        Self { stream, tells_usage: stream && include_usage }
    }
}

impl Keepable {
    fn slot(&self) -> u64 {
        let form = 1 + u64::from(self.form.stream) + 2 * u64::from(self.form.tells_usage);
        (self.key.hash as u64).wrapping_add(if self.own_form { form } else { 0 })
    }

    fn shares_with(&self, other: &Self) -> bool {
        self.key == other.key && self.credentials == other.credentials && self.own_form == other.own_form
    }
}

impl Coalescer {
    /// Follows an identical request of the same `scope`, or leads those to come. None when another
    /// request has the same hash.
    pub fn join(self: &Arc<Self>, scope: &str, request: &Arc<Request>) -> Option<Joined> {
        let slot = hash(scope, request);
        let mut flights = self.flights();
        if let Some(flight) = flights.get(&slot) {
            if !flight.likeness.is_bytes(scope, request) {
                return None;
            }
            if let Some(subscription) = Subscription::new(flight, false) {
                return Some(Joined::Follows(subscription));
            }
        }
        let likeness = Likeness::Bytes { scope: scope.into(), request: request.clone() };
        self.lead(&mut flights, slot, Flight::new(likeness, Duration::ZERO))
    }

    /// Shares the answer to a request that the same kept answer would serve, or leads those to come, for so long without
    /// any client. `look` is asked for the answer when nobody leads: it may have been kept a moment ago.
    pub fn join_kept(
        self: &Arc<Self>,
        asked: Keepable,
        outlives: Duration,
        look: impl FnOnce() -> Option<Arc<Entry>>,
    ) -> Option<Joined> {
        let slot = asked.slot();
        let mut flights = self.flights();
        if let Some(flight) = flights.get(&slot) {
            let form = flight.likeness.form(&asked)?;
            let (settles, awaits) = (flight.settles(), form != asked.form);
            if let Some(subscription) = Subscription::new(flight, settles || awaits) {
                return Some(match (settles, awaits) {
                    (true, _) => Joined::Settles(subscription),
                    (false, true) => Joined::Awaits(subscription),
                    (false, false) => Joined::Follows(subscription),
                });
            }
        }
        // Under the lock: an answer is kept before its flight is removed.
        if let Some(entry) = look() {
            return Some(Joined::Kept(entry));
        }
        self.lead(&mut flights, slot, Flight::new(Likeness::Kept(asked), outlives))
    }

    fn lead(
        self: &Arc<Self>,
        flights: &mut HashMap<u64, Arc<Flight>>,
        slot: u64,
        flight: Flight,
    ) -> Option<Joined> {
        let flight = Arc::new(flight);
        let subscription = Subscription::new(&flight, false)?;
        flights.insert(slot, flight.clone());
        Some(Joined::Leads(Lead::new(flight, self.clone(), slot), subscription))
    }

    /// Nobody may join this one any more.
    fn remove(&self, slot: u64, flight: &Arc<Flight>) {
        let mut flights = self.flights();
        if flights.get(&slot).is_some_and(|known| Arc::ptr_eq(known, flight)) {
            flights.remove(&slot);
        }
    }

    fn flights(&self) -> std::sync::MutexGuard<'_, HashMap<u64, Arc<Flight>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// May this request's answer be another one's? With a temperature of zero two calls are meant to be
/// answered alike, and embeddings and their kin always are.
pub fn is_shared(mode: Coalesce, request: &Request) -> bool {
    if request.controls.wants_own_answer() || request.operation.is_count() || request.operation.is_form() {
        return false;
    }
    match mode {
        Coalesce::Off => false,
        Coalesce::All => true,
        Coalesce::Deterministic => {
            request.head.is_greedy
                || matches!(
                    request.operation,
                    Operation::Embeddings | Operation::Rerank | Operation::Moderations
                )
        }
    }
}

fn hash(scope: &str, request: &Request) -> u64 {
    let mut hasher = XxHash3_64::new();
    hasher.write(scope.as_bytes());
    hasher.write(request.operation.as_str().as_bytes());
    hasher.write(request.head.model.as_bytes());
    hasher.write(&request.body);
    hasher.finish()
}

/// Do the two ask the same, byte for byte?
fn is_same(one: &Request, other: &Request) -> bool {
    one.operation == other.operation
        && one.head.model == other.head.model
        && one.head.stream == other.head.stream
        && one.query == other.query
        && one.body == other.body
        && headers_with_effect(one).eq(headers_with_effect(other))
}

/// Headers that go to the provider and may change its answer.
pub fn headers_with_effect(request: &Request) -> impl Iterator<Item = &(HeaderName, HeaderValue)> {
    request.headers.iter().filter(|(name, _)| !WITHOUT_EFFECT.contains(name))
}
