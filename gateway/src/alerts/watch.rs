//! Notices what happens gradually: deployments that leave the rotation and come back, and overload. Looks
//! once a second instead of being told, so that no request pays for it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use pingora::server::ShutdownWatch;
use pingora::services::background::BackgroundService;

use super::raise;
use crate::app::App;
use crate::config::AlertKind;
use crate::upstream::CooldownState;

const INTERVAL: Duration = Duration::from_secs(1);
/// A deployment that comes and goes is told of no more often than this; its last state always is.
const PAUSE: Duration = Duration::from_secs(30);

/// Compares now with a second ago.
pub struct StateWatch {
    app: Arc<App>,
}

/// What was last told of a deployment.
struct Told {
    is_out: bool,
    at: Instant,
}

impl StateWatch {
    /// For this process.
    pub fn new(app: Arc<App>) -> Self {
        Self { app }
    }

    fn deployments(&self, told: &mut HashMap<String, Told>, now: Instant) {
        let snapshot = self.app.snapshot.load_full();
        let deployments: Vec<_> =
            snapshot.providers.values().flat_map(|provider| snapshot.deployments_of(provider)).collect();
        told.retain(|id, _| deployments.iter().any(|deployment| deployment.id.as_str() == id));
        for deployment in &deployments {
            let id = deployment.id.as_str();
            let is_out = deployment.state.cooldown.state(now) != CooldownState::Closed;
            let is_new = match told.get(id) {
                Some(last) => last.is_out != is_out && now.duration_since(last.at) >= PAUSE,
                None => is_out,
            };
            if !is_new {
                continue;
            }
            if is_out {
                let message = format!("{id} fails and gets no requests but probes: look at its provider.");
                raise(AlertKind::DeploymentOut, id, message);
            } else {
                raise(AlertKind::DeploymentBack, id, format!("{id} answers again."));
            }
            // The first word is said at once, and so is the answer to it.
            let at = if is_out { now.checked_sub(PAUSE).unwrap_or(now) } else { now };
            told.insert(id.to_owned(), Told { is_out, at });
        }
    }
}

#[async_trait]
impl BackgroundService for StateWatch {
    async fn start(&self, mut shutdown: ShutdownWatch) {
        let mut told = HashMap::new();
        let metrics = &self.app.metrics.overload;
        let (mut exhausted, mut shed) = (metrics.retry_budget_exhausted.get(), metrics.shed_total());
        loop {
            tokio::select! {
                _ = shutdown.changed() => return,
                () = tokio::time::sleep(INTERVAL) => {}
            }
            self.deployments(&mut told, Instant::now());
            let (last_exhausted, last_shed) = (exhausted, shed);
            (exhausted, shed) = (metrics.retry_budget_exhausted.get(), metrics.shed_total());
            if exhausted > last_exhausted {
                let message = "The retry budget is used up (limits.retry_budget): failures reach clients.";
                raise(AlertKind::RetryBudgetExhausted, "", message);
            }
            if shed > last_shed {
                let message = "Requests are refused in overload: add capacity, or raise the limits.";
                raise(AlertKind::Overload, "", message);
            }
        }
    }
}
