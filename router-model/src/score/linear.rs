//! The built-in evaluator: rows of the table, added up by weight; a small matrix and a softmax for what kind of task the
//! prompt is; a small matrix for the heads. The same tensors as the ONNX file.

use super::features::Features;
use super::sigmoid;
use super::weights::Weights;

/// The probability of each head.
#[must_use]
pub(super) fn quality(weights: &Weights, features: &Features) -> Vec<f32> {
    let mut quality = logits(weights, features);
    for (logit, floor) in quality.iter_mut().zip(&weights.floor) {
        *logit = lifted(*logit, *floor);
    }
    quality
}

/// A probability that does not fall below `floor`: who guesses is right now and then.
#[must_use]
pub(super) fn lifted(logit: f32, floor: f32) -> f32 {
    floor + (1.0 - floor) * sigmoid(logit)
}

fn logits(weights: &Weights, features: &Features) -> Vec<f32> {
    let sums = Sums::of(weights, features);
    let likely = likely_kinds(weights, features, sums.kinds());
    let (heads, kinds, hand) = (sums.heads().iter().copied(), likely.into_iter(), features.hand);
    let Some(open) = weights.open(features) else {
        let mut logits = weights.bias.clone();
        add(&mut logits, &weights.matrix, heads.chain(kinds).chain(hand));
        return logits;
    };
    let mut logits = open.bias.clone();
    let heads = heads.zip(&open.words).map(|(sum, part)| sum * part);
    // The rows of the features made by hand, the last of the matrix, are left for those of `open`.
    add(&mut logits, &weights.matrix, heads.chain(kinds));
    add(&mut logits, &open.hand, hand);
    logits
}

/// What the table says of a prompt, brought to length 1.
pub(super) struct Sums {
    /// One for each head, one for each kind.
    sums: Vec<f32>,
    heads: usize,
    /// Of the prompt's weights, each multiplied by how telling its row is. The least telling row counts 1.
    pub(super) length: f32,
}

impl Sums {
    pub(super) fn of(weights: &Weights, features: &Features) -> Self {
        let heads = weights.head.heads.len();
        let mut sums = vec![0.0_f32; heads + weights.head.kinds.len() + 1];
        let mut squares = 0.0_f32;
        for (weight, row) in weights.rows(features) {
            for (sum, cell) in sums.iter_mut().zip(row) {
                *sum += weight * f32::from(*cell);
            }
            squares += (weight * f32::from(row.last().copied().unwrap_or(1))).powi(2);
        }
        sums.pop();
        let length = squares.sqrt().max(1.0);
        for sum in &mut sums {
            *sum /= length;
        }
        Self { sums, heads, length }
    }

    fn heads(&self) -> &[f32] {
        self.sums.get(..self.heads).unwrap_or_default()
    }

    pub(super) fn kinds(&self) -> &[f32] {
        self.sums.get(self.heads..).unwrap_or_default()
    }
}

/// How probable it is that a prompt is of each kind, from the table's sums for the kinds.
pub(super) fn likely_kinds(weights: &Weights, features: &Features, sums: &[f32]) -> Vec<f32> {
    let mut likely = weights.kind_bias.clone();
    add(&mut likely, &weights.kind_matrix, sums.iter().copied().chain(features.hand));
    let most = likely.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    likely.iter_mut().for_each(|logit| *logit = (*logit - most).exp());
    let total: f32 = likely.iter().sum();
    likely.iter_mut().for_each(|part| *part /= total);
    likely
}

/// Adds each input times its row of a matrix.
fn add(logits: &mut [f32], matrix: &[f32], inputs: impl IntoIterator<Item = f32>) {
    for (input, row) in inputs.into_iter().zip(matrix.chunks_exact(logits.len().max(1))) {
        for (logit, cell) in logits.iter_mut().zip(row) {
            *logit += input * cell;
        }
    }
}
