//! Finds the nearest of many vectors: first by how many signs differ, then the best of those by the product of their
//! int8 values. Loops are compiled for AVX2 as well, and the processor decides at run time which one runs.

use pulp::{Arch, NullaryFnOnce};

use super::vector::SIGN_WORDS;

/// So many of the nearest by sign are measured exactly.
pub(super) const MEASURED: usize = 224;
/// Vectors are looked at in blocks, and a block without a near one costs no branch for each.
const BLOCK: usize = 32;

/// The places of vectors whose signs differ least from `query`'s, in no order. `signs` holds as many words for each
/// vector as `query` has.
pub(super) fn nearest_signs(signs: &[u64], query: &[u64]) -> Vec<(u32, u32)> {
    Arch::new().dispatch(Nearest { signs, query })
}

/// The product of each chosen row of `values` with `query`.
pub(super) fn products(values: &[i8], query: &[i8], chosen: &[(u32, u32)]) -> Vec<(u32, i32)> {
    Arch::new().dispatch(Products { values, query, chosen })
}

struct Near {
    /// Distance and place.
    found: Vec<(u32, u32)>,
    cutoff: u32,
}

impl Near {
    #[inline(always)]
    fn take(&mut self, first: u32, distances: &[u32]) {
        // One comparison for all of them: most blocks have no near one.
        let least = distances.iter().fold(u32::MAX, |least, distance| least.min(*distance));
        if least < self.cutoff {
            self.pick(first, distances);
        }
    }

    #[cold]
    fn pick(&mut self, first: u32, distances: &[u32]) {
        for (place, distance) in (first..).zip(distances) {
            if *distance < self.cutoff {
                self.found.push((*distance, place));
            }
        }
        if self.found.len() >= MEASURED * 2 - BLOCK {
            self.shorten();
        }
    }

    fn shorten(&mut self) {
        if self.found.len() > MEASURED {
            let (_, last, _) = self.found.select_nth_unstable(MEASURED - 1);
            self.cutoff = last.0;
            self.found.truncate(MEASURED);
        }
    }
}

struct Nearest<'a> {
    signs: &'a [u64],
    query: &'a [u64],
}

impl NullaryFnOnce for Nearest<'_> {
    type Output = Vec<(u32, u32)>;

    #[inline(always)]
    fn call(self) -> Self::Output {
        let Self { signs, query } = self;
        let mut near = Near { found: Vec::with_capacity(MEASURED * 2), cutoff: u32::MAX };
        let mut distances = [0_u32; BLOCK];
        let mut first = 0_u32;
        // Nearly every model's vectors are long enough for this; for others it takes a little longer.
        if let Ok(query) = <[u64; SIGN_WORDS]>::try_from(query) {
            for block in signs.as_chunks::<SIGN_WORDS>().0.chunks(BLOCK) {
                near.take(first, differ(block, &query, &mut distances));
                first = first.saturating_add(BLOCK as u32);
            }
        } else {
            for row in signs.chunks_exact(query.len().max(1)) {
                let distance = row.iter().zip(query).map(|(one, other)| (one ^ other).count_ones()).sum();
                near.take(first, &[distance]);
                first = first.saturating_add(1);
            }
        }
        near.shorten();
        near.found
    }
}

#[inline(always)]
fn differ<'a>(
    block: &[[u64; SIGN_WORDS]],
    query: &[u64; SIGN_WORDS],
    distances: &'a mut [u32; BLOCK],
) -> &'a [u32] {
    for (distance, row) in distances.iter_mut().zip(block) {
        *distance = row.iter().zip(query).map(|(one, other)| (one ^ other).count_ones()).sum();
    }
    distances.get(..block.len()).unwrap_or_default()
}

struct Products<'a> {
    values: &'a [i8],
    query: &'a [i8],
    chosen: &'a [(u32, u32)],
}

impl NullaryFnOnce for Products<'_> {
    type Output = Vec<(u32, i32)>;

    #[inline(always)]
    fn call(self) -> Self::Output {
        let width = self.query.len();
        let mut products = Vec::with_capacity(self.chosen.len());
        for (_, place) in self.chosen {
            let begin = *place as usize * width;
            let row = self.values.get(begin..begin + width).unwrap_or_default();
            products.push((*place, product(row, self.query)));
        }
        products
    }
}

/// In blocks of a known length, for which the compiler multiplies 16 pairs at once.
#[inline(always)]
fn product(one: &[i8], other: &[i8]) -> i32 {
    let (ones, rest) = one.as_chunks::<32>();
    let (others, other_rest) = other.as_chunks::<32>();
    let mut sum = 0_i32;
    for (one, other) in ones.iter().zip(others) {
        for (a, b) in one.iter().zip(other) {
            sum += i32::from(i16::from(*a) * i16::from(*b));
        }
    }
    sum + rest.iter().zip(other_rest).map(|(a, b)| i32::from(*a) * i32::from(*b)).sum::<i32>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_same_as_a_plain_search_for_every_length_of_vector() {
        let mut random = crate::semantic::stem::mix(7);
        let mut next = || {
            random = crate::semantic::stem::mix(random.wrapping_add(0x9e37_79b9));
            random
        };
        for words in [1, 2, 3] {
            for count in [0, 1, 223, 225, 1000] {
                let signs: Vec<u64> = (0..words * count).map(|_| next()).collect();
                let query: Vec<u64> = (0..words).map(|_| next()).collect();
                let distance =
                    |row: &[u64]| row.iter().zip(&query).map(|(a, b)| (a ^ b).count_ones()).sum::<u32>();
                let mut plain: Vec<u32> = signs.chunks(words).map(distance).collect();
                plain.sort_unstable();
                plain.truncate(MEASURED);
                let mut found: Vec<u32> =
                    nearest_signs(&signs, &query).iter().map(|(distance, _)| *distance).collect();
                found.sort_unstable();
                assert_eq!(found, plain, "{words} words, {count} vectors");
            }
        }
        let rows: Vec<i8> = (0..500 * 70).map(|_| next().to_le_bytes()[0].cast_signed().max(-127)).collect();
        let query: Vec<i8> = rows.iter().rev().take(70).copied().collect();
        let chosen: Vec<(u32, u32)> = (0..500).map(|place| (0, place)).collect();
        for (place, product) in products(&rows, &query, &chosen) {
            let row = &rows[place as usize * 70..][..70];
            assert_eq!(
                product,
                row.iter().zip(&query).map(|(a, b)| i32::from(*a) * i32::from(*b)).sum::<i32>()
            );
        }
    }
}
