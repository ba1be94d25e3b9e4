//! What a hash leads to.

use std::hint::black_box;
use std::sync::Arc;

use super::{Counters, Principal};

/// A principal beside its counters, so that a look-up learns where both are at once.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    principal: Arc<Principal>,
    counters: Counters,
}

impl Entry {
    pub(super) fn new(principal: Principal) -> Self {
        Self { counters: principal.counters.clone(), principal: Arc::new(principal) }
    }

    /// Of the request that asks: see [`Counters::fetch`].
    pub(super) fn fetch(&self) -> &Arc<Principal> {
        self.counters.fetch();
        black_box(self.principal.priority);
        &self.principal
    }

    pub(super) fn principal(&self) -> &Arc<Principal> {
        &self.principal
    }
}
