//! The exact cache on real files: what survives a restart and a kill, what never comes back, and who finds what.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::disallowed_methods)]

mod support;

use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use cache::exact::{Entry, ExactCache, Lookup, Peek, Purge};
use support::{MIB, NOW, entry, fill, lookup, lookup_of, open, runtime};

fn find(cache: &ExactCache, lookup: &Lookup) -> Option<Arc<Entry>> {
    match cache.peek(lookup, NOW) {
        Peek::Hit(entry) => Some(entry),
        Peek::Miss => None,
        Peek::OnDisk => runtime().block_on(cache.load(lookup, NOW)),
    }
}

#[test]
fn an_answer_is_found_until_its_time_is_over() {
    let cache = open(None, 64 * MIB, None);
    let asked = lookup(&cache, 1);
    assert!(matches!(cache.peek(&asked, NOW), Peek::Miss));
    assert!(cache.keep(&asked, entry(1, 100)));
    let Peek::Hit(found) = cache.peek(&asked, NOW + 1_999) else { panic!("not found") };
    assert_eq!(*found, entry(1, 100));
    assert!(matches!(cache.peek(&asked, NOW + 2_000), Peek::Miss));
    let stats = cache.stats();
    assert_eq!((stats.memory_hits, stats.misses, stats.stores), (1, 2, 1));
}

#[test]
fn an_answer_that_is_too_large_is_not_kept() {
    let cache = open(None, 64 * MIB, None);
    assert!(!cache.keep(&lookup(&cache, 1), entry(1, 2 * MIB)));
    assert_eq!(cache.stats().refused, 1);
}

#[test]
fn memory_stays_below_its_cap_and_counts_what_it_pushes_out() {
    let cache = open(None, 8 * MIB, None);
    for number in 0..10_000 {
        cache.keep(&lookup(&cache, number), entry(number, 2_048));
    }
    let stats = cache.stats();
    assert!(stats.memory_bytes <= 8 * MIB as u64, "{stats:?}");
    assert!(stats.evictions > 5_000, "{stats:?}");
}

#[test]
fn what_was_removed_or_purged_never_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let cache = open(Some(folder.path()), 64 * MIB, None);
    fill(&cache, 0..3_000, 200);
    let other_scope = lookup_of(&cache, "blue", "", "small", 1);
    let other_model = lookup_of(&cache, "green", "", "large", 1);
    let namespace = lookup_of(&cache, "green", "n", "small", 1);
    let kept = lookup_of(&cache, "green", "", "small", 1);
    for asked in [&other_scope, &other_model, &namespace, &kept] {
        cache.keep(asked, entry(1, 200));
    }
    let runtime = runtime();
    runtime.block_on(async {
        for number in 0..1_000 {
            assert!(cache.remove(lookup(&cache, number).key().hash).await);
        }
        cache.purge(Purge::Scope("team", "blue")).await.unwrap();
        cache.purge(Purge::Model("large")).await.unwrap();
        cache.purge(Purge::Namespace(("team", "green"), "n")).await.unwrap();
    });
    // An answer to a question from before the purge is void too.
    assert!(!cache.keep(&other_scope, entry(1, 200)));
    let check = |cache: &ExactCache| {
        for number in 0..1_000 {
            assert!(find(cache, &lookup(cache, number)).is_none(), "{number} came back");
        }
        assert!((1_000..3_000).all(|number| find(cache, &lookup(cache, number)).is_some()));
        for (scope, namespace, model, is_there) in [
            ("blue", "", "small", false),
            ("green", "", "large", false),
            ("green", "n", "small", false),
            ("green", "", "small", true),
        ] {
            let asked = lookup_of(cache, scope, namespace, model, 1);
            assert_eq!(find(cache, &asked).is_some(), is_there, "{scope} {namespace} {model}");
        }
    };
    check(&cache);
    cache.close();
    drop(cache);
    let cache = open(Some(folder.path()), 64 * MIB, None);
    check(&cache);
    // What is kept after a purge holds.
    let asked = lookup_of(&cache, "blue", "", "small", 1);
    assert!(cache.keep(&asked, entry(1, 200)));
    assert!(find(&cache, &asked).is_some());
    runtime.block_on(cache.purge(Purge::All)).unwrap();
    assert!(find(&cache, &lookup(&cache, 2_000)).is_none());
    cache.close();
    drop(cache);
    let cache = open(Some(folder.path()), 64 * MIB, None);
    assert!((0..3_000).all(|number| find(&cache, &lookup(&cache, number)).is_none()));
}

