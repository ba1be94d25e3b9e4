//! The entries of one partition: questions that may be answered alike because everything before them is the same. A flat
//! index, in arrays that are scanned from end to end; an entry goes in constant time, the last one takes its place.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::scan::{nearest_signs, products};
use super::signature::Signature;
use super::vector::{SIGN_WORDS, Vector};

/// A kept question.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Under which the answer is kept.
    pub id: u128,
    /// What it is like.
    pub vector: Vector,
    /// What it says.
    pub signature: Signature,
}

impl Entry {
    /// About how much memory it takes in an index.
    pub(super) fn size_bytes(&self) -> usize {
        let vector = self.vector.values().len();
        let signature = self.signature.tokens.len() * size_of::<super::signature::Token>()
            + self.signature.numbers.len() * 8;
        vector + SIGN_WORDS * 8 + signature + size_of::<Slot>() + 64
    }
}

#[derive(Debug)]
struct Slot {
    id: u128,
    signature: Signature,
    inverse: f32,
    size_bytes: usize,
    /// The highest score at which its answer was found wrong.
    veto: f32,
    /// Served since the hand last passed: it stays for another round.
    was_used: AtomicBool,
}

/// An entry near a question.
#[derive(Clone, Debug)]
pub(super) struct Neighbour<'a> {
    pub(super) id: u128,
    pub(super) similarity: f32,
    pub(super) signature: &'a Signature,
    /// The highest score at which its answer was found wrong.
    pub(super) veto: f32,
}

/// A flat index.
#[derive(Debug, Default)]
pub(super) struct Partition {
    dimensions: usize,
    signs: Vec<u64>,
    values: Vec<i8>,
    slots: Vec<Slot>,
    places: HashMap<u128, u32>,
    /// Where the search for an entry to evict goes on.
    hand: usize,
    size_bytes: usize,
    /// When it was last asked, in ticks of its cache.
    pub(super) used_at: AtomicU64,
}

impl Partition {
    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    pub(super) fn size_bytes(&self) -> usize {
        self.size_bytes
    }

    /// The entries most like a vector, best first.
    pub(super) fn nearest(&self, vector: &Vector, count: usize) -> Vec<Neighbour<'_>> {
        if vector.values().len() != self.dimensions {
            return Vec::new();
        }
        let chosen = nearest_signs(&self.signs, &vector.signs());
        let mut near: Vec<(f32, u32)> = products(&self.values, vector.values(), &chosen)
            .into_iter()
            .filter_map(|(place, product)| {
                let slot = self.slots.get(place as usize)?;
                Some((product as f32 * slot.inverse * vector.inverse(), place))
            })
            .collect();
        let best_first = |one: &(f32, u32), other: &(f32, u32)| other.0.total_cmp(&one.0);
        if near.len() > count {
            near.select_nth_unstable_by(count, best_first);
            near.truncate(count);
        }
        near.sort_unstable_by(best_first);
        let neighbour = |(similarity, place): (f32, u32)| {
            let slot = self.slots.get(place as usize)?;
            Some(Neighbour { id: slot.id, similarity, signature: &slot.signature, veto: slot.veto })
        };
        near.into_iter().filter_map(neighbour).collect()
    }

    /// Keeps an entry, in place of one with its id. Entries of another model's vectors make room for it.
    pub(super) fn insert(&mut self, entry: Entry) {
        if self.dimensions != entry.vector.values().len() {
            let used_at = self.used_at.load(Ordering::Relaxed);
            *self =
                Self { dimensions: entry.vector.values().len(), used_at: used_at.into(), ..Self::default() };
        }
        self.remove(entry.id);
        let size_bytes = entry.size_bytes();
        self.places.insert(entry.id, u32::try_from(self.slots.len()).unwrap_or(u32::MAX));
        self.signs.extend(entry.vector.signs());
        self.values.extend_from_slice(entry.vector.values());
        self.slots.push(Slot {
            id: entry.id,
            signature: entry.signature,
            inverse: entry.vector.inverse(),
            size_bytes,
            veto: f32::NEG_INFINITY,
            was_used: AtomicBool::new(false),
        });
        self.size_bytes += size_bytes;
    }

    /// Removes an entry; how many bytes that freed.
    pub(super) fn remove(&mut self, id: u128) -> usize {
        let Some(place) = self.places.remove(&id) else { return 0 };
        let place = place as usize;
        let words = self.dimensions.div_ceil(64).min(SIGN_WORDS);
        swap_out(&mut self.signs, place, words);
        swap_out(&mut self.values, place, self.dimensions);
        let slot = self.slots.swap_remove(place);
        if let Some(moved) = self.slots.get(place) {
            self.places.insert(moved.id, u32::try_from(place).unwrap_or(u32::MAX));
        }
        self.size_bytes -= slot.size_bytes;
        slot.size_bytes
    }

    /// Evicts the next entry that was not served since the hand last passed.
    pub(super) fn evict_one(&mut self) -> usize {
        for _ in 0..=self.slots.len() {
            if self.hand >= self.slots.len() {
                self.hand = 0;
            }
            let Some(slot) = self.slots.get(self.hand) else { return 0 };
            if slot.was_used.swap(false, Ordering::Relaxed) {
                self.hand += 1;
            } else {
                return self.remove(slot.id);
            }
        }
        self.slots.first().map(|slot| slot.id).map_or(0, |id| self.remove(id))
    }

    pub(super) fn mark_used(&self, id: u128) {
        if let Some(slot) = self.places.get(&id).and_then(|place| self.slots.get(*place as usize)) {
            slot.was_used.store(true, Ordering::Relaxed);
        }
    }

    /// Says that an entry's answer was wrong at a score.
    pub(super) fn veto(&mut self, id: u128, score: f32) {
        if let Some(slot) = self.places.get(&id).and_then(|place| self.slots.get_mut(*place as usize)) {
            slot.veto = slot.veto.max(score);
        }
    }

    /// Every entry with its veto.
    pub(super) fn entries(&self) -> impl Iterator<Item = (Entry, f32)> {
        self.slots.iter().zip(self.values.chunks(self.dimensions.max(1))).filter_map(|(slot, values)| {
            let vector = Vector::from_rounded(values.into())?;
            Some((Entry { id: slot.id, vector, signature: slot.signature.clone() }, slot.veto))
        })
    }
}

