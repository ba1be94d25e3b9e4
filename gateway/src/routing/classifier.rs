//! Loads the classifiers that routes name, each once.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use router_model::score::{ModelError, RouteModel};

use crate::telemetry::RouteMetrics;

/// The name of the model that this program carries; any other name is a file's.
pub const BUILTIN: &str = "builtin";

/// Read once: every reload, every change of a credential and every check of a configuration asks for it, for each route.
static CARRIED: OnceLock<Arc<RouteModel>> = OnceLock::new();

/// Loads a classifier.
///
/// # Errors
/// When the file is missing, damaged or of another version.
pub fn load(name: &str) -> Result<Arc<RouteModel>, ModelError> {
    if name != BUILTIN {
        return RouteModel::load(Path::new(name)).map(Arc::new);
    }
    if let Some(carried) = CARRIED.get() {
        return Ok(carried.clone());
    }
    let carried = Arc::new(RouteModel::shipped()?);
    Ok(CARRIED.get_or_init(|| carried).clone())
}

/// The classifiers of one snapshot.
#[derive(Debug)]
pub struct Classifiers<'m> {
    metrics: &'m RouteMetrics,
    loaded: HashMap<String, Option<Arc<RouteModel>>>,
}

impl<'m> Classifiers<'m> {
    /// None yet.
    pub fn new(metrics: &'m RouteMetrics) -> Self {
        Self { metrics, loaded: HashMap::new() }
    }

    /// The classifier of this name; None when it cannot be used, which is said once and shown as a metric.
    pub fn named(&mut self, name: &str) -> Option<Arc<RouteModel>> {
        if let Some(known) = self.loaded.get(name) {
            return known.clone();
        }
        let loaded = load(name);
        if let Err(problem) = &loaded {
            tracing::error!(%problem, "a classifier cannot be used: its routes send everything to their strong model");
        }
        self.metrics.classifier_up.with_label_values(&[name]).set(i64::from(loaded.is_ok()));
        let loaded = loaded.ok();
        self.loaded.insert(name.to_owned(), loaded.clone());
        loaded
    }
}
