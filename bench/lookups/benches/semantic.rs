//! What the semantic cache decides on, and how long that takes: the vector of the question, its signature, the nearest of
//! a partition's entries, the guard and the threshold, as on every request that misses the exact cache.

#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing)]

use std::hint::black_box;

use cache::semantic::{Entry, SemanticCache, Settings, Signature, Vector};
use criterion::{Criterion, criterion_group, criterion_main};
use lookups::Spread;
use router_model::embed::StaticEmbedder;

const VERBS: &[&str] =
    &["assemble", "clean", "store", "repair", "paint", "sell", "ship", "insure", "rent", "measure"];
const THINGS: &[&str] = &[
    "a tent",
    "the oven",
    "my bicycle",
    "an aquarium",
    "the piano",
    "a canoe",
    "the roof",
    "a lamp",
    "the garden",
    "a kite",
];
const PLACES: &[&str] =
    &["in Oslo", "at home", "in winter", "on a boat", "for a friend", "without tools", "by hand"];

/// A question of its own for each number.
fn question(at: usize) -> String {
    let (verb, thing, place) = (VERBS[at % 10], THINGS[at / 10 % 10], PLACES[at / 100 % 7]);
    format!("How do I {verb} {thing} {place} with {} euros?", at / 700 + 2)
}

fn filled(count: usize, embedder: &StaticEmbedder) -> SemanticCache {
    let cache = SemanticCache::new(Settings { max_bytes: 1 << 30, ..Settings::default() });
    for at in 0..count {
        let text = question(at);
        let vector = Vector::new(&embedder.embed(&text).unwrap()).unwrap();
        cache.insert(1, Entry { id: at as u128, vector, signature: Signature::of(&text).unwrap() });
    }
    cache
}

fn decision(criterion: &mut Criterion) {
    let embedder = StaticEmbedder::built_in().unwrap();
    let asked: Vec<String> = (0..512).map(|at| format!("hi, {} thanks", question(at * 9))).collect();
    let mut next = asked.iter().cycle();
    criterion.bench_function("semantic/embed", |bench| {
        bench.iter(|| embedder.embed(black_box(next.next().unwrap())));
    });
    for (count, most) in [(5_000, 40.0), (100_000, 300.0)] {
        let cache = filled(count, embedder);
        // Learnt weights cost a look-up each: a class without any would be too quick.
        for text in &asked {
            let vector = Vector::new(&embedder.embed(text).unwrap()).unwrap();
            let lookup = cache.lookup(1, 1, &Signature::of(text).unwrap(), &vector);
            lookup
                .candidates
                .iter()
                .enumerate()
                .for_each(|(at, candidate)| cache.learn(candidate, at == 0, at == 0));
        }
        let decide = |text: &String| {
            let vector = Vector::new(&embedder.embed(text).unwrap()).unwrap();
            cache.lookup(1, 1, &Signature::of(text).unwrap(), &vector).decision
        };
        let what = format!("semantic/decision/{count}");
        criterion.bench_function(&what, |bench| bench.iter(|| decide(black_box(next.next().unwrap()))));
        Spread::of(asked.iter().cycle().take(8 * asked.len()), decide).print(&what, &[(50, most)]);
    }
}

criterion_group!(benches, decision);
criterion_main!(benches);
