//! The metrics of the answer cache, which counts by itself: they are shown as it stands when somebody looks.

use cache::exact::Stats;
use prometheus::{IntCounterVec, IntGaugeVec};

use super::register::Register;

/// The cache in figures. Its series are there only with a cache.
#[derive(Debug)]
pub struct CacheMetrics {
    hits: IntCounterVec,
    misses: IntCounterVec,
    stores: IntCounterVec,
    refused: IntCounterVec,
    evictions: IntCounterVec,
    overflow: IntCounterVec,
    entries: IntGaugeVec,
    bytes: IntGaugeVec,
    written: IntCounterVec,
}

impl CacheMetrics {
    pub(super) fn new(metrics: &Register<'_>) -> Self {
        Self {
            hits: metrics.counter("signalbox_cache_hits_total", "Answers found, by tier.", &["tier"]),
            misses: metrics.counter("signalbox_cache_misses_total", "Lookups that found nothing.", &[]),
            stores: metrics.counter("signalbox_cache_stores_total", "Answers that were kept.", &[]),
            refused: metrics.counter(
                "signalbox_cache_refused_total",
                "Answers that were too large to be kept.",
                &[],
            ),
            evictions: metrics.counter(
                "signalbox_cache_evictions_total",
                "Answers that left memory for others.",
                &[],
            ),
            overflow: metrics.counter(
                "signalbox_cache_disk_overflow_total",
                "Answers that were not written to disk because its queue was full.",
                &[],
            ),
            entries: metrics.gauge("signalbox_cache_memory_entries", "Answers in memory.", &[]),
            bytes: metrics.gauge("signalbox_cache_memory_bytes", "What they take.", &[]),
            written: metrics.counter(
                "signalbox_cache_disk_written_bytes_total",
                "Bytes written to the disk tier.",
                &[],
            ),
        }
    }

    /// Shows how the cache stands.
    pub fn show(&self, stats: &Stats) {
        let count = |counter: &IntCounterVec, labels: &[&str], total: u64| {
            let counter = counter.with_label_values(labels);
            // The total only grows; two who look at once must not count it twice.
            counter.inc_by(total.saturating_sub(counter.get()));
        };
        let gauge = |gauge: &IntGaugeVec, value: u64| {
            gauge.with_label_values::<&str>(&[]).set(i64::try_from(value).unwrap_or(i64::MAX));
        };
        count(&self.hits, &["memory"], stats.memory_hits);
        count(&self.hits, &["disk"], stats.disk_hits);
        count(&self.misses, &[], stats.misses);
        count(&self.stores, &[], stats.stores);
        count(&self.refused, &[], stats.refused);
        count(&self.evictions, &[], stats.evictions);
        count(&self.overflow, &[], stats.overflow);
        count(&self.written, &[], stats.disk_written_bytes);
        gauge(&self.entries, stats.memory_entries);
        gauge(&self.bytes, stats.memory_bytes);
    }
}
