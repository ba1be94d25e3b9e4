//! What was purged, and when. Every purge has a number; an entry holds the number of the newest purge at the time its
//! question was asked, and is void when something it belongs to was purged later. So a purge costs the same for one
//! entry and for a million, and an answer that was under way during it does not come back.

use std::collections::HashMap;

use super::key::Key;

/// More purges than these become one of everything.
pub(super) const MOST: usize = 10_000;

/// What is to be purged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purge<'a> {
    /// Everything.
    All,
    /// A scope: its kind and its id.
    Scope(&'a str, &'a str),
    /// A model, in all scopes.
    Model(&'a str),
    /// A namespace of a scope.
    Namespace((&'a str, &'a str), &'a str),
}

/// Between the parts of a purge's name.
const SEPARATOR: char = '\u{1f}';

impl<'a> Purge<'a> {
    /// How others are told of it.
    pub fn name(&self) -> String {
        let joined = |parts: &[&str]| parts.join("\u{1f}");
        match self {
            Self::All => "all".to_owned(),
            Self::Scope(kind, id) => joined(&["scope", kind, id]),
            Self::Model(model) => joined(&["model", model]),
            Self::Namespace((kind, id), namespace) => joined(&["namespace", kind, id, namespace]),
        }
    }

    /// The purge of a name.
    pub fn named(name: &'a str) -> Option<Self> {
        if name == "all" {
            return Some(Self::All);
        }
        let (what, rest) = name.split_once(SEPARATOR)?;
        match what {
            "scope" => rest.split_once(SEPARATOR).map(|(kind, id)| Self::Scope(kind, id)),
            "model" => Some(Self::Model(rest)),
            "namespace" => {
                let (kind, rest) = rest.split_once(SEPARATOR)?;
                let (id, namespace) = rest.split_once(SEPARATOR)?;
                Some(Self::Namespace((kind, id), namespace))
            }
            _ => None,
        }
    }
}

/// The purge is not on disk, and may be undone by a restart.
#[derive(Debug, thiserror::Error)]
#[error(
    "the purge could not be written to {path}: {source}; what it names is not served by this process, purge again once it can be written"
)]
pub struct NotPurged {
    /// The file.
    pub path: String,
    /// Why.
    pub source: std::io::Error,
}

/// All purges so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Purges {
    /// The number of the newest one.
    pub newest: u64,
    /// The number of the newest one of everything.
    pub all: u64,
    /// The newest one of each scope, model and namespace.
    pub by_hash: HashMap<u64, u64>,
}

impl Purges {
    /// Is an entry of this stamp void?
    pub(super) fn concern(&self, key: &Key, stamp: u64) -> bool {
        if stamp >= self.newest {
            return false;
        }
        let later = |hash: u64| self.by_hash.get(&hash).is_some_and(|number| *number > stamp);
        self.all > stamp || later(key.scope) || later(key.model) || later(key.namespace)
    }

    /// With one more; None for everything.
    pub(super) fn with(&self, hash: Option<u64>) -> Self {
        let mut purges = self.clone();
        purges.newest += 1;
        match hash {
            Some(hash) if purges.by_hash.len() < MOST || purges.by_hash.contains_key(&hash) => {
                purges.by_hash.insert(hash, purges.newest);
            }
            _ => {
                purges.by_hash.clear();
                purges.all = purges.newest;
            }
        }
        purges
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: Key = Key { hash: 0, check: 0, scope: 1, model: 2, namespace: 3 };

    #[test]
    fn a_purge_concerns_what_is_older_and_belongs_to_it() {
        let purges = Purges::default().with(Some(9));
        assert!(!purges.concern(&KEY, 0));
        for hash in [1, 2, 3] {
            let purges = purges.with(Some(hash));
            assert!(purges.concern(&KEY, 0) && purges.concern(&KEY, 1));
            assert!(!purges.concern(&KEY, 2), "an answer of today");
        }
        assert!(purges.with(None).concern(&KEY, 1));
        assert!(!purges.with(None).concern(&KEY, 2));
    }

    #[test]
    fn a_purge_has_a_name_that_others_understand() {
        let all = [
            Purge::All,
            Purge::Scope("global", ""),
            Purge::Model("a/b"),
            Purge::Namespace(("team", "red"), "n:\u{1f}x"),
        ];
        for purge in all {
            assert_eq!(Purge::named(&purge.name()), Some(purge));
        }
        assert_eq!(Purge::named("entry"), None);
    }

    #[test]
    fn too_many_purges_become_one_of_everything() {
        let mut purges = Purges::default();
        for hash in 0..MOST as u64 {
            purges = purges.with(Some(100 + hash));
        }
        assert!(!purges.concern(&KEY, 0));
        let purges = purges.with(Some(99));
        assert!(purges.by_hash.is_empty());
        assert!(purges.concern(&KEY, purges.newest - 1));
    }
}
