//! Why a score is what it is. The heads are linear in words, kinds of tasks and features made by hand, so the part that each
//! has in the logit is exact.

use std::collections::HashMap;

use super::features::{Features, each_gram};
use super::hand::HAND_NAMES;
use super::linear::{Sums, lifted, likely_kinds};
use super::weights::Weights;

/// How many reasons on each side.
const REASONS: usize = 8;

/// One model's score and what made it.
#[derive(Clone, Debug, PartialEq)]
pub struct Explanation {
    /// Whose.
    pub head: String,
    /// The probability that it answers well.
    pub quality: f32,
    /// The logit of a prompt without words.
    pub bias: f32,
    /// What raised it, the strongest first.
    pub raised: Vec<Reason>,
    /// What lowered it, the strongest first.
    pub lowered: Vec<Reason>,
}

/// A part of a logit.
#[derive(Clone, Debug, PartialEq)]
pub struct Reason {
    /// Words of the prompt, or in brackets the name of a feature made by hand, or of a kind of task that it looks like.
    pub what: String,
    /// How much it adds.
    pub logit: f32,
}

pub(super) fn explain(weights: &Weights, prompt: &str) -> Vec<Explanation> {
    let mut features = Features::default();
    features.read(prompt);
    let mut grams: HashMap<u32, String> = HashMap::new();
    each_gram(prompt, |bucket, gram| {
        grams.entry(bucket).or_insert_with(|| gram.to_owned());
    });
    let sums = Sums::of(weights, &features);
    let kinds = likely_kinds(weights, &features, sums.kinds());
    let explain = |head| explain_head(weights, &features, sums.length, &grams, &kinds, head);
    (0..weights.head.heads.len()).map(explain).collect()
}

fn explain_head(
    weights: &Weights,
    features: &Features,
    length: f32,
    grams: &HashMap<u32, String>,
    kinds: &[f32],
    head: usize,
) -> Explanation {
    let heads = weights.head.heads.len();
    let column: Vec<f32> = weights.matrix.iter().skip(head).step_by(heads).copied().collect();
    let (of_table, rest) = column.split_at_checked(heads).unwrap_or_default();
    let (of_kinds, of_hand) = rest.split_at_checked(kinds.len()).unwrap_or_default();
    let open = weights.open(features);
    let part = open.and_then(|open| open.words.get(head)).copied().unwrap_or(1.0);
    let open_hand: Option<Vec<f32>> =
        open.map(|open| open.hand.iter().skip(head).step_by(heads).copied().collect());
    let of_hand = open_hand.as_deref().unwrap_or(of_hand);
    let words = features.buckets.iter().zip(weights.rows(features)).map(|(bucket, (weight, row))| {
        let sum: f32 = row.iter().zip(of_table).map(|(cell, factor)| f32::from(*cell) * factor).sum();
        let what = grams.get(bucket).cloned().unwrap_or_default();
        Reason { what, logit: weight * sum / length * part }
    });
    let named = |((input, factor), name): ((&f32, &f32), &str)| Reason {
        what: format!("[{name}]"),
        logit: input * factor,
    };
    let hand = features.hand.iter().zip(of_hand).zip(HAND_NAMES).map(named);
    let kind_names = weights.head.kinds.iter().map(|kind| format!("kind: {kind}"));
    let kinds =
        kinds.iter().zip(of_kinds).zip(kind_names).map(|(factors, name)| named((factors, name.as_str())));
    let mut reasons: Vec<Reason> = words.chain(hand).chain(kinds).collect();
    let biases = open.map_or(&weights.bias, |open| &open.bias);
    let bias = biases.get(head).copied().unwrap_or_default();
    let logit = bias + reasons.iter().map(|reason| reason.logit).sum::<f32>();
    reasons.sort_by(|one, other| other.logit.total_cmp(&one.logit));
    Explanation {
        head: weights.head.heads.get(head).cloned().unwrap_or_default(),
        quality: lifted(logit, weights.floor.get(head).copied().unwrap_or_default()),
        bias,
        raised: reasons.iter().take_while(|reason| reason.logit > 0.0).take(REASONS).cloned().collect(),
        lowered: reasons
            .iter()
            .rev()
            .take_while(|reason| reason.logit < 0.0)
            .take(REASONS)
            .cloned()
            .collect(),
    }
}
