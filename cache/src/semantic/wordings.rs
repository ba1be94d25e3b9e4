//! What exchanges of words do to answers: "inhabitants" for "population" leaves them alone, "longitude" for "latitude"
//! does not. A small logistic model over the words in which two questions differ, learnt of every comparison while the
//! cache runs. It only ranks; what may be served is for the evidence to say.

use std::collections::HashMap;
use std::hash::BuildHasherDefault;

use super::guard::Difference;
use super::lexicon::Hashed;
use super::stem::mix;

/// So many weights are kept in each of two generations.
const GENERATION: usize = 65_536;
/// A word that was never seen to make no difference is taken to make one.
const UNSEEN_WORD: f32 = 0.8;
/// So is an exchange that was never seen as a whole.
const UNSEEN_WHOLE: f32 = 0.8;
/// Of a question with more words of its own than this, pairs are not looked at.
const MAX_PAIRS: usize = 16;
/// How far the first label moves a weight.
const RATE: f32 = 0.4;
/// Questions with the same words but chat and grammar are above all others, and among each other ranked by similarity.
const SAME: f32 = 0.99;

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Weight {
    pub(super) value: f32,
    /// The sum of squared gradients, by which steps become shorter.
    pub(super) squares: f32,
}

type Map = HashMap<u64, Weight, BuildHasherDefault<Hashed>>;

/// Weights of words, pairs of words and whole exchanges. The older generation goes as a whole when the newer is full.
#[derive(Clone, Debug, Default)]
pub(super) struct Wordings {
    newer: Map,
    older: Map,
}

/// One feature: its key, its weight before anything was learnt, and how strongly it is there.
type Feature = (u64, f32, f32);

impl Wordings {
    /// How surely an answer serves: between 0 and 1, and comparable within one class only.
    pub(super) fn score(&self, difference: &Difference, similarity: f32) -> f32 {
        if difference.is_empty() {
            return SAME + (1.0 - SAME) * similarity.clamp(0.0, 1.0);
        }
        let mut risk = 0.0;
        each_feature(difference, similarity, |(key, unseen, strength)| {
            risk += self.get(key, unseen).value * strength;
        });
        SAME / (1.0 + risk.exp())
    }

    /// Learns what a difference did.
    pub(super) fn learn(&mut self, difference: &Difference, similarity: f32, is_right: bool) {
        if difference.is_empty() {
            return;
        }
        let wrong = 1.0 - self.score(difference, similarity) / SAME;
        let slope = wrong - if is_right { 0.0 } else { 1.0 };
        each_feature(difference, similarity, |(key, unseen, strength)| {
            let mut weight = self.get(key, unseen);
            let gradient = slope * strength;
            weight.squares += gradient * gradient;
            weight.value -= RATE * gradient / weight.squares.sqrt().max(1e-3);
            self.set(key, weight);
        });
    }

    fn get(&self, key: u64, unseen: f32) -> Weight {
        let unseen = Weight { value: unseen, squares: 0.0 };
        self.newer.get(&key).or_else(|| self.older.get(&key)).copied().unwrap_or(unseen)
    }

    pub(super) fn set(&mut self, key: u64, weight: Weight) {
        if self.newer.len() >= GENERATION && !self.newer.contains_key(&key) {
            self.older = std::mem::take(&mut self.newer);
        }
        self.newer.insert(key, weight);
    }

    /// All weights, older ones first.
    pub(super) fn all(&self) -> impl Iterator<Item = (u64, Weight)> {
        let older = self.older.iter().filter(|(key, _)| !self.newer.contains_key(*key));
        older.chain(&self.newer).map(|(key, weight)| (*key, *weight))
    }
}

fn each_feature(difference: &Difference, similarity: f32, mut each: impl FnMut(Feature)) {
    let Difference { asked, kept, is_inverted, zones } = difference;
    each((1, -1.5, 1.0));
    each((2, -1.0, (similarity - 0.75) * 4.0));
    if *is_inverted {
        each((3, 0.8, 1.0));
    }
    if !asked.is_empty() && !kept.is_empty() {
        each((4, 0.0, 1.0));
    }
    for (zone, sides) in [(8, zones.before), (16, zones.among), (24, zones.behind)] {
        if sides != 0 {
            // One text alone has words there, or both.
            each((zone + u64::from(sides == 3), 0.0, 1.0));
        }
    }
    for word in asked.iter().chain(kept) {
        each((*word, UNSEEN_WORD, 1.0));
    }
    if asked.len() * kept.len() <= MAX_PAIRS {
        for one in asked {
            for other in kept {
                each((mix(one ^ other).rotate_left(1) ^ one.min(other), 0.0, 1.0));
            }
        }
    }
    each((difference.key(), UNSEEN_WHOLE, 1.0));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::semantic::guard::{Rules, compare};
    use crate::semantic::signature::Signature;

    fn difference(asked: &str, kept: &str) -> Difference {
        compare(&Signature::of(asked).unwrap(), &Signature::of(kept).unwrap(), Rules::default()).unwrap()
    }

    #[test]
    fn an_exchange_that_was_right_ranks_above_unseen_ones_and_one_that_was_wrong_below() {
        let mut wordings = Wordings::default();
        let right = difference("the citizens of Peru", "the inhabitants of Peru");
        let wrong = difference("the anthem of Peru", "the emblem of Peru");
        let unseen = wordings.score(&right, 0.9);
        wordings.learn(&right, 0.9, true);
        wordings.learn(&wrong, 0.9, false);
        let elsewhere = difference("how many inhabitants has Chile", "how many citizens has Chile");
        assert!(wordings.score(&elsewhere, 0.9) > unseen + 0.2);
        assert!(wordings.score(&wrong, 0.9) < unseen);
        assert!(wordings.score(&Difference::default(), 0.5) > wordings.score(&elsewhere, 1.0));
    }

    #[test]
    fn words_that_make_no_difference_are_learnt_among_others() {
        let mut wordings = Wordings::default();
        let pairs = [
            ("bake it homework", "bake it"),
            ("wash it urgent homework", "wash it"),
            ("fry it", "fry it urgent"),
        ];
        for (asked, kept) in pairs.iter().cycle().take(9) {
            wordings.learn(&difference(asked, kept), 0.9, true);
        }
        let both = difference("poach it homework", "poach it urgent");
        let other = difference("poach it longitude", "poach it latitude");
        assert!(wordings.score(&both, 0.9) > wordings.score(&other, 0.9) + 0.1);
    }

    #[test]
    fn weights_are_bounded() {
        let mut wordings = Wordings::default();
        for key in 0..5 * GENERATION as u64 {
            wordings.set(key, Weight { value: 1.0, squares: 1.0 });
        }
        assert!(wordings.all().count() <= 2 * GENERATION);
    }
}
