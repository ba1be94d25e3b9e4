//! What lies on the disk of a cache with a key, in a process that does nothing else: foyer's buffers are not cleared,
//! and another test's answers in them would be found here.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::sync::Arc;

use cache::exact::{Entry, ExactCache, Peek};
use support::{MIB, NOW, entry, fill, lookup, open, runtime};

fn find(cache: &ExactCache, number: u64) -> Option<Arc<Entry>> {
    let asked = lookup(cache, number);
    match cache.peek(&asked, NOW) {
        Peek::Hit(entry) => Some(entry),
        Peek::Miss => None,
        Peek::OnDisk => runtime().block_on(cache.load(&asked, NOW)),
    }
}

#[test]
fn a_sealed_disk_holds_no_answer_and_another_key_finds_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let cache = open(Some(folder.path()), 64 * MIB, Some(1));
    fill(&cache, 0..500, 300);
    cache.close();
    drop(cache);
    for file in std::fs::read_dir(folder.path().join("entries")).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        assert!(!bytes.windows(7).any(|window| window == b"answer "));
    }
    for (key, is_there) in [(Some(2), false), (None, false)] {
        let cache = open(Some(folder.path()), 64 * MIB, key);
        assert_eq!(find(&cache, 7).is_some(), is_there, "{key:?}");
        cache.close();
    }
    let cache = open(Some(folder.path()), 64 * MIB, Some(1));
    assert_eq!(*find(&cache, 8).unwrap(), entry(8, 300));
}
