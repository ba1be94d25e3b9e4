//! The library of ONNX Runtime: found, loaded once, and asked for sessions. Knows no model.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use ort::environment::Environment;
use ort::session::Session;
use ort::session::builder::{GraphOptimizationLevel, SessionBuilder};

/// What the library is called beside the program.
pub const LIBRARY: &str = "libonnxruntime.so";

/// The library is loaded once in a process, and stays.
static RUNTIME: OnceLock<Result<Runtime, RuntimeFault>> = OnceLock::new();

/// The loaded library.
#[derive(Debug)]
pub struct Runtime {
    environment: Environment,
    /// Where it was found.
    pub library: PathBuf,
}

/// Why there is no ONNX Runtime.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum RuntimeFault {
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
}

impl Runtime {
    /// The library at the first of these places where there is a file.
    ///
    /// # Errors
    /// When there is none, or it cannot be used. The first answer stays for the life of the process.
    pub fn load(places: &[PathBuf]) -> Result<&'static Self, RuntimeFault> {
        let load = || {
            let Some(library) = places.iter().find(|place| place.is_file()) else {
                return Err(RuntimeFault::NoLibrary(places.to_vec()));
            };
            let bad = |problem: String| RuntimeFault::BadLibrary { library: library.clone(), problem };
            let builder = ort::init_from(library).map_err(|problem| bad(problem.to_string()))?;
            let environment =
                builder.with_name("signalbox").build().map_err(|problem| bad(problem.to_string()))?;
            Ok(Self { environment, library: library.clone() })
        };
        RUNTIME.get_or_init(load).as_ref().map_err(Clone::clone)
    }

    /// A session for a model's bytes.
    pub(crate) fn session(&self, model: &[u8]) -> ort::Result<Session> {
        self.builder()?.commit_from_memory(model)
    }

    /// A session for a model's file, which may name others beside it.
    pub(crate) fn session_of(&self, model: &Path) -> ort::Result<Session> {
        self.builder()?.commit_from_file(model)
    }

    /// Each session has its caller's thread and no more.
    fn builder(&self) -> ort::Result<SessionBuilder> {
        let builder = Session::builder(&self.environment)?
            .with_optimization_level(GraphOptimizationLevel::Level3)?
            .with_intra_threads(1)?
            .with_intra_op_spinning(false)?;
        Ok(builder)
    }
}

fn places(all: &[PathBuf]) -> String {
    let all: Vec<String> = all.iter().map(|place| place.display().to_string()).collect();
    all.join(", ")
}
