//! What the policy takes to choose among nine models, once their scores are there.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use gateway::routing::{Evidence, Objective, Prospect, decide};

/// As cheap as they are bad, and the fastest in the middle.
fn among_nine(criterion: &mut Criterion) {
    let candidates = (1..=9_u8).map(|at| Prospect {
        model: format!("m{at}").into(),
        excluded: None,
        beyond: None,
        quality: Some(f32::from(at) / 10.0),
        raw_quality: Some(f32::from(at) / 10.0),
        stage1_quality: None,
        cost_nanos: Some(u64::from(at) * 1_000),
        latency_us: Some(u64::from(at.abs_diff(5)) * 1_000),
    });
    let evidence = Evidence {
        candidates: candidates.collect(),
        objective: Objective::TargetQuality(0.65),
        max_cost_nanos: Some(8_500),
        max_latency_us: None,
        default: 0,
        score: None,
        unscored: None,
        stage1: None,
        rule: None,
        external: None,
        kept: None,
        tokens: 100,
        steps: None,
    };
    criterion.bench_function("router/policy among nine", |bench| {
        bench.iter(|| decide(black_box(&evidence)));
    });
}

criterion_group!(benches, among_nine);
criterion_main!(benches);
