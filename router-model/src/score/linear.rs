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

/// The length of a prompt's weights, each multiplied by how telling its row is. The least telling row counts 1.
#[must_use]
pub(super) fn length(weights: &Weights, features: &Features) -> f32 {
    let squares = weights.rows(features).map(|(weight, row)| {
        let telling = row.last().copied().unwrap_or(1);
        (weight * f32::from(telling)).powi(2)
    });
    squares.sum::<f32>().sqrt().max(1.0)
}

fn logits(weights: &Weights, features: &Features) -> Vec<f32> {
    let (mut inputs, kinds) = sums(weights, features);
    let likely = likely_kinds(weights, features, &kinds);
    let Some(open) = weights.open(features) else {
        inputs.extend(likely);
        inputs.extend_from_slice(&features.hand);
        return mix(&weights.matrix, &weights.bias, &inputs);
    };
    for (sum, part) in inputs.iter_mut().zip(&open.words) {
        *sum *= part;
    }
    inputs.extend(likely);
    // The rows of the features made by hand, the last of the matrix, are left for those of `open`.
    let rest = mix(&weights.matrix, &open.bias, &inputs);
    mix(&open.hand, &rest, &features.hand)
}

/// The table's sums for the heads and for the kinds, of a prompt of length 1.
pub(super) fn sums(weights: &Weights, features: &Features) -> (Vec<f32>, Vec<f32>) {
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
    let kinds = sums.split_off(heads);
    (sums, kinds)
}

/// How probable it is that a prompt is of each kind, from the table's sums for the kinds.
pub(super) fn likely_kinds(weights: &Weights, features: &Features, sums: &[f32]) -> Vec<f32> {
    let inputs = [sums, &features.hand].concat();
    let mut likely = mix(&weights.kind_matrix, &weights.kind_bias, &inputs);
    let most = likely.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    likely.iter_mut().for_each(|logit| *logit = (*logit - most).exp());
    let total: f32 = likely.iter().sum();
    likely.iter_mut().for_each(|part| *part /= total);
    likely
}

/// The bias and each input times its row of a matrix.
fn mix(matrix: &[f32], bias: &[f32], inputs: &[f32]) -> Vec<f32> {
    let mut logits = bias.to_vec();
    for (input, row) in inputs.iter().zip(matrix.chunks_exact(logits.len().max(1))) {
        for (logit, cell) in logits.iter_mut().zip(row) {
            *logit += input * cell;
        }
    }
    logits
}
