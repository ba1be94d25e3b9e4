//! The same model through ONNX Runtime, where its library is found. Sessions run on threads of their own, behind a queue of
//! limited length; what waits longer than its caller does is not evaluated. Without the library [`super::linear`] does the
//! work.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Instant;

use ort::environment::Environment;
use ort::session::Session;
use ort::session::builder::GraphOptimizationLevel;
use ort::value::Tensor;

use super::features::Features;
use super::{RouteModel, ScoreError, Scores};

/// What the library is called beside the program.
pub const LIBRARY: &str = "libonnxruntime.so";
/// Text on which a session is tried out before anyone depends on it.
const TRIAL: &str = "Which of 2 and 3 is larger, and why?";

/// The library is loaded once in a process, and stays.
static RUNTIME: OnceLock<Result<Runtime, OnnxError>> = OnceLock::new();

/// The loaded library.
#[derive(Debug)]
pub struct Runtime {
    environment: Environment,
    /// Where it was found.
    pub library: PathBuf,
}

/// Why a model does not run through ONNX Runtime.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum OnnxError {
    /// The library is nowhere.
    #[error(
        "ONNX Runtime is not there (looked at {}): run scripts/fetch-onnxruntime, or set ORT_DYLIB_PATH or `router.library`",
        places(.0)
    )]
    NoLibrary(Vec<PathBuf>),
    /// It cannot be used.
    #[error("ONNX Runtime in {} cannot be used: {problem}; scripts/fetch-onnxruntime brings one that can", library.display())]
    BadLibrary {
        /// Which.
        library: PathBuf,
        /// What it says.
        problem: String,
    },
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

/// More wait already than may.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Busy;

/// A model behind its queue. When the last owner is gone its threads end.
#[derive(Debug)]
pub struct OnnxScorer {
    queue: SyncSender<Job>,
}

/// What is said when a prompt is scored.
pub type Reply = Box<dyn FnOnce(Result<Scores, ScoreError>) + Send>;

struct Job {
    features: Features,
    /// Nobody waits any longer.
    until: Instant,
    reply: Reply,
}

impl Runtime {
    /// The library at the first of these places where there is a file.
    ///
    /// # Errors
    /// When there is none, or it cannot be used. The first answer stays for the life of the process.
    pub fn load(places: &[PathBuf]) -> Result<&'static Self, OnnxError> {
        let load = || {
            let Some(library) = places.iter().find(|place| place.is_file()) else {
                return Err(OnnxError::NoLibrary(places.to_vec()));
            };
            let bad = |problem: String| OnnxError::BadLibrary { library: library.clone(), problem };
            let builder = ort::init_from(library).map_err(|problem| bad(problem.to_string()))?;
            let environment =
                builder.with_name("signalbox").build().map_err(|problem| bad(problem.to_string()))?;
            Ok(Self { environment, library: library.clone() })
        };
        RUNTIME.get_or_init(load).as_ref().map_err(Clone::clone)
    }

    fn session(&self, model: &[u8]) -> ort::Result<Session> {
        Session::builder(&self.environment)?
            .with_optimization_level(GraphOptimizationLevel::Level3)?
            .with_intra_threads(1)?
            .with_intra_op_spinning(false)?
            .commit_from_memory(model)
    }
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
        let (sender, receiver) = sync_channel(queue.max(1));
        let receiver = Arc::new(Mutex::new(receiver));
        for number in 0..threads.max(1) {
            let mut session =
                runtime.session(model).map_err(|problem| OnnxError::Refused(problem.to_string()))?;
            try_out(&mut session, reference)?;
            let (receiver, reference) = (receiver.clone(), reference.clone());
            std::thread::Builder::new()
                .name(format!("onnx-{number}"))
                .spawn(move || work(&receiver, &mut session, &reference))
                .map_err(|problem| OnnxError::NoThread(problem.to_string()))?;
        }
        Ok(Self { queue: sender })
    }

    /// Scores a prompt on a thread of the model's. `reply` is not called when that is late.
    ///
    /// # Errors
    /// When the queue is full.
    pub fn submit(&self, prompt: &str, until: Instant, reply: Reply) -> Result<(), Busy> {
        let mut features = Features::default();
        features.read(prompt);
        self.queue.try_send(Job { features, until, reply }).map_err(|refused| match refused {
            TrySendError::Full(_) | TrySendError::Disconnected(_) => Busy,
        })
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

/// Until the last owner of the queue is gone.
fn work(receiver: &Mutex<Receiver<Job>>, session: &mut Session, reference: &RouteModel) {
    loop {
        let next = receiver.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(Job { features, until, reply }) = next else { return };
        if Instant::now() < until {
            reply(evaluate(session, reference, features));
        }
    }
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

fn places(all: &[PathBuf]) -> String {
    let all: Vec<String> = all.iter().map(|place| place.display().to_string()).collect();
    all.join(", ")
}
