//! The limits of all models and deployments, which outlive reloads, and the places that one request holds.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::{InFlightLimit, InFlightRule, Place};
use crate::telemetry::LimitSeries;

/// Every limit by the name of its model or deployment. A reload that changes a limit keeps what is in flight.
#[derive(Debug, Default)]
pub struct InFlightBook(Mutex<HashMap<String, Arc<InFlightLimit>>>);

/// What one request occupies while it runs.
#[derive(Debug, Default)]
pub struct Places {
    /// Among the model's requests.
    pub model: Option<Place>,
    /// Among the deployment's.
    pub deployment: Option<Place>,
}

impl InFlightBook {
    /// The limit of that name, with this rule from now on.
    pub fn of(
        &self,
        name: String,
        rule: InFlightRule,
        series: impl FnOnce() -> Option<LimitSeries>,
    ) -> Arc<InFlightLimit> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match known.get(&name) {
            Some(limit) => {
                limit.configure(rule);
                limit.clone()
            }
            None => known.entry(name).or_insert(InFlightLimit::new(rule, series())).clone(),
        }
    }
}

impl Places {
    /// An attempt was answered; its first byte came after this long.
    pub fn answered(&self, latency: Duration, now: Instant) {
        for place in self.model.iter().chain(&self.deployment) {
            place.answered(latency, now);
        }
    }

    /// The provider had too much to do.
    pub fn overloaded(&self, now: Instant) {
        for place in self.model.iter().chain(&self.deployment) {
            place.overloaded(now);
        }
    }
}