/// Takes row `place` out; the last row goes there.
fn swap_out<T: Copy>(rows: &mut Vec<T>, place: usize, width: usize) {
    let Some(last) = rows.len().checked_sub(width) else { return };
    let begin = place * width;
    if begin + width <= last {
        rows.copy_within(last.., begin);
    }
    rows.truncate(last);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(id: u128) -> Entry {
        let values: Vec<f32> = (0..256_u64)
            .map(|at| (crate::semantic::stem::mix(id as u64 * 1000 + at) as f32 / u64::MAX as f32) - 0.5)
            .collect();
        Entry {
            id,
            vector: Vector::new(&values).unwrap(),
            signature: Signature::of(&format!("question {id}")).unwrap(),
        }
    }

    #[test]
    fn finds_each_entry_by_its_own_vector_after_any_removals() {
        let mut partition = Partition::default();
        (0..300).for_each(|id| partition.insert(entry(id)));
        (0..300).filter(|id| id % 3 == 0).for_each(|id| assert!(partition.remove(id) > 0));
        assert_eq!(partition.remove(0), 0, "it is gone already");
        for id in 0..300 {
            let nearest = partition.nearest(&entry(id).vector, 1);
            let is_it = nearest[0].id == id && (nearest[0].similarity - 1.0).abs() < 1e-3;
            assert_eq!(is_it, id % 3 != 0, "{id}");
            assert!(!is_it || *nearest[0].signature == entry(id).signature);
        }
        assert_eq!(
            partition.size_bytes(),
            partition.entries().map(|(entry, _)| entry.size_bytes()).sum::<usize>()
        );
    }

    #[test]
    fn the_same_id_is_kept_once_and_another_models_vectors_make_room() {
        let mut partition = Partition::default();
        partition.insert(entry(1));
        partition.insert(entry(1));
        assert_eq!(partition.len(), 1);
        let short = Entry { vector: Vector::new(&[1.0, 2.0]).unwrap(), ..entry(2) };
        partition.insert(short.clone());
        assert_eq!((partition.len(), partition.nearest(&short.vector, 8).len()), (1, 1));
        assert!(partition.nearest(&entry(1).vector, 8).is_empty());
    }

    #[test]
    fn evicts_what_was_not_served_first() {
        let mut partition = Partition::default();
        (0..10).for_each(|id| partition.insert(entry(id)));
        partition.mark_used(0);
        partition.mark_used(1);
        for _ in 0..8 {
            assert!(partition.evict_one() > 0);
        }
        let mut left: Vec<u128> = partition.entries().map(|(entry, _)| entry.id).collect();
        left.sort_unstable();
        assert_eq!(left, [0, 1]);
        assert!(partition.evict_one() > 0 && partition.evict_one() > 0 && partition.evict_one() == 0);
    }
}
