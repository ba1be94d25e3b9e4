//! A set of a model's deployments by position, in four words: made and copied for each pick without
//! an allocation.

/// Positions below [`DeploymentSet::CAPACITY`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeploymentSet([u64; WORDS]);

const WORDS: usize = 4;
const BITS: usize = u64::BITS as usize;

impl DeploymentSet {
    /// The most deployments a model may have; the configuration is checked against it.
    pub const CAPACITY: usize = WORDS * BITS;

    /// Adds a position.
    pub fn insert(&mut self, index: usize) {
        if let Some(word) = self.0.get_mut(index / BITS) {
            *word |= 1 << (index % BITS);
        }
    }

    /// Is it there?
    pub fn contains(&self, index: usize) -> bool {
        self.0.get(index / BITS).is_some_and(|word| word & (1 << (index % BITS)) != 0)
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.0.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// None at all.
    pub fn is_empty(&self) -> bool {
        self.0 == [0; WORDS]
    }

    /// The positions, ascending.
    pub fn iter(self) -> impl Iterator<Item = usize> {
        self.0.into_iter().enumerate().flat_map(|(at, mut word)| {
            std::iter::from_fn(move || {
                let bit = (word != 0).then(|| word.trailing_zeros() as usize)?;
                word &= word - 1;
                Some(at * BITS + bit)
            })
        })
    }
}

impl FromIterator<usize> for DeploymentSet {
    fn from_iter<I: IntoIterator<Item = usize>>(indices: I) -> Self {
        let mut set = Self::default();
        indices.into_iter().for_each(|index| set.insert(index));
        set
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_come_back_in_order_across_words() {
        let set: DeploymentSet = [200, 3, 64, 0, 255].into_iter().collect();
        assert_eq!(set.iter().collect::<Vec<_>>(), [0, 3, 64, 200, 255]);
        assert_eq!((set.len(), set.is_empty()), (5, false));
        assert!(set.contains(64) && !set.contains(65) && !set.contains(9_999));
    }

    #[test]
    fn a_position_beyond_the_capacity_is_no_member() {
        let set: DeploymentSet = [DeploymentSet::CAPACITY].into_iter().collect();
        assert!(set.is_empty());
    }
}
