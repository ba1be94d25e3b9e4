//! A cache whose answers follow from their number.

#![allow(dead_code, unreachable_pub, missing_docs, reason = "each test file uses its share of this")]

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use cache::exact::{Cipher, Entry, ExactCache, Flags, Lookup, Question, Settings};
use domain::{Micros, Usage};

pub const NOW: u64 = 1_000_000;
pub const MIB: usize = 1 << 20;

pub fn open(folder: Option<&Path>, memory_bytes: usize, key: Option<u8>) -> Arc<ExactCache> {
    let cipher = key.map(|key| Arc::new(Cipher::new(&[key; 32]).unwrap()));
    let disk = folder.map(|folder| (folder.to_owned(), 512 * MIB));
    Arc::new(ExactCache::open(Settings { memory_bytes, disk, cipher, largest_entry_bytes: MIB }).unwrap())
}

pub fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

pub fn lookup_of(cache: &ExactCache, scope: &str, namespace: &str, model: &str, number: u64) -> Lookup {
    let body = format!(r#"{{"messages":[{{"role":"user","content":"question {number}"}}]}}"#);
    let question = Question {
        scope: ("team", scope),
        namespace,
        operation: "chat",
        model,
        prompt_version: "",
        rest: &[],
        body: body.as_bytes(),
    };
    cache.lookup(cache.keyer().key(&question).unwrap())
}

pub fn lookup(cache: &ExactCache, number: u64) -> Lookup {
    lookup_of(cache, "red", "", "small", number)
}

/// Every byte follows from the number, so that a wrong answer is seen.
pub fn body(number: u64, length: usize) -> Bytes {
    let word = format!("answer {number};");
    Bytes::from(word.bytes().cycle().take(length).collect::<Vec<u8>>())
}

pub fn entry(number: u64, length: usize) -> Entry {
    Entry {
        created_ms: NOW,
        fresh_until_ms: NOW + 1_000,
        stale_until_ms: NOW + 2_000,
        flags: Flags::default(),
        status: 200,
        usage: Usage { prompt: number, ..Usage::default() },
        cost: Micros(5),
        origin: "up/m".into(),
        pieces: Entry::gather(&[body(number, length)]),
    }
}

/// Keeps as fast as the disk takes it.
pub fn fill(cache: &ExactCache, numbers: std::ops::Range<u64>, length: usize) {
    let runtime = runtime();
    for number in numbers {
        assert!(cache.keep(&lookup(cache, number), entry(number, length)));
        if number % 2_000 == 1_999 {
            runtime.block_on(cache.flush());
        }
    }
    runtime.block_on(cache.flush());
}
