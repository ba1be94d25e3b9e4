//! Identical requests that run at the same time share one upstream call (request coalescing, as in Go's
//! `singleflight`): the first one asks, the others follow its answer, streams included.

mod flight;
mod subscription;

use std::collections::HashMap;
use std::hash::Hasher;
use std::sync::{Arc, Mutex, PoisonError};

use http::{HeaderName, HeaderValue};
use providers::Operation;
use twox_hash::XxHash3_64;

use crate::config::Coalesce;
use crate::request::Request;

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
}

impl Coalescer {
    /// Follows an identical request of the same `scope`, or leads those to come. None when another
    /// request has the same hash.
    pub fn join(self: &Arc<Self>, scope: &str, request: &Arc<Request>) -> Option<Joined> {
        let key = hash(scope, request);
        let mut flights = self.flights();
        if let Some(flight) = flights.get(&key) {
            if !flight.serves(scope, request) {
                return None;
            }
            if let Some(subscription) = Subscription::new(flight) {
                return Some(Joined::Follows(subscription));
            }
        }
        let flight = Arc::new(Flight::new(scope, request));
        let subscription = Subscription::new(&flight)?;
        flights.insert(key, flight.clone());
        Some(Joined::Leads(Lead::new(flight, self.clone(), key), subscription))
    }

    /// Nobody may join this one any more.
    fn remove(&self, key: u64, flight: &Arc<Flight>) {
        let mut flights = self.flights();
        if flights.get(&key).is_some_and(|known| Arc::ptr_eq(known, flight)) {
            flights.remove(&key);
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
