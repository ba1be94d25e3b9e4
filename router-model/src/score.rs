//! How well each model would answer a prompt, as a calibrated probability: hashed words and a few features made by hand
//! into linear heads, one for each model. Knows nothing of prices or policies: the gateway decides.

mod explain;
mod features;
mod hand;
mod linear;
pub mod onnx;
pub mod transformer;
mod weights;
mod words;

use std::cell::RefCell;
use std::path::{Path, PathBuf};

pub use explain::{Explanation, Reason};
pub use features::{BUCKET_BITS, FEATURES_VERSION, Features, TEXT_CAP_BYTES};
pub use hand::{HAND, HAND_NAMES};
use weights::Weights;

/// The name that always stands for the weaker model of the calibrated pair.
pub const WEAK: &str = "weak";
/// The name that always stands for the stronger model of the calibrated pair.
pub const STRONG: &str = "strong";

const SHIPPED: &[u8] = include_bytes!("../models/lexical-v1.sbm");

thread_local! {
    /// A thread's features, reused from prompt to prompt.
    static FEATURES: RefCell<Features> = RefCell::default();
}

/// Why there is no model.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// The file cannot be read.
    #[error("cannot read the router's model {}: {problem}", path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        problem: std::io::Error,
    },
    /// The file is not such a model, or damaged.
    #[error(
        "the router's model is damaged or none: {0}; build it anew with router-model/train, or use the shipped one"
    )]
    Damaged(String),
    /// The model wants features that this program does not make.
    #[error(
        "the router's model was trained with features of version {found}, this program makes version {FEATURES_VERSION}: train it anew"
    )]
    OtherFeatures {
        /// The model's version.
        found: u32,
    },
}

/// Why a prompt has no score.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ScoreError {
    /// A probability is not a number between 0 and 1.
    #[error("the router's model gives {head} no probability but {score}")]
    NotAProbability {
        /// Whose.
        head: String,
        /// What instead.
        score: String,
    },
    /// ONNX Runtime failed.
    #[error("ONNX Runtime failed on a prompt: {0}")]
    Runtime(String),
}

/// A model that scores prompts. Cheap to share, immutable.
#[derive(Clone, Debug)]
pub struct RouteModel {
    weights: Weights,
}

/// What a model says of one prompt.
#[derive(Clone, Debug, PartialEq)]
pub struct Scores {
    quality: Vec<f32>,
    strong_win: f32,
    quantile: f32,
}

impl Scores {
    /// For each head, in the order of [`RouteModel::heads`], the probability that its model answers well.
    #[must_use]
    pub fn quality(&self) -> &[f32] {
        &self.quality
    }

    /// The win rate of the calibrated pair's stronger model over its weaker one, as RouteLLM's routers give it.
    #[must_use]
    pub fn strong_win(&self) -> f32 {
        self.strong_win
    }

    /// The share of calibration prompts whose win rate is lower: send a prompt to the strong model when this is at least
    /// `1 - p` and the share `p` of such prompts goes there.
    #[must_use]
    pub fn quantile(&self) -> f32 {
        self.quantile
    }
}

impl RouteModel {
    /// The model inside this program.
    ///
    /// # Errors
    /// When the program itself is damaged.
    pub fn shipped() -> Result<Self, ModelError> {
        Weights::parse(SHIPPED).map(|weights| Self { weights })
    }

    /// A model from a file that `router-model/train` wrote.
    ///
    /// # Errors
    /// When the file is missing, damaged or of another version.
    pub fn load(path: &Path) -> Result<Self, ModelError> {
        let bytes = std::fs::read(path)
            .map_err(|problem| ModelError::Unreadable { path: path.to_owned(), problem })?;
        Weights::parse(&bytes).map(|weights| Self { weights })
    }

    /// The names of the models that have a head. `weak` and `strong` are mixtral-8x7b and gpt-4-1106-preview in the
    /// shipped model.
    #[must_use]
    pub fn heads(&self) -> &[String] {
        &self.weights.head.heads
    }

    /// Where a model's score is in [`Scores::quality`].
    #[must_use]
    pub fn head(&self, name: &str) -> Option<usize> {
        self.heads().iter().position(|head| head == name)
    }

    /// The heads of the weaker and the stronger model of the calibrated pair.
    #[must_use]
    pub fn pair(&self) -> (usize, usize) {
        (self.weights.weak, self.weights.strong)
    }

    /// Name and first twelve digits of the file's SHA-256, as in `lexical-v1@0123456789ab`.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.weights.version
    }

    /// How well each model would answer.
    ///
    /// # Errors
    /// When the model yields something else than probabilities.
    pub fn score(&self, prompt: &str) -> Result<Scores, ScoreError> {
        FEATURES.with_borrow_mut(|features| {
            features.read(prompt);
            self.score_features(features)
        })
    }

    /// The same for features that were read already.
    ///
    /// # Errors
    /// When the model yields something else than probabilities.
    pub fn score_features(&self, features: &Features) -> Result<Scores, ScoreError> {
        self.scores(linear::quality(&self.weights, features))
    }

    /// What raw probabilities, one a head, say.
    fn scores(&self, quality: Vec<f32>) -> Result<Scores, ScoreError> {
        for (head, score) in self.heads().iter().zip(&quality) {
            if !(0.0..=1.0).contains(score) {
                return Err(ScoreError::NotAProbability { head: head.clone(), score: score.to_string() });
            }
        }
        let of = |at: usize| quality.get(at).copied().unwrap_or(0.5);
        let strong_win = win(of(self.weights.strong), of(self.weights.weak));
        let quantile = self.weights.quantile(strong_win);
        Ok(Scores { quality, strong_win, quantile })
    }

    /// The win rate above which the share `strong` (0 to 1) of the calibration prompts lies: a threshold for a wanted
    /// share.
    #[must_use]
    pub fn threshold_for_share(&self, strong: f32) -> f32 {
        self.weights.threshold(1.0 - strong.clamp(0.0, 1.0))
    }

    /// The share of calibration prompts whose win rate is lower than this one.
    #[must_use]
    pub fn quantile(&self, strong_win: f32) -> f32 {
        self.weights.quantile(strong_win)
    }

    /// Which words and features speak for and against each model.
    #[must_use]
    pub fn explain(&self, prompt: &str) -> Vec<Explanation> {
        explain::explain(&self.weights, prompt)
    }
}

/// The share of prompts like this where `strong` does better, when a tie counts half for each.
#[must_use]
pub fn win(strong: f32, weak: f32) -> f32 {
    (1.0 + strong - weak) / 2.0
}

fn sigmoid(logit: f32) -> f32 {
    1.0 / (1.0 + (-logit).exp())
}
