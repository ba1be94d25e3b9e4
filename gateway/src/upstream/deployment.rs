//! One callable target and its live state.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use domain::{DeploymentId, Price};

use super::{Cooldown, Provider};
use crate::limits::InFlightLimit;
use crate::telemetry::DeploymentSeries;

/// Provider + upstream model + weight, as one model of one snapshot sees it.
#[derive(Debug)]
pub struct Deployment {
    /// Its name in headers, logs and metrics.
    pub id: DeploymentId,
    /// Whose it is.
    pub provider: Arc<Provider>,
    /// The model's name at the provider.
    pub upstream_model: String,
    /// Its share; 0 is drained.
    pub weight: u32,
    /// What it charges, when known.
    pub price: Option<Price>,
    /// How many attempts may be in flight; None without a limit.
    pub limit: Option<Arc<InFlightLimit>>,
    /// What outlives a reload.
    pub state: Arc<DeploymentState>,
    /// Its metrics.
    pub series: Arc<DeploymentSeries>,
}

/// What a deployment is doing now; shared by all snapshots that know it.
#[derive(Debug, Default)]
pub struct DeploymentState {
    in_flight: AtomicU32,
    /// Its breaker.
    pub cooldown: Cooldown,
}

/// Counts one running attempt until it is dropped.
#[derive(Debug)]
pub struct InFlight(Arc<DeploymentState>);

impl DeploymentState {
    /// Attempts running now.
    pub fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Begins an attempt.
    pub fn begin(self: &Arc<Self>) -> InFlight {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        InFlight(self.clone())
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
        // A client that left while its request probed must not block the next probe.
        self.0.cooldown.release_probe();
    }
}
