//! What the cache counts: its own events, and those of foyer's that say an entry was lost on its way to the disk.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use foyer::{Event, EventListener};
use mixtrics::metrics::{
    BoxedCounter, BoxedCounterVec, BoxedGaugeVec, BoxedHistogramVec, CounterOps, CounterVecOps, RegistryOps,
};
use mixtrics::registry::noop::NoopMetricsRegistry;

use super::code::Kept;

/// The cache in figures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Found in memory.
    pub memory_hits: u64,
    /// Found on disk.
    pub disk_hits: u64,
    /// Not found, or void.
    pub misses: u64,
    /// Kept.
    pub stores: u64,
    /// Too large to be kept.
    pub refused: u64,
    /// Pushed out of memory by others.
    pub evictions: u64,
    /// Never written to disk, because its queue was full.
    pub overflow: u64,
    /// Entries in memory.
    pub memory_entries: u64,
    /// Their bytes.
    pub memory_bytes: u64,
    /// The most they may take.
    pub memory_capacity_bytes: u64,
    /// The most that the disk tier may take; 0 without one.
    pub disk_capacity_bytes: u64,
    /// Written to disk so far.
    pub disk_written_bytes: u64,
}

/// What is counted as it happens.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub memory_hits: AtomicU64,
    pub disk_hits: AtomicU64,
    pub misses: AtomicU64,
    pub stores: AtomicU64,
    pub refused: AtomicU64,
    pub evictions: AtomicU64,
    pub overflow: AtomicU64,
}

pub(super) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

pub(super) fn read(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

/// Hears what leaves the memory.
pub(super) struct Leaving(pub Arc<Tally>);

impl EventListener for Leaving {
    type Key = u128;
    type Value = Kept;

    fn on_leave(&self, reason: Event, _key: &u128, _value: &Kept) {
        if reason == Event::Evict {
            count(&self.0.evictions);
        }
    }
}

/// Stands where foyer wants a registry of metrics.
#[derive(Debug)]
pub(super) struct Registry(pub Arc<Tally>);

#[derive(Debug)]
struct Operations(Arc<Tally>);

#[derive(Debug)]
struct Overflow(Arc<Tally>);

impl CounterOps for Overflow {
    fn increase(&self, value: u64) {
        self.0.overflow.fetch_add(value, Ordering::Relaxed);
    }
}

impl CounterVecOps for Operations {
    fn counter(&self, labels: &[Cow<'static, str>]) -> BoxedCounter {
        // The queue before the writer, and the writer's buffer.
        if labels.iter().any(|label| label == "channel_overflow" || label == "buffer_overflow") {
            return Box::new(Overflow(self.0.clone()));
        }
        NoopMetricsRegistry.counter(labels)
    }
}

impl RegistryOps for Registry {
    fn register_counter_vec(
        &self,
        name: Cow<'static, str>,
        desc: Cow<'static, str>,
        label_names: &'static [&'static str],
    ) -> BoxedCounterVec {
        if name == "foyer_storage_inner_op_total" {
            return Box::new(Operations(self.0.clone()));
        }
        NoopMetricsRegistry.register_counter_vec(name, desc, label_names)
    }

    fn register_gauge_vec(
        &self,
        name: Cow<'static, str>,
        desc: Cow<'static, str>,
        label_names: &'static [&'static str],
    ) -> BoxedGaugeVec {
        NoopMetricsRegistry.register_gauge_vec(name, desc, label_names)
    }

    fn register_histogram_vec(
        &self,
        name: Cow<'static, str>,
        desc: Cow<'static, str>,
        label_names: &'static [&'static str],
    ) -> BoxedHistogramVec {
        NoopMetricsRegistry.register_histogram_vec(name, desc, label_names)
    }

    fn register_histogram_vec_with_buckets(
        &self,
        name: Cow<'static, str>,
        desc: Cow<'static, str>,
        label_names: &'static [&'static str],
        buckets: Vec<f64>,
    ) -> BoxedHistogramVec {
        NoopMetricsRegistry.register_histogram_vec_with_buckets(name, desc, label_names, buckets)
    }
}