#[test]
fn a_burst_beyond_the_disks_queue_is_counted() {
    let folder = tempfile::tempdir().unwrap();
    let cache = open(Some(folder.path()), 16 * MIB, None);
    let answers: Vec<_> = (0..2_000).map(|number| (lookup(&cache, number), entry(number, 65_536))).collect();
    for (asked, entry) in answers {
        cache.keep(&asked, entry);
    }
    runtime().block_on(cache.flush());
    let lost = cache.stats().overflow;
    cache.close();
    drop(cache);
    let cache = open(Some(folder.path()), 256 * MIB, None);
    let runtime = runtime();
    let found = (0..2_000)
        .filter(|number| match cache.peek(&lookup(&cache, *number), NOW) {
            Peek::Hit(_) => true,
            Peek::Miss => false,
            Peek::OnDisk => runtime.block_on(cache.load(&lookup(&cache, *number), NOW)).is_some(),
        })
        .count() as u64;
    println!("{lost} of 2,000 lost to the queue");
    assert!(lost > 0, "no burst");
    assert_eq!(found + lost, 2_000);
}

#[test]
fn nobody_finds_an_answer_of_another_scope_in_a_million_lookups() {
    let cache = open(None, 256 * MIB, None);
    let mut kept: HashMap<(u64, u64, u64), u64> = HashMap::new();
    let (mut hits, mut wrong) = (0_u64, 0_u64);
    let names: Vec<String> = (0..64).map(|scope| format!("team-{scope}")).collect();
    for number in 0..1_000_000_u64 {
        let (scope, namespace, question) = (fastrand::u64(..64), fastrand::u64(..3), fastrand::u64(..500));
        let namespace_name = ["", "a", "b"][namespace as usize];
        let asked = lookup_of(&cache, &names[scope as usize], namespace_name, "small", question);
        match cache.peek(&asked, NOW) {
            Peek::Hit(found) => {
                hits += 1;
                wrong += u64::from(kept.get(&(scope, namespace, question)) != Some(&found.usage.prompt));
            }
            _ => {
                cache.keep(&asked, entry(number, 16));
                kept.insert((scope, namespace, question), number);
            }
        }
    }
    println!("{hits} hits, {wrong} of them of another scope");
    assert!(hits > 800_000, "{hits}");
    assert_eq!(wrong, 0);
}

/// The folder that the process to be killed writes to.
const KILLED: &str = "SIGNALBOX_CACHE_TO_KILL";

#[test]
fn a_killed_process_loses_nothing_that_is_older_than_a_moment() {
    if let Ok(folder) = std::env::var(KILLED) {
        write_until_killed(Path::new(&folder));
    }
    let folder = tempfile::tempdir().unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--nocapture", "a_killed_process_loses_nothing_that_is_older_than_a_moment"])
        .env(KILLED, folder.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut told: Vec<(Instant, u64)> = Vec::new();
    for line in BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok) {
        let Some(number) = line.strip_prefix("kept ") else { continue };
        told.push((Instant::now(), number.parse().unwrap()));
        if told.len() == 200 {
            // SIGKILL on Unix.
            child.kill().unwrap();
            break;
        }
    }
    let killed = Instant::now();
    child.wait().unwrap();
    let old = told.iter().rev().find(|(at, _)| killed - *at >= Duration::from_millis(100)).unwrap().1;
    let cache = open(Some(folder.path()), 256 * MIB, None);
    let runtime = runtime();
    let (mut found, mut wrong) = (0, 0);
    for number in 0..=told.last().unwrap().1 {
        let asked = lookup(&cache, number);
        if let Peek::OnDisk = cache.peek(&asked, NOW)
            && let Some(kept) = runtime.block_on(cache.load(&asked, NOW))
        {
            found += u64::from(number <= old);
            wrong += u64::from(*kept != entry(number, 2_048));
        }
    }
    println!("{found} of {} older than 100 ms, {wrong} corrupt", old + 1);
    assert!(old > 1_000, "{old}");
    assert!(found as f64 >= 0.998 * (old + 1) as f64, "{found} of {}", old + 1);
    assert_eq!(wrong, 0);
}

fn write_until_killed(folder: &Path) -> ! {
    let cache = open(Some(folder), 64 * MIB, None);
    for number in 0.. {
        cache.keep(&lookup(&cache, number), entry(number, 2_048));
        if number % 100 == 99 {
            println!("kept {number}");
            // Five thousand a second: faster than any gateway on such a machine gets new answers.
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    unreachable!("it is killed before")
}
