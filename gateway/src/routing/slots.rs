//! A table of fixed size with one place for each key. What is newer may push out what is older: whoever looks it up has to
//! live with its being gone.

use std::sync::{Mutex, MutexGuard, PoisonError};

type Place<T> = Mutex<Option<(u64, T)>>;

/// Values by 64-bit keys.
#[derive(Debug)]
pub(super) struct Slots<T> {
    places: Box<[Place<T>]>,
}

impl<T> Slots<T> {
    /// With `2^bits` places.
    pub(super) fn new(bits: u32) -> Self {
        Self { places: (0..1_usize << bits).map(|_| Mutex::default()).collect() }
    }

    /// Puts a value in its place.
    pub(super) fn put(&self, key: u64, value: T) {
        if let Some(mut place) = self.place(key) {
            *place = Some((key, value));
        }
    }

    /// A copy of the value.
    pub(super) fn get(&self, key: u64) -> Option<T>
    where
        T: Clone,
    {
        let place = self.place(key)?;
        place.as_ref().filter(|(known, _)| *known == key).map(|(_, value)| value.clone())
    }

    /// The value, which is gone then.
    pub(super) fn take(&self, key: u64) -> Option<T> {
        let mut place = self.place(key)?;
        let is_it = place.as_ref().is_some_and(|(known, _)| *known == key);
        if is_it { place.take().map(|(_, value)| value) } else { None }
    }

    fn place(&self, key: u64) -> Option<MutexGuard<'_, Option<(u64, T)>>> {
        let mixed = key.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
        let at = usize::try_from(mixed).ok()? & (self.places.len() - 1);
        Some(self.places.get(at)?.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
