//! The built-in evaluator: rows of the table, added up by weight, and a small matrix. The same tensors as the ONNX file.

use super::features::Features;
use super::weights::Weights;

/// One logit a head.
#[must_use]
pub(super) fn logits(weights: &Weights, features: &Features) -> Vec<f32> {
    let heads = weights.head.heads.len();
    let mut inputs = vec![0.0_f32; heads];
    for (bucket, weight) in features.buckets.iter().zip(&features.weights) {
        for (sum, cell) in inputs.iter_mut().zip(weights.row(*bucket)) {
            *sum += weight * f32::from(*cell);
        }
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
