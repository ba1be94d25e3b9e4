//! A table of fixed size with a few places for each key. What is newer may push out what is older: whoever looks it up has
//! to live with its being gone.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Values whose keys fall together, the newest last.
type Bucket<T> = Mutex<VecDeque<(u64, T)>>;

/// Values of a bucket: one only would now and then be pushed out by a request right behind it.
const WAYS: usize = 4;
const WAYS_BITS: u32 = WAYS.trailing_zeros();

/// Values by 64-bit keys.
#[derive(Debug)]
pub(super) struct Slots<T> {
    buckets: Box<[Bucket<T>]>,
}

impl<T> Slots<T> {
    /// With `2^bits` places, of at least four.
    pub(super) fn new(bits: u32) -> Self {
        Self { buckets: (0..1_usize << bits.saturating_sub(WAYS_BITS)).map(|_| Mutex::default()).collect() }
    }

    /// Puts a value in a place.
    pub(super) fn put(&self, key: u64, value: T) {
        if let Some(mut bucket) = self.bucket(key) {
            bucket.retain(|(known, _)| *known != key);
            if bucket.len() >= WAYS {
                bucket.pop_front();
            }
            bucket.push_back((key, value));
        }
    }

    /// A copy of the value.
    pub(super) fn get(&self, key: u64) -> Option<T>
    where
        T: Clone,
    {
        let bucket = self.bucket(key)?;
        bucket.iter().find(|(known, _)| *known == key).map(|(_, value)| value.clone())
    }

    fn bucket(&self, key: u64) -> Option<MutexGuard<'_, VecDeque<(u64, T)>>> {
        let mixed = key.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
        let at = usize::try_from(mixed).ok()? & (self.buckets.len() - 1);
        Some(self.buckets.get(at)?.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_of_those_that_fall_together_are_there() {
        let slots = Slots::new(2);
        for key in 0..6 {
            slots.put(key, key * 10);
        }
        slots.put(3, 31);
        assert_eq!(
            [0, 1, 2, 3, 4, 5].map(|key| slots.get(key)),
            [None, None, Some(20), Some(31), Some(40), Some(50)]
        );
    }
}
