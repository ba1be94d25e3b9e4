//! A prompt as numbers: hashed words and pairs of words (neighbours, and with one word between) with how often each occurs,
//! and sixteen features made by hand. Training and the gateway both use this file, so a change here needs a new model and a
//! new [`FEATURES_VERSION`].

use super::hand::{CHOICES, HAND, HandCounts};
use super::words::{self, Word};

/// Which featuriser a model was trained with; a model of another one is refused.
pub const FEATURES_VERSION: u32 = 2;
/// Buckets are `2^BUCKET_BITS`.
pub const BUCKET_BITS: u32 = 17;
/// Longer prompts count with their first and their last half of this.
pub const TEXT_CAP_BYTES: usize = 8 * 1024;

/// The features of one prompt. Reused from prompt to prompt, it allocates nothing once it has grown.
#[derive(Clone, Debug, Default)]
pub struct Features {
    /// Which rows of the table, each once.
    pub buckets: Vec<u32>,
    /// How much each row counts: sublinear in how often it occurs. The model adds how telling a row is.
    pub weights: Vec<f32>,
    /// The features made by hand.
    pub hand: [f32; HAND],
    /// Open addressing: 0 is free, else the position in `buckets` plus 1.
    slots: Vec<u32>,
}

impl Features {
    /// Replaces what was here by the features of `prompt`.
    pub fn read(&mut self, prompt: &str) {
        let (head, tail) = cut(prompt);
        self.buckets.clear();
        self.weights.clear();
        self.slots.clear();
        // A byte makes a word and two pairs at most, so one slot stays free.
        self.slots.resize((3 * (head.len() + tail.len()) + 2).next_power_of_two(), 0);
        let mut counts = HandCounts::default();
        for piece in [head, tail] {
            let (mut before, mut earlier) = (None, None);
            words::walk(piece.as_bytes(), &mut counts, |word, counts| {
                counts.word(&word);
                self.count(bucket(word.hash));
                let last = before.replace(word.hash);
                if let Some(last) = last {
                    self.count(bucket(pair(last, word.hash)));
                }
                if let Some(earlier) = std::mem::replace(&mut earlier, last) {
                    self.count(bucket(apart(earlier, word.hash)));
                }
            });
        }
        self.weigh();
        self.hand = counts.features();
    }

    /// No line begins like one of several answers.
    pub(super) fn is_without_choices(&self) -> bool {
        self.hand.get(CHOICES).is_some_and(|choices| *choices == 0.0)
    }

    fn count(&mut self, bucket: u32) {
        let mask = self.slots.len() - 1;
        let mut at = bucket.wrapping_mul(0x9E37_79B1) as usize >> 3 & mask;
        while let Some(slot) = self.slots.get_mut(at) {
            let position = (*slot as usize).wrapping_sub(1);
            if *slot == 0 {
                self.buckets.push(bucket);
                self.weights.push(1.0);
                *slot = u32::try_from(self.buckets.len()).unwrap_or(u32::MAX);
                return;
            }
            if self.buckets.get(position) == Some(&bucket) {
                if let Some(weight) = self.weights.get_mut(position) {
                    *weight += 1.0;
                }
                return;
            }
            at = (at + 1) & mask;
        }
    }

    fn weigh(&mut self) {
        for weight in &mut self.weights {
            if *weight > 1.0 {
                *weight = 1.0 + weight.ln();
            }
        }
    }
}

/// The row of the table for a hash.
#[must_use]
pub(super) fn bucket(hash: u64) -> u32 {
    let mixed = (hash ^ (hash >> 32)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    u32::try_from(mixed >> (64 - BUCKET_BITS)).unwrap_or_default()
}

/// The hash of two words that follow each other.
#[must_use]
pub(super) fn pair(before: u64, word: u64) -> u64 {
    (before.rotate_left(23) ^ word).wrapping_mul(0xD6E8_FEB8_6659_FD93)
}

/// The hash of two words with one between them.
#[must_use]
pub(super) fn apart(earlier: u64, word: u64) -> u64 {
    (earlier.rotate_left(41) ^ word).wrapping_mul(0xA076_1D64_78BD_642F)
}

/// The part of a prompt that counts, in two pieces.
#[must_use]
pub(super) fn cut(prompt: &str) -> (&str, &str) {
    if prompt.len() <= TEXT_CAP_BYTES {
        return (prompt, "");
    }
    let head = prompt.get(..prompt.floor_char_boundary(TEXT_CAP_BYTES / 2)).unwrap_or_default();
    let tail = prompt.get(prompt.ceil_char_boundary(prompt.len() - TEXT_CAP_BYTES / 2)..).unwrap_or_default();
    (head, tail)
}

/// A word with its place, for what explains a score.
pub(super) fn each_gram(prompt: &str, mut see: impl FnMut(u32, &str)) {
    let (head, tail) = cut(prompt);
    for piece in [head, tail] {
        let (mut before, mut earlier): (Option<Word>, Option<Word>) = (None, None);
        words::walk(piece.as_bytes(), &mut HandCounts::default(), |word, _| {
            see(bucket(word.hash), piece.get(word.start..word.end).unwrap_or_default());
            let last = before.replace(word);
            let mut see_from = |from: Word, hash: u64| {
                see(bucket(hash), piece.get(from.start..word.end).unwrap_or_default());
            };
            if let Some(last) = last {
                see_from(last, pair(last.hash, word.hash));
            }
            if let Some(earlier) = std::mem::replace(&mut earlier, last) {
                see_from(earlier, apart(earlier.hash, word.hash));
            }
        });
    }
}
