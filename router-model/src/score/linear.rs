//! The built-in evaluator: rows of the table, added up by weight, and a small matrix. The same tensors as the ONNX file.

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

/// The length of a prompt's weights, each multiplied by how telling its row is. The least telling row counts 1.
#[must_use]
pub(super) fn length(weights: &Weights, features: &Features) -> f32 {
    let squares = features.buckets.iter().zip(&features.weights).map(|(bucket, weight)| {
        let telling = weights.row(*bucket).last().copied().unwrap_or(1);
        (weight * f32::from(telling)).powi(2)
    });
    squares.sum::<f32>().sqrt().max(1.0)
}

fn logits(weights: &Weights, features: &Features) -> Vec<f32> {
    let heads = weights.head.heads.len();
    let mut inputs = vec![0.0_f32; heads + 1];
    let mut squares = 0.0_f32;
    for (bucket, weight) in features.buckets.iter().zip(&features.weights) {
        let row = weights.row(*bucket);
        for (sum, cell) in inputs.iter_mut().zip(row) {
            *sum += weight * f32::from(*cell);
        }
        squares += (weight * f32::from(row.last().copied().unwrap_or(1))).powi(2);
    }
    inputs.truncate(heads);
    let length = squares.sqrt().max(1.0);
    for sum in &mut inputs {
        *sum /= length;
    }
    inputs.extend_from_slice(&features.hand);
    mix(weights, &inputs)
}

/// The matrix: `inputs` are the table's sums, then the features made by hand.
fn mix(weights: &Weights, inputs: &[f32]) -> Vec<f32> {
    let mut logits = weights.bias.clone();
    for (input, row) in inputs.iter().zip(weights.matrix.chunks_exact(logits.len().max(1))) {
        for (logit, cell) in logits.iter_mut().zip(row) {
            *logit += input * cell;
        }
    }
    logits
}
