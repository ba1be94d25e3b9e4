//! The exact cache: the key of a usual chat, a lookup that finds nothing, and one that finds its answer in memory, with
//! and without other threads at it.

#![allow(missing_docs, clippy::unwrap_used)]

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use cache::exact::{Cipher, Entry, ExactCache, Flags, Key, Peek, Question, Settings};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use domain::{Micros, Usage};
use lookups::Spread;

const NOW: u64 = 1_000_000;
const ENTRIES: usize = 10_000;

fn cache(folder: &std::path::Path, key: Option<&[u8]>) -> Arc<ExactCache> {
    let disk = Some((folder.to_owned(), 256 << 20));
    let cipher = key.map(|key| Arc::new(Cipher::new(key).unwrap()));
    let settings = Settings { memory_bytes: 64 << 20, disk, cipher, largest_entry_bytes: 1 << 20 };
    Arc::new(ExactCache::open(settings).unwrap())
}

/// About a kilobyte: a system prompt and two turns.
fn body(number: usize) -> String {
    let system =
        "You are a patient assistant of a shop for garden tools; answer in three sentences. ".repeat(6);
    format!(
        r#"{{"model":"small","messages":[{{"role":"system","content":"{system}"}},{{"role":"user","content":"Which spade is best for clay, and why? It rains a lot here."}},{{"role":"assistant","content":"A drainage spade: its narrow blade cuts clay."}},{{"role":"user","content":"How long does one last? {number}"}}],"temperature":0.2,"max_tokens":400,"top_p":1,"stream":true,"stream_options":{{"include_usage":true}},"user":"u-1","seed":7,"stop":["\n\n"]}}"#
    )
}

fn key(cache: &ExactCache, body: &str) -> Key {
    let question = Question {
        scope: ("team", "0190b6a2-6e2d-7c4e-9a5e-3f1f0a2b4c6d"),
        namespace: "",
        operation: "chat",
        model: "small",
        prompt_version: "",
        rest: &[],
        body: body.as_bytes(),
    };
    cache.keyer().key(&question).unwrap()
}

fn entry() -> Entry {
    Entry {
        created_ms: NOW,
        fresh_until_ms: u64::MAX,
        stale_until_ms: u64::MAX,
        flags: Flags::default(),
        status: 200,
        usage: Usage::default(),
        cost: Micros(1),
        origin: "openai/gpt".into(),
        pieces: Entry::gather(&[Bytes::from(vec![b'x'; 2_048])]),
    }
}

fn lookups(criterion: &mut Criterion) {
    let folder = std::env::temp_dir().join(format!("signalbox-bench-cache-{}", std::process::id()));
    let cache = cache(&folder, None);
    for number in 0..ENTRIES {
        cache.keep(&cache.lookup(key(&cache, &body(number))), entry());
    }
    let (known, unknown) = (body(ENTRIES - 1), body(1_000_000));
    let mut group = criterion.benchmark_group("exact");
    group.throughput(Throughput::Bytes(known.len() as u64));
    group.bench_function("key", |bencher| bencher.iter(|| key(&cache, black_box(&known))));
    group.throughput(Throughput::Elements(1));
    let look = |key: Key| cache.peek(&cache.lookup(key), NOW);
    let (found, missing) = (key(&cache, &known), key(&cache, &unknown));
    assert!(matches!(look(found), Peek::Hit(_)) && matches!(look(missing), Peek::Miss));
    group.bench_function("hit", |bencher| bencher.iter(|| look(black_box(found))));
    group.bench_function("miss", |bencher| bencher.iter(|| look(black_box(missing))));
    group.bench_function("key and miss", |bencher| {
        bencher.iter(|| look(key(&cache, black_box(&unknown))));
    });
    let stop = Arc::new(AtomicBool::new(false));
    let other = std::thread::spawn({
        let (cache, stop) = (cache.clone(), stop.clone());
        move || {
            while !stop.load(Ordering::Relaxed) {
                black_box(cache.peek(&cache.lookup(found), NOW));
            }
        }
    });
    group.bench_function("hit beside another thread", |bencher| bencher.iter(|| look(black_box(found))));
    stop.store(true, Ordering::Relaxed);
    other.join().unwrap();
    group.finish();
    spreads(&cache);
    cache.close();
    std::fs::remove_dir_all(&folder).unwrap();
}

/// Every entry once, far from the one before, and as many questions that nobody asked.
fn spreads(cache: &ExactCache) {
    let asked = |from: usize| (0..ENTRIES).map(move |at| body(from + at * 7_919 % ENTRIES));
    let look = |body: String| cache.peek(&cache.lookup(key(cache, &body)), NOW);
    // The first round is the first time that anyone reads these entries.
    for _ in 0..3 {
        Spread::of(asked(0), look).print("exact/key and hit", &[(50, 15.0), (99, 60.0)]);
        Spread::of(asked(1_000_000), look).print("exact/key and miss", &[(50, 2.0)]);
    }
}

/// An entry that came back from an encrypted disk is in memory and is opened once.
fn sealed(criterion: &mut Criterion) {
    let folder = std::env::temp_dir().join(format!("signalbox-bench-sealed-{}", std::process::id()));
    let before = cache(&folder, Some(&[7; 32]));
    before.keep(&before.lookup(key(&before, &body(1))), entry());
    before.close();
    drop(before);
    let cache = cache(&folder, Some(&[7; 32]));
    let found = key(&cache, &body(1));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    assert!(runtime.block_on(cache.load(&cache.lookup(found), NOW)).is_some());
    let look = |key: Key| cache.peek(&cache.lookup(key), NOW);
    assert!(matches!(look(found), Peek::Hit(_)));
    criterion
        .bench_function("exact/hit of what was sealed", |bencher| bencher.iter(|| look(black_box(found))));
    cache.close();
    std::fs::remove_dir_all(&folder).unwrap();
}

criterion_group!(benches, lookups, sealed);
criterion_main!(benches);
