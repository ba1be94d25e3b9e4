//! What makes vectors of questions: the built-in table, at once, or a transformer by a deadline. Where the transformer is
//! wanted and cannot be used the table does its work; which of both made a vector is never mixed up.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use router_model::embed::{StaticEmbedder, TableFault};
use router_model::encoder::{EncodeError, Encoder, EncoderFault, Output, Settings};
use router_model::runtime::Runtime;
use twox_hash::XxHash3_64;

use crate::config::{Config, Embedder, MinilmConfig, SemanticCacheConfig};
use crate::routing::library_places;
use crate::snapshot::Model;

/// How the folder is called beside the program.
const FOLDER: &str = "minilm";

/// What makes vectors.
#[derive(Debug)]
pub(super) struct Embedders {
    table: &'static StaticEmbedder,
    /// None where none is wanted, or where it cannot be used.
    transformer: Option<Transformer>,
    /// What a model has that says nothing of it.
    default: Embedder,
    is_wanted: bool,
    made: AtomicU64,
    late: AtomicU64,
    busy: AtomicU64,
    failed: AtomicU64,
}

#[derive(Debug)]
struct Transformer {
    encoder: Encoder,
    patience: Duration,
    salt: u128,
}

/// What became of texts that a transformer was asked about; counts begin with the process.
#[derive(Clone, Copy, Debug)]
pub struct EncoderCounts {
    /// It can be used.
    pub is_up: bool,
    /// Vectors made.
    pub made: u64,
    /// It took longer than the deadline.
    pub late: u64,
    /// Too many waited.
    pub busy: u64,
    /// It gave nothing of use.
    pub failed: u64,
}

impl Embedders {
    /// Opens what the configuration wants. A transformer that cannot be used is said once.
    pub(super) fn open(config: &SemanticCacheConfig, whole: &Config) -> Result<Self, TableFault> {
        let is_wanted = whole.wants_minilm();
        let open = || open_minilm(&config.minilm, &library_places(&whole.router));
        let transformer = is_wanted.then(open).and_then(|opened| match opened {
            Ok(encoder) => {
                tracing::info!(model = encoder.version(), "a transformer makes vectors of questions");
                let salt = salt(encoder.checksum());
                Some(Transformer { encoder, patience: config.minilm.deadline.0, salt })
            }
            Err(problem) => {
                tracing::error!(%problem, "cache.semantic: the built-in table makes the vectors instead of MiniLM");
                None
            }
        });
        Ok(Self {
            table: StaticEmbedder::built_in()?,
            transformer,
            default: config.embedder,
            is_wanted,
            made: AtomicU64::new(0),
            late: AtomicU64::new(0),
            busy: AtomicU64::new(0),
            failed: AtomicU64::new(0),
        })
    }

    /// Which one makes the vectors of questions to a model.
    pub(super) fn for_model(&self, model: &Model) -> Embedder {
        match model.embedder.unwrap_or(self.default) {
            Embedder::Minilm if self.transformer.is_some() => Embedder::Minilm,
            _ => Embedder::Static,
        }
    }

    /// What keeps its vectors apart from those of others; 0 for the built-in table.
    pub(super) fn salt(&self, embedder: Embedder) -> u128 {
        match (embedder, &self.transformer) {
            (Embedder::Minilm, Some(transformer)) => transformer.salt,
            _ => 0,
        }
    }

    /// The table's vector.
    pub(super) fn table(&self, text: &str) -> Option<Vec<f32>> {
        self.table.embed(text)
    }

    /// The transformer's vector, by the deadline of requests or by another one.
    pub(super) async fn transformed(&self, text: &str, patience: Option<Duration>) -> Option<Vec<f32>> {
        let transformer = self.transformer.as_ref()?;
        let made = transformer.encoder.encode(text, patience.unwrap_or(transformer.patience)).await;
        let counter = match &made {
            Ok(_) => &self.made,
            Err(problem) => match problem.label() {
                "late" => &self.late,
                "busy" => &self.busy,
                _ => &self.failed,
            },
        };
        counter.fetch_add(1, Ordering::Relaxed);
        if let Err(problem @ EncodeError::Failed(_)) = &made {
            tracing::warn!(%problem, "a question has no vector");
        }
        made.ok()
    }

    /// What became of texts so far; None where no transformer is wanted.
    pub(super) fn counts(&self) -> Option<EncoderCounts> {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        self.is_wanted.then(|| EncoderCounts {
            is_up: self.transformer.is_some(),
            made: count(&self.made),
            late: count(&self.late),
            busy: count(&self.busy),
            failed: count(&self.failed),
        })
    }
}

/// Another model's vectors, or another build's, are others.
fn salt(checksum: &str) -> u128 {
    let half = |seed| u128::from(XxHash3_64::oneshot_with_seed(seed, checksum.as_bytes()));
    half(1) << 64 | half(2)
}

/// Opens MiniLM's folder, or one of its kind.
///
/// # Errors
/// What is missing or damaged.
pub fn open_minilm(config: &MinilmConfig, libraries: &[PathBuf]) -> Result<Encoder, EncoderFault> {
    let settings = Settings {
        output: Output::Embedding,
        max_tokens: config.max_tokens as usize,
        threads: config.threads as usize,
        queue: config.queue as usize,
    };
    Encoder::open(Runtime::load(libraries)?, &minilm_folder(config.path.as_deref()), settings)
}

/// The folder that is configured, or the one beside the program; of a program in `target/release`, that in `target`.
pub fn minilm_folder(configured: Option<&str>) -> PathBuf {
    if let Some(configured) = configured {
        return configured.into();
    }
    let program = std::env::current_exe().unwrap_or_default();
    let places = program.ancestors().skip(1).take(2).map(|folder| folder.join(FOLDER));
    let beside = program.parent().unwrap_or(Path::new("")).join(FOLDER);
    places.into_iter().find(|place| place.is_dir()).unwrap_or(beside)
}
