//! Vectors as they are kept: int8, and the signs alone as bits.

/// A vector of length 1 in int8.
#[derive(Clone, Debug, PartialEq)]
pub struct Vector {
    values: Box<[i8]>,
    /// 1 over the length of `values`, so that a product with it is a cosine.
    inverse: f32,
}

/// Longer vectors are no embeddings of a model that runs here.
pub(super) const MAX_DIMENSIONS: usize = 4096;
/// Words of signs.
pub(super) const SIGN_WORDS: usize = 2;

impl Vector {
    /// Rounds a vector. `None` when it is empty, has no direction or is not finite.
    pub fn new(values: &[f32]) -> Option<Self> {
        let largest = values.iter().fold(0.0_f32, |largest, value| largest.max(value.abs()));
        if !(largest > 0.0 && largest.is_finite())
            || values.len() > MAX_DIMENSIONS
            || values.iter().any(|value| value.is_nan())
        {
            return None;
        }
        let scale = 127.0 / largest;
        Self::from_rounded(values.iter().map(|value| (value * scale).round() as i8).collect())
    }

    pub(super) fn from_rounded(values: Box<[i8]>) -> Option<Self> {
        let square: i64 = values.iter().map(|value| i64::from(*value) * i64::from(*value)).sum();
        (square > 0).then(|| Self { values, inverse: 1.0 / (square as f32).sqrt() })
    }

    pub(super) fn values(&self) -> &[i8] {
        &self.values
    }

    pub(super) fn inverse(&self) -> f32 {
        self.inverse
    }

    /// The signs of its first dimensions, 64 to a word. More of them would find hardly more, and a scan of many entries
    /// waits for memory.
    pub(super) fn signs(&self) -> Vec<u64> {
        let word = |values: &[i8]| {
            (0..).zip(values).fold(0_u64, |word, (at, value)| word | (u64::from(*value > 0) << at))
        };
        self.values.chunks(64).take(SIGN_WORDS).map(word).collect()
    }
}
