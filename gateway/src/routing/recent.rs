//! The last values that were put in, by 64-bit keys. Every request puts one, so that goes on from place to place, through
//! memory that the processor fetches ahead; looking one up is rare, and goes through the keys from the newest on.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// As many values as there are places.
#[derive(Debug)]
pub(super) struct Recent<T> {
    ring: Mutex<Ring<T>>,
    places: usize,
}

#[derive(Debug)]
struct Ring<T> {
    keys: Vec<u64>,
    values: Vec<Option<T>>,
    next: usize,
}

impl<T> Recent<T> {
    /// With so many places, which take memory when they are used first.
    pub(super) fn new(places: usize) -> Self {
        let ring = Ring { keys: Vec::new(), values: Vec::new(), next: 0 };
        Self { ring: Mutex::new(ring), places: places.max(1) }
    }

    /// Puts a value in, in the place of the oldest one when all are taken.
    pub(super) fn put(&self, key: u64, value: T) {
        let mut ring = self.ring();
        let next = ring.next;
        match ring.keys.get_mut(next) {
            Some(old) => *old = key,
            None => ring.keys.push(key),
        }
        match ring.values.get_mut(next) {
            Some(old) => *old = Some(value),
            None => ring.values.push(Some(value)),
        }
        ring.next = (next + 1) % self.places;
    }

    /// The value, which is gone then.
    pub(super) fn take(&self, key: u64) -> Option<T> {
        let mut ring = self.ring();
        let at = ring.place(key)?;
        ring.values.get_mut(at)?.take()
    }

    /// A copy of the value.
    pub(super) fn get(&self, key: u64) -> Option<T>
    where
        T: Clone,
    {
        let ring = self.ring();
        ring.values.get(ring.place(key)?)?.clone()
    }

    fn ring(&self) -> MutexGuard<'_, Ring<T>> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Ring<T> {
    /// Where the newest value of a key is, or was.
    fn place(&self, key: u64) -> Option<usize> {
        let (older, newer) = (self.keys.get(self.next..)?, self.keys.get(..self.next)?);
        let is_it = |known: &u64| *known == key;
        newer.iter().rposition(is_it).or_else(|| Some(self.next + older.iter().rposition(is_it)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_are_there_and_each_is_taken_once() {
        let recent = Recent::new(4);
        assert_eq!(recent.take(0), None);
        for key in 0..6 {
            recent.put(key, key * 10);
        }
        assert_eq!((recent.get(5), recent.get(1)), (Some(50), None));
        assert_eq!([0, 1, 2, 5].map(|key| recent.take(key)), [None, None, Some(20), Some(50)]);
        assert_eq!(recent.take(5), None);
        recent.put(6, 60);
        assert_eq!([2, 3, 4, 6].map(|key| recent.take(key)), [None, Some(30), Some(40), Some(60)]);
    }

    #[test]
    fn of_two_with_one_key_the_newer_is_found() {
        let recent = Recent::new(3);
        recent.put(1, 10);
        recent.put(2, 20);
        recent.put(1, 11);
        recent.put(3, 30);
        assert_eq!((recent.take(1), recent.take(2)), (Some(11), Some(20)));
    }
}
