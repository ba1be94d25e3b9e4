//! Loads the classifiers that routes name, each once, and the runtime that evaluates them.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant};

use router_model::runtime::{LIBRARY, Runtime};
use router_model::score::onnx::{self, OnnxError, OnnxScorer};
use router_model::score::transformer::Transformer;
use router_model::score::{ModelError, RouteModel, Scores};

use super::evidence::Unscored;
use super::stage1::{self, Stage1};
use crate::config::{ModelRuntime, RouterConfig, onnxruntime_path};
use crate::telemetry::RouteMetrics;

/// The name of the model that this program carries; any other name is a file's.
pub const BUILTIN: &str = "builtin";

/// Read once: every reload, every change of a credential and every check of a configuration asks for it, for each route.
static CARRIED: OnceLock<Arc<RouteModel>> = OnceLock::new();
/// Models that run through ONNX Runtime, by version and settings: a reload goes on with the threads there are.
static RUNNING: Mutex<Vec<(String, Weak<OnnxScorer>)>> = Mutex::new(Vec::new());
/// It is said once that there is no library.
static MISSED: OnceLock<()> = OnceLock::new();

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

/// A classifier that can be asked.
#[derive(Clone, Debug)]
pub struct Classifier {
    /// What it is made of; evaluates prompts itself where nobody else does.
    pub model: Arc<RouteModel>,
    onnx: Option<(Arc<OnnxScorer>, Duration)>,
}

impl Classifier {
    /// How well each head's model would answer.
    ///
    /// # Errors
    /// Why it does not say.
    pub async fn score(&self, text: &str) -> Result<Scores, Unscored> {
        let scores = match &self.onnx {
            None => self.model.score(text),
            // Boxed: it is seldom asked for, and would be part of every request's future.
            Some((scorer, deadline)) => {
                Box::pin(scorer.score(text, Instant::now() + *deadline)).await.map_err(|_| Unscored::Late)?
            }
        };
        scores.map_err(|problem| {
            tracing::warn!(%problem, "the router's model has no score for a prompt");
            Unscored::BadScore
        })
    }
}

/// The classifiers of one snapshot.
#[derive(Debug)]
pub struct Classifiers<'m> {
    metrics: &'m RouteMetrics,
    config: &'m RouterConfig,
    loaded: HashMap<String, Option<Classifier>>,
    /// The inner one is None when it cannot be used.
    transformer: Option<Option<Arc<Transformer>>>,
}

impl<'m> Classifiers<'m> {
    /// None yet.
    pub fn new(metrics: &'m RouteMetrics, config: &'m RouterConfig) -> Self {
        Self { metrics, config, loaded: HashMap::new(), transformer: None }
    }

    /// The classifier of this name; None when it cannot be used, which is said once and shown as a metric.
    pub fn named(&mut self, name: &str) -> Option<Classifier> {
        if let Some(known) = self.loaded.get(name) {
            return known.clone();
        }
        let loaded = load(name);
        if let Err(problem) = &loaded {
            tracing::error!(%problem, "a classifier cannot be used: its routes send everything to their default model");
        }
        self.metrics.classifier_up.with_label_values(&[name]).set(i64::from(loaded.is_ok()));
        let onnx = |model: &Arc<RouteModel>| self.onnx(name, model);
        let loaded = loaded.ok().map(|model| Classifier { onnx: onnx(&model), model });
        self.loaded.insert(name.to_owned(), loaded.clone());
        loaded
    }

    /// The second stage; None where none is configured. One that cannot be used is said at each load, and shown as a metric.
    pub(super) fn stage1(&mut self) -> Option<Stage1> {
        let config = self.config.stage1.as_ref()?;
        let transformer = self.transformer.get_or_insert_with(|| {
            let opened = stage1::open(config, &library_places(self.config));
            self.metrics.stage1_up.with_label_values::<&str>(&[]).set(i64::from(opened.is_ok()));
            opened
                .inspect_err(|problem| tracing::error!(%problem, "router.stage1: classifiers decide alone"))
                .ok()
        });
        Some(Stage1::new(transformer.clone(), config))
    }

    /// Where it runs through ONNX Runtime; None leaves it to the built-in evaluator.
    fn onnx(&self, name: &str, model: &Arc<RouteModel>) -> Option<(Arc<OnnxScorer>, Duration)> {
        if self.config.runtime == ModelRuntime::Builtin {
            return None;
        }
        let started = start(name, model, self.config);
        self.metrics.onnx_up.with_label_values(&[name]).set(i64::from(started.is_ok()));
        match started {
            Ok(scorer) => Some((scorer, self.config.deadline.0)),
            Err(problem @ OnnxError::Runtime(_)) => {
                MISSED.get_or_init(|| tracing::error!(%problem, "the built-in evaluator takes over"));
                None
            }
            Err(problem) => {
                tracing::error!(classifier = name, %problem, "the built-in evaluator takes over");
                None
            }
        }
    }
}

/// The threads that run a model already, or new ones.
fn start(name: &str, model: &Arc<RouteModel>, config: &RouterConfig) -> Result<Arc<OnnxScorer>, OnnxError> {
    let runtime = Runtime::load(&library_places(config))?;
    let file = if name == BUILTIN { onnx::shipped().to_vec() } else { read(&onnx::beside(Path::new(name)))? };
    let (threads, queue) = (config.threads as usize, config.queue as usize);
    let key = format!("{} {threads} {queue} {:x}", model.version(), crc32fast::hash(&file));
    let mut running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
    running.retain(|(_, scorer)| scorer.strong_count() > 0);
    let known = running.iter().find(|(known, _)| *known == key).and_then(|(_, scorer)| scorer.upgrade());
    if let Some(known) = known {
        return Ok(known);
    }
    let started = Arc::new(OnnxScorer::start(runtime, &file, model, threads, queue)?);
    running.push((key, Arc::downgrade(&started)));
    Ok(started)
}

fn read(path: &Path) -> Result<Vec<u8>, OnnxError> {
    std::fs::read(path)
        .map_err(|problem| OnnxError::Unreadable { path: path.to_owned(), problem: problem.to_string() })
}

/// Where the library may be, the first one first.
pub fn library_places(config: &RouterConfig) -> Vec<PathBuf> {
    let beside = std::env::current_exe().ok().and_then(|program| Some(program.parent()?.join(LIBRARY)));
    let configured = config.library.as_ref().map(PathBuf::from);
    onnxruntime_path().into_iter().chain(configured).chain(beside).collect()
}
