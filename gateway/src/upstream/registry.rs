//! Keeps deployments' state across reloads: a deployment that is configured the same way before and
//! after is the same deployment.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use super::{DeploymentState, Provider};

/// Live deployments by what identifies them: address, provider name, upstream model.
#[derive(Debug, Default)]
pub struct Registry(Mutex<HashMap<String, Weak<DeploymentState>>>);

impl Registry {
    /// The state of a deployment, new or carried over.
    pub fn state(&self, provider: &Provider, upstream_model: &str, ordinal: usize) -> Arc<DeploymentState> {
        let identity = format!(
            "{} {} {} {upstream_model} {ordinal}",
            provider.name,
            provider.origin.host_header(),
            provider.origin.path
        );
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|_, state| state.strong_count() > 0);
        if let Some(state) = known.get(&identity).and_then(Weak::upgrade) {
            return state;
        }
        let state = Arc::new(DeploymentState::default());
        known.insert(identity, Arc::downgrade(&state));
        state
    }
}
