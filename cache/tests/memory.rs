//! What the cache takes of a process, which therefore does nothing else.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::time::{Duration, Instant};

use cache::exact::Peek;
use support::{MIB, NOW, entry, fill, lookup, open, runtime};

#[test]
fn a_hundred_thousand_entries_are_all_there_after_a_restart_in_bounded_memory() {
    let folder = tempfile::tempdir().unwrap();
    let before = resident_bytes();
    let cache = open(Some(folder.path()), 32 * MIB, None);
    fill(&cache, 0..100_000, 2_048);
    let grown = resident_bytes().saturating_sub(before);
    println!("resident: cap + {} MiB", grown.saturating_sub(32 * MIB) / MIB);
    assert!(grown <= (32 + 64) * MIB, "{grown} bytes");
    assert_eq!(cache.stats().overflow, 0);
    cache.close();
    drop(cache);
    let started = Instant::now();
    let cache = open(Some(folder.path()), 32 * MIB, None);
    let took = started.elapsed();
    println!("reopened in {took:?}");
    assert!(took < Duration::from_secs(5), "{took:?}");
    let runtime = runtime();
    let found = (0..100_000).filter(|number| {
        let asked = lookup(&cache, *number);
        let found = match cache.peek(&asked, NOW) {
            Peek::Hit(entry) => Some(entry),
            Peek::Miss => None,
            Peek::OnDisk => runtime.block_on(cache.load(&asked, NOW)),
        };
        found.is_some_and(|found| *found == entry(*number, 2_048))
    });
    assert_eq!(found.count(), 100_000);
}

/// Of this process; anonymous memory, as files are the kernel's to give back.
fn resident_bytes() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("RssAnon:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 1024
}
