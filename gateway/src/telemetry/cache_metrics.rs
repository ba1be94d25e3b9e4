//! The metrics of the answer cache, which counts by itself: they are shown as it stands when somebody looks.

use cache::exact::Stats;
use cluster::ShelfStats;
use prometheus::{GaugeVec, IntCounterVec, IntGaugeVec};

use super::register::Register;
use crate::answer_cache::SemanticStats;

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
    shared_up: IntGaugeVec,
    shared_failures: IntCounterVec,
    shared_dropped: IntCounterVec,
    semantic_hits: IntCounterVec,
    semantic_audits: IntCounterVec,
    semantic_objections: IntCounterVec,
    semantic_evictions: IntCounterVec,
    semantic_entries: IntGaugeVec,
    semantic_bytes: IntGaugeVec,
    semantic_false_hits: GaugeVec,
    semantic_encoder_up: IntGaugeVec,
    semantic_encodings: IntCounterVec,
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
            shared_up: metrics.gauge(
                "signalbox_cache_shared_up",
                "1 while answers are shared over the cluster's Redis.",
                &[],
            ),
            shared_failures: metrics.counter(
                "signalbox_cache_shared_failures_total",
                "Calls of the shared cache without an answer in time.",
                &[],
            ),
            shared_dropped: metrics.counter(
                "signalbox_cache_shared_dropped_total",
                "Answers that were not shared because too many waited for Redis.",
                &[],
            ),
            semantic_hits: metrics.counter(
                "signalbox_cache_semantic_hits_total",
                "Answers to other wordings that were served.",
                &[],
            ),
            semantic_audits: metrics.counter(
                "signalbox_cache_semantic_audits_total",
                "Of these, answers that were compared with a fresh one, by whether both agreed.",
                &["verdict"],
            ),
            semantic_objections: metrics.counter(
                "signalbox_cache_semantic_objections_total",
                "Of these, answers that clients said were wrong.",
                &[],
            ),
            semantic_evictions: metrics.counter(
                "signalbox_cache_semantic_evictions_total",
                "Questions that left the index for others.",
                &[],
            ),
            semantic_entries: metrics.gauge(
                "signalbox_cache_semantic_entries",
                "Questions in the index.",
                &[],
            ),
            semantic_bytes: metrics.gauge("signalbox_cache_semantic_bytes", "What they take.", &[]),
            semantic_false_hits: metrics.shares(
                "signalbox_cache_semantic_false_hit_ratio",
                "The share of wrong answers among those served: as the labels say, and its upper bound at a confidence \
                 of 0.95. 0 while nothing is served.",
                &["kind"],
            ),
            semantic_encoder_up: encoder_up(metrics),
            semantic_encodings: encodings(metrics),
        }
    }

    /// Shows how the cache stands, and what it shares if it does: with how many answers of others.
    pub fn show(&self, stats: &Stats, shared: Option<(ShelfStats, u64)>) {
        let shared_hits = shared.map_or(0, |(_, hits)| hits);
        if let Some((shelf, hits)) = shared {
            count(&self.hits, &["shared"], hits);
            gauge(&self.shared_up, u64::from(shelf.is_up));
            count(&self.shared_failures, &[], shelf.failures);
            count(&self.shared_dropped, &[], shelf.dropped);
        }
        count(&self.hits, &["memory"], stats.memory_hits);
        count(&self.hits, &["disk"], stats.disk_hits);
        count(&self.misses, &[], stats.misses.saturating_sub(shared_hits));
        count(&self.stores, &[], stats.stores);
        count(&self.refused, &[], stats.refused);
        count(&self.evictions, &[], stats.evictions);
        count(&self.overflow, &[], stats.overflow);
        count(&self.written, &[], stats.disk_written_bytes);
        gauge(&self.entries, stats.memory_entries);
        gauge(&self.bytes, stats.memory_bytes);
    }

    /// Shows how its semantic side stands.
    pub fn show_semantic(&self, stats: &SemanticStats) {
        count(&self.semantic_hits, &[], stats.hits);
        count(&self.semantic_audits, &["right"], stats.audited_right);
        count(&self.semantic_audits, &["wrong"], stats.audited_wrong);
        count(&self.semantic_objections, &[], stats.objections);
        count(&self.semantic_evictions, &[], stats.evictions);
        gauge(&self.semantic_entries, stats.entries);
        gauge(&self.semantic_bytes, stats.bytes);
        let (labels, wrong) = (f64::from(stats.promise.labels.max(1)), f64::from(stats.promise.wrong));
        self.semantic_false_hits.with_label_values(&["estimate"]).set(wrong / labels);
        self.semantic_false_hits.with_label_values(&["bound"]).set(stats.promise.bound);
        if let Some(encoder) = stats.encoder {
            gauge(&self.semantic_encoder_up, u64::from(encoder.is_up));
            for (outcome, total) in [
                ("made", encoder.made),
                ("late", encoder.late),
                ("busy", encoder.busy),
                ("failed", encoder.failed),
            ] {
                count(&self.semantic_encodings, &[outcome], total);
            }
        }
    }
}

fn encoder_up(metrics: &Register<'_>) -> IntGaugeVec {
    metrics.gauge(
        "signalbox_cache_semantic_encoder_up",
        "1 when MiniLM makes vectors; with 0, though it is wanted, the built-in table makes them.",
        &[],
    )
}

fn encodings(metrics: &Register<'_>) -> IntCounterVec {
    metrics.counter(
        "signalbox_cache_semantic_encodings_total",
        "Questions that MiniLM was asked for a vector of; every outcome but `made` is a miss.",
        &["outcome"],
    )
}

fn count(counter: &IntCounterVec, labels: &[&str], total: u64) {
    let counter = counter.with_label_values(labels);
    // The total only grows; two who look at once must not count it twice.
    counter.inc_by(total.saturating_sub(counter.get()));
}

fn gauge(gauge: &IntGaugeVec, value: u64) {
    gauge.with_label_values::<&str>(&[]).set(i64::try_from(value).unwrap_or(i64::MAX));
}
