//! Transformers in this process: a folder with `model.onnx` and `tokenizer.json` (or a BERT's `vocab.txt`) becomes a text's
//! vector or a classifier's probabilities, on threads of its own and by a deadline. Knows nothing of who asks or why.

mod network;
mod pace;
mod tokens;

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use sha2::Digest;

use network::Network;
pub use network::Output;
use pace::Pace;
use tokens::Tokens;

use crate::Unanswered;
use crate::pool::Pool;
use crate::runtime::{Runtime, RuntimeFault};

/// In the folder.
const MODEL: &str = "model.onnx";
/// Text on which a session is tried out before anyone depends on it.
const TRIAL: &str = "Which of 2 and 3 is larger, and why?";

/// How an encoder works.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Settings {
    /// What is read of its output.
    pub output: Output,
    /// So much of a text is read.
    pub max_tokens: usize,
    /// Threads, each with a session of its own.
    pub threads: usize,
    /// Texts that wait for them.
    pub queue: usize,
}

/// Why a folder has no encoder that works.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum EncoderFault {
    /// There is no runtime.
    #[error(transparent)]
    Runtime(#[from] RuntimeFault),
    /// A file cannot be read.
    #[error("cannot read {}: {problem}; scripts/fetch-minilm brings such a folder", path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// What the system says.
        problem: String,
    },
    /// The tokenizer is damaged or of a kind that is not known.
    #[error("the tokenizer in {} cannot be used: {problem}; fetch or export the folder again", folder.display())]
    Tokenizer {
        /// Where.
        folder: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// The model is damaged, of another opset or has another interface.
    #[error("ONNX Runtime refuses the model in {}: {problem}; fetch or export the folder again", folder.display())]
    Refused {
        /// Where.
        folder: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// A thread cannot start.
    #[error("a thread for the model cannot start: {0}")]
    NoThread(String),
}

/// Why a text has no numbers.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum EncodeError {
    /// Nobody answered.
    #[error(transparent)]
    Unanswered(#[from] Unanswered),
    /// The model gave something else.
    #[error("the model gave nothing of use: {0}")]
    Failed(String),
}

impl EncodeError {
    /// As metrics name it.
    #[must_use]
    pub fn label(&self) -> &'static str {
        match self {
            Self::Unanswered(Unanswered::Busy) => "busy",
            Self::Unanswered(Unanswered::Late) => "late",
            Self::Unanswered(Unanswered::Broken) | Self::Failed(_) => "failed",
        }
    }
}

/// A transformer behind its queue.
#[derive(Debug)]
pub struct Encoder {
    pool: Pool<String, Result<Vec<f32>, EncodeError>>,
    longest_bytes: usize,
    width: usize,
    name: String,
    checksum: String,
}

impl Encoder {
    /// Loads a folder and tries it out; takes a tenth of a second for a small model.
    ///
    /// # Errors
    /// When something of it cannot be used.
    pub fn open(runtime: &'static Runtime, folder: &Path, settings: Settings) -> Result<Self, EncoderFault> {
        let tokens = Tokens::open(folder, settings.max_tokens)?;
        let longest_bytes = tokens.longest_bytes();
        let model = folder.join(MODEL);
        let checksum = checksum(&read(&model)?);
        let name = folder.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        let refused = |problem| EncoderFault::Refused { folder: folder.to_owned(), problem };
        let mut width = 0;
        let mut workers = Vec::new();
        for _ in 0..settings.threads.max(1) {
            let session = runtime.session_of(&model).map_err(|problem| refused(problem.to_string()))?;
            let mut network = Network::new(session, settings.output).map_err(refused)?;
            let tokens = tokens.clone();
            let mut pace = Pace::default();
            let mut worker = move |text: String, until: Instant| -> Result<Vec<f32>, EncodeError> {
                let tokens = tokens.of(&text).map_err(EncodeError::Failed)?;
                let began = Instant::now();
                if !pace.allows(tokens.len(), began, until) {
                    return Err(Unanswered::Late.into());
                }
                let numbers = network.run(&tokens)?;
                pace.saw(tokens.len(), began.elapsed());
                Ok(numbers)
            };
            // Nothing is known of its pace: it runs, however long it takes.
            let tried = worker(TRIAL.to_owned(), Instant::now());
            width = tried.map_err(|problem| refused(problem.to_string()))?.len();
            workers.push(worker);
        }
        let pool = Pool::start("encoder", workers, settings.queue);
        let pool = pool.map_err(|problem| EncoderFault::NoThread(problem.to_string()))?;
        Ok(Self { pool, longest_bytes, width, name, checksum })
    }

    /// How many numbers a text gets: dimensions or heads.
    #[must_use]
    pub fn width(&self) -> usize {
        self.width
    }

    /// The folder's name and the beginning of its checksum, as in `minilm@0123456789ab`.
    #[must_use]
    pub fn version(&self) -> String {
        format!("{}@{}", self.name, self.checksum.get(..12).unwrap_or_default())
    }

    /// The SHA-256 of its model: what another one says is not to be compared.
    #[must_use]
    pub fn checksum(&self) -> &str {
        &self.checksum
    }

    /// The numbers of a text's beginning: a vector of length 1, or probabilities. It waits no longer than `patience`.
    ///
    /// # Errors
    /// Why there are none.
    pub async fn encode(&self, text: &str, patience: Duration) -> Result<Vec<f32>, EncodeError> {
        let text = text.get(..text.floor_char_boundary(self.longest_bytes)).unwrap_or(text).to_owned();
        self.pool.ask(text, Instant::now() + patience).await?
    }
}

fn checksum(bytes: &[u8]) -> String {
    let mut digits = String::new();
    for byte in sha2::Sha256::digest(bytes) {
        // Writing to a text cannot fail.
        let _ = write!(digits, "{byte:02x}");
    }
    digits
}

fn read(path: &Path) -> Result<Vec<u8>, EncoderFault> {
    std::fs::read(path)
        .map_err(|problem| EncoderFault::Unreadable { path: path.to_owned(), problem: problem.to_string() })
}
