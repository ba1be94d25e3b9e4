//! The metrics of what is counted together with other gateways.

use prometheus::{IntCounterVec, IntGaugeVec};

use super::register::Register;

/// Whether the gateways of a cluster count together.
#[derive(Debug)]
pub struct ClusterMetrics {
    /// Without labels, so that a gateway without a cluster does not say that it is down.
    up: IntGaugeVec,
    gateways: IntGaugeVec,
    /// Decisions that this gateway made alone, or refused to make.
    pub degraded: IntCounterVec,
}

impl ClusterMetrics {
    pub(super) fn new(metrics: &Register<'_>) -> Self {
        Self {
            up: metrics.gauge(
                "signalbox_cluster_up",
                "1 while limits and budgets are counted together with other gateways; only with a cluster.",
                &[],
            ),
            gateways: metrics.gauge(
                "signalbox_cluster_gateways",
                "Gateways of the cluster that were last seen alive.",
                &[],
            ),
            degraded: metrics.counter(
                "signalbox_cluster_degraded_total",
                "Decisions that were due while the cluster's Redis was away, by what was to be decided.",
                &["what"],
            ),
        }
    }

    /// Shows whether gateways count together, and how many they are.
    pub fn show(&self, is_up: bool, gateways: u32) {
        self.up.with_label_values::<&str>(&[]).set(is_up.into());
        self.gateways.with_label_values::<&str>(&[]).set(gateways.into());
    }
}
