//! Keeps deployments' state across reloads: a deployment that is configured the same way before and
//! after is the same deployment.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use super::{Credential, DeploymentState, Provider};

/// Credentials come and go at run time, and series of metrics stay: this many names become labels.
const MOST_LABELS: usize = 256;

/// Live deployments by what identifies them: address, provider name, upstream model, credential.
#[derive(Debug, Default)]
pub struct Registry {
    states: Mutex<HashMap<String, Weak<DeploymentState>>>,
    labels: Mutex<HashSet<Arc<str>>>,
}

impl Registry {
    /// The state of a deployment, new or carried over. An exchanged credential makes it another one.
    pub fn state(
        &self,
        provider: &Provider,
        upstream_model: &str,
        ordinal: usize,
        credential: Option<&Credential>,
    ) -> Arc<DeploymentState> {
        let mut identity = format!(
            "{} {} {} {upstream_model} {ordinal}",
            provider.name,
            provider.origin.host_header(),
            provider.origin.path
        );
        if let Some(credential) = credential {
            identity = format!("{identity} {} {:x}", credential.name, credential.fingerprint());
        }
        let mut known = self.states.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|_, state| state.strong_count() > 0);
        if let Some(state) = known.get(&identity).and_then(Weak::upgrade) {
            return state;
        }
        let state = Arc::new(DeploymentState::default());
        known.insert(identity, Arc::downgrade(&state));
        state
    }

    /// May this credential's name become a label? Once it is one it stays one.
    pub fn may_label(&self, credential: &Arc<str>) -> bool {
        let mut labels = self.labels.lock().unwrap_or_else(PoisonError::into_inner);
        labels.contains(credential) || labels.len() < MOST_LABELS && labels.insert(credential.clone())
    }
}
