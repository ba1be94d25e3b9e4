//! Lists that many keys have in common are kept once: less memory, and what every request reads is in a cache.

use std::collections::HashSet;
use std::sync::Arc;

/// The lists of names that keys have: models, credentials, tags.
#[derive(Debug, Default)]
pub(super) struct Lists(HashSet<Arc<[String]>>);

impl Lists {
    /// The one list with these names.
    pub(super) fn of(&mut self, names: &[String]) -> Arc<[String]> {
        if let Some(known) = self.0.get(names) {
            return known.clone();
        }
        let list: Arc<[String]> = names.into();
        self.0.insert(list.clone());
        list
    }

    /// Drops what no key has any more.
    pub(super) fn tidy(&mut self) {
        self.0.retain(|list| Arc::strong_count(list) > 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_lists_are_one_and_unused_ones_are_dropped() {
        let mut lists = Lists::default();
        let (one, same) = (lists.of(&["a".to_owned()]), lists.of(&["a".to_owned()]));
        let other = lists.of(&["b".to_owned()]);
        assert!(Arc::ptr_eq(&one, &same) && !Arc::ptr_eq(&one, &other));
        drop(other);
        lists.tidy();
        assert_eq!(lists.0.len(), 1);
    }
}
