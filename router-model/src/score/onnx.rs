//! The same model through ONNX Runtime, where its library is found. Without the library [`super::linear`] does the work.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use ort::session::Session;
use ort::value::Tensor;

use super::features::Features;
use super::{RouteModel, ScoreError, Scores};
use crate::Unanswered;
use crate::pool::Pool;
use crate::runtime::{Runtime, RuntimeFault};

/// Text on which a session is tried out before anyone depends on it.
const TRIAL: &str = "Which of 2 and 3 is larger, and why?";

/// Why a model does not run through ONNX Runtime.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum OnnxError {
    /// There is no runtime.
    #[error(transparent)]
    Runtime(#[from] RuntimeFault),
    /// The model's file cannot be read.
    #[error("cannot read the router's model {}: {problem}", path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// What the system says.
        problem: String,
    },
    /// The model is damaged, of another opset or has another interface.
    #[error("ONNX Runtime refuses the router's model: {0}; export it anew with router-model/train/export.py")]
    Refused(String),
    /// A thread cannot start.
    #[error("a thread for ONNX Runtime cannot start: {0}")]
    NoThread(String),
}

/// A model behind its queue.
#[derive(Debug)]
pub struct OnnxScorer {
    pool: Pool<Features, Result<Scores, ScoreError>>,
}

impl OnnxScorer {
    /// Starts threads that evaluate `model`, the ONNX file of `reference`.
    ///
    /// # Errors
    /// When the model cannot be used: it is tried out here.
    pub fn start(
        runtime: &'static Runtime,
        model: &[u8],
        reference: &Arc<RouteModel>,
        threads: usize,
        queue: usize,
    ) -> Result<Self, OnnxError> {
        let worker = |_| {
            let mut session =
                runtime.session(model).map_err(|problem| OnnxError::Refused(problem.to_string()))?;
            try_out(&mut session, reference)?;
            let reference = reference.clone();
            Ok(move |features, _| evaluate(&mut session, &reference, features))
        };
        let workers = (0..threads.max(1)).map(worker).collect::<Result<Vec<_>, OnnxError>>()?;
        let pool = Pool::start("onnx", workers, queue);
        Ok(Self { pool: pool.map_err(|problem| OnnxError::NoThread(problem.to_string()))? })
    }

    /// Scores a prompt on a thread of the model's, by then or not at all.
    ///
    /// # Errors
    /// Why nobody answers; within, why the model has no score.
    pub async fn score(
        &self,
        prompt: &str,
        until: Instant,
    ) -> Result<Result<Scores, ScoreError>, Unanswered> {
        let mut features = Features::default();
        features.read(prompt);
        self.pool.ask(features, until).await
    }
}

/// The ONNX file of a model, which lies beside the one that the gateway reads.
#[must_use]
pub fn beside(model: &Path) -> PathBuf {
    model.with_extension("onnx")
}

/// That of the model which this program carries.
#[must_use]
pub fn shipped() -> &'static [u8] {
    include_bytes!("../../models/lexical-v1.onnx")
}

fn evaluate(session: &mut Session, reference: &RouteModel, features: Features) -> Result<Scores, ScoreError> {
    let quality = run(session, features).map_err(|problem| ScoreError::Runtime(problem.to_string()))?;
    if quality.len() != reference.heads().len() {
        return Err(ScoreError::Runtime(format!("{} heads, not {}", quality.len(), reference.heads().len())));
    }
    reference.scores(quality)
}

fn run(session: &mut Session, features: Features) -> ort::Result<Vec<f32>> {
    let count = features.buckets.len();
    let buckets: Vec<i64> = features.buckets.into_iter().map(i64::from).collect();
    let outputs = session.run(ort::inputs![
        "buckets" => Tensor::from_array(([count], buckets))?,
        "weights" => Tensor::from_array(([count], features.weights))?,
        "hand" => Tensor::from_array(([features.hand.len()], features.hand.to_vec()))?,
    ])?;
    let quality = outputs.get("quality").ok_or_else(|| ort::Error::new("there is no output `quality`"))?;
    Ok(quality.try_extract_tensor::<f32>()?.1.to_vec())
}

/// Its interface fits. What it says is for each prompt to find out.
fn try_out(session: &mut Session, reference: &RouteModel) -> Result<(), OnnxError> {
    let mut features = Features::default();
    features.read(TRIAL);
    let quality = run(session, features).map_err(|problem| OnnxError::Refused(problem.to_string()))?;
    let (found, wanted) = (quality.len(), reference.heads().len());
    if found == wanted {
        return Ok(());
    }
    Err(OnnxError::Refused(format!("it has {found} heads, its model {wanted}")))
}
