//! What one decision of the lexical router costs: on distinct real prompts of the labelled data beside the repository, where
//! there are any, else on made ones; and on one of 16 KiB. And what the policy takes to choose among nine models.

use std::hint::black_box;
use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

use criterion::{Criterion, criterion_group, criterion_main};
use gateway::routing::{Evidence, Objective, Prospect, decide};
use router_model::score::RouteModel;

/// The questions of MMLU, unpacked by gzip, which every Linux has.
fn prompts() -> Vec<String> {
    #[derive(serde::Deserialize)]
    struct Row {
        prompt: String,
    }
    let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/router-data"));
    let unpacked = Command::new("gzip").arg("-dc").arg(folder.join("mmlu.jsonl.gz")).output();
    let text = unpacked.map(|output| output.stdout).unwrap_or_default();
    let rows = text.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice::<Row>(line).ok());
    let found: Vec<String> = rows.map(|row| row.prompt).collect();
    if found.is_empty() {
        return (0..8_000)
            .map(|at| format!("What is {at} times {}? Explain why, step by step.", at * 7))
            .collect();
    }
    found
}

fn decisions(criterion: &mut Criterion) {
    let Ok(model) = RouteModel::shipped() else { return };
    let prompts = prompts();
    let mut times: Vec<u64> = Vec::with_capacity(prompts.len());
    for _ in 0..2 {
        times.clear();
        for prompt in &prompts {
            let begin = Instant::now();
            black_box(model.score(black_box(prompt)).is_ok());
            times.push(u64::try_from(begin.elapsed().as_nanos()).unwrap_or(u64::MAX));
        }
    }
    times.sort_unstable();
    let of =
        |percent: usize| times.get(times.len() * percent / 100).copied().unwrap_or_default() as f64 / 1e3;
    let mean = times.iter().sum::<u64>() as f64 / times.len() as f64;
    println!(
        "{} distinct prompts: p50 {:.1} us, p99 {:.1} us, {:.0} decisions a second",
        times.len(),
        of(50),
        of(99),
        1e9 / mean
    );
    let mut next = prompts.iter().cycle();
    criterion.bench_function("router/decision", |bench| {
        bench.iter(|| next.next().map(|prompt| model.score(black_box(prompt)).is_ok()));
    });
    let long: String = prompts.iter().flat_map(|prompt| prompt.chars()).take(16 * 1024).collect();
    criterion.bench_function("router/decision of 16 KiB", |bench| {
        bench.iter(|| model.score(black_box(&long)).is_ok());
    });
}

/// As cheap as they are bad, and the fastest in the middle.
fn among_nine(criterion: &mut Criterion) {
    let candidates = (1..=9_u8).map(|at| Prospect {
        model: format!("m{at}").into(),
        excluded: None,
        quality: Some(f32::from(at) / 10.0),
        raw_quality: Some(f32::from(at) / 10.0),
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

criterion_group!(benches, decisions, among_nine);
criterion_main!(benches);
