//! What many keys with limits cost each request more than a single one: the key's hash and look-up, requests and tokens a
//! minute, requests at once, and the hold on a budget, as the gateway does them. Keys come in random order, so that with
//! many of them little is in a cache.

#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing)]

use std::fmt::Write as _;
use std::hint::black_box;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use domain::Micros;
use gateway::budgets::BudgetBook;
use gateway::config;
use gateway::keys::KeyTable;
use gateway::limits::LimitBook;

/// About as long as the gateway's own keys are.
fn key(index: usize) -> String {
    format!("sk-bench-{index:040}")
}

fn table(keys: usize) -> (KeyTable, BudgetBook) {
    let mut text = "listen: 127.0.0.1:0\nadmin: {listen: 127.0.0.1:1}\nkeys:\n".to_owned();
    for index in 0..keys {
        let key = key(index);
        writeln!(
            text,
            "  - {{name: key-{index}, key: {key}, rpm: 4000000000, tpm: 4000000000000, max_parallel: 1000, \
             budget: {{usd: 1000000000, per: 30d}}}}"
        )
        .unwrap();
    }
    let config = config::load_text(&text).unwrap().config;
    let budgets = BudgetBook::default();
    (KeyTable::new(&config, &LimitBook::default(), &budgets).unwrap(), budgets)
}

/// All keys, each once, in an order of chance that is the same in every run.
fn shuffled(keys: usize) -> Vec<String> {
    let mut order: Vec<String> = (0..keys).map(key).collect();
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    for index in (1..order.len()).rev() {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let other = usize::try_from(state >> 33).unwrap() % (index + 1);
        order.swap(index, other);
    }
    order
}

/// What `authenticate`, `admit`, `reserve`, an attempt's reservation and `record` do with a key.
fn request(table: &KeyTable, key: &str, at_ms: i64) {
    let principal = table.find(Some(key.as_bytes())).unwrap();
    let limits = principal.counters.limits.as_ref().unwrap();
    let now = Instant::now();
    let parallel = ready(limits.admit(now)).unwrap();
    let reserved = ready(limits.reserve(now, 300)).unwrap();
    for account in &principal.counters.accounts {
        account.hold(Micros(50), at_ms).unwrap().settle(Micros(20), at_ms);
    }
    limits.settle(now, reserved, 120);
    drop(black_box(parallel));
}

/// Without a cluster nothing waits.
fn ready<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => unreachable!("it waits for another gateway"),
    }
}

fn requests(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("a_request_with_limits");
    group.throughput(Throughput::Elements(1));
    for keys in [1, 10_000] {
        let ((table, _budgets), order) = (table(keys), shuffled(keys));
        let mut next = 0;
        group.bench_function(format!("among_{keys}_keys"), |bencher| {
            bencher.iter(|| {
                next = (next + 1) % order.len();
                request(&table, &order[next], 1_795_498_200_000);
            });
        });
    }
}

criterion_group!(keys, requests);
criterion_main!(keys);
