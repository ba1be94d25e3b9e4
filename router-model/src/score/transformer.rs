//! A second opinion on a prompt: a transformer that was trained on the same labels, blended with the linear model head by
//! head. Whether it is worth asking is for the caller to judge.

use std::path::Path;
use std::time::Duration;

use serde::Deserialize;

use super::{RouteModel, ScoreError, Scores};
use crate::encoder::{EncodeError, Encoder, EncoderFault, Output, Settings};
use crate::runtime::Runtime;

/// Beside the model, in its folder.
const CARD: &str = "card.json";
/// No transformer that runs on a processor in time reads more.
const MOST_TOKENS: usize = 512;

/// What the folder says of its model.
#[derive(Clone, Debug, Deserialize)]
pub struct Card {
    /// The names of its outputs, among those of the linear model's heads.
    pub heads: Vec<String>,
    /// How much it counts beside the linear model, 0 to 1.
    #[serde(default = "half")]
    pub blend: f32,
    /// So much of a prompt it reads.
    #[serde(default = "usual_tokens")]
    pub max_tokens: usize,
}

fn half() -> f32 {
    0.5
}

fn usual_tokens() -> usize {
    128
}

/// A transformer with its card.
#[derive(Debug)]
pub struct Transformer {
    encoder: Encoder,
    card: Card,
}

/// What it says of a prompt, in the order of its card's heads.
#[derive(Clone, Debug, PartialEq)]
pub struct Opinion(Vec<f32>);

impl Transformer {
    /// Opens a folder with `model.onnx`, a tokenizer and `card.json`.
    ///
    /// # Errors
    /// What is missing, damaged or does not fit.
    pub fn open(
        runtime: &'static Runtime,
        folder: &Path,
        threads: usize,
        queue: usize,
    ) -> Result<Self, EncoderFault> {
        let path = folder.join(CARD);
        let unreadable = |problem: String| EncoderFault::Unreadable { path: path.clone(), problem };
        let text = std::fs::read(&path).map_err(|problem| unreadable(problem.to_string()))?;
        let card: Card = serde_json::from_slice(&text).map_err(|problem| unreadable(problem.to_string()))?;
        if !(0.0..=1.0).contains(&card.blend) || card.heads.is_empty() {
            return Err(unreadable("`heads` must not be empty, and `blend` lies between 0 and 1".to_owned()));
        }
        let max_tokens = card.max_tokens.min(MOST_TOKENS);
        let settings = Settings { output: Output::Probabilities, max_tokens, threads, queue };
        let encoder = Encoder::open(runtime, folder, settings)?;
        if encoder.width() != card.heads.len() {
            let problem =
                format!("it has {} outputs, and {CARD} names {} heads", encoder.width(), card.heads.len());
            return Err(EncoderFault::Refused { folder: folder.to_owned(), problem });
        }
        Ok(Self { encoder, card })
    }

    /// Name and checksum, as in `stage1@0123456789ab`.
    #[must_use]
    pub fn version(&self) -> String {
        self.encoder.version()
    }

    /// Whether it knows any head of a model's.
    #[must_use]
    pub fn knows(&self, model: &RouteModel) -> bool {
        self.card.heads.iter().any(|head| model.head(head).is_some())
    }

    /// What it says of a prompt, within that time or not at all.
    ///
    /// # Errors
    /// Why it says nothing.
    pub async fn opinion(&self, prompt: &str, patience: Duration) -> Result<Opinion, EncodeError> {
        self.encoder.encode(prompt, patience).await.map(Opinion)
    }

    /// The probability of one of the model's heads by this opinion alone; None when it does not know that head.
    #[must_use]
    pub fn quality(&self, model: &RouteModel, opinion: &Opinion, head: usize) -> Option<f32> {
        let at = self.card.heads.iter().position(|known| model.head(known) == Some(head))?;
        opinion.0.get(at).copied()
    }

    /// Both together: of each head that this one knows the mean, weighted by the card's blend; of the others the linear
    /// model's alone.
    ///
    /// # Errors
    /// When the result is no probability.
    pub fn blend(
        &self,
        model: &RouteModel,
        scores: &Scores,
        opinion: &Opinion,
    ) -> Result<Scores, ScoreError> {
        let mut quality = scores.quality().to_vec();
        for (head, said) in self.card.heads.iter().zip(&opinion.0) {
            if let Some(known) = model.head(head).and_then(|at| quality.get_mut(at)) {
                *known += self.card.blend * (said - *known);
            }
        }
        model.scores(quality)
    }
}
