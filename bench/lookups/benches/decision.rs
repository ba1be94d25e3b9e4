//! What one decision of the lexical router costs: on distinct real prompts of the labelled data beside the repository, where
//! there are any, else on made ones; and on one of 16 KiB.

use std::hint::black_box;
use std::path::PathBuf;
use std::process::Command;

use criterion::{Criterion, criterion_group, criterion_main};
use lookups::Spread;
use router_model::score::RouteModel;

/// The questions of MMLU, unpacked by gzip, which every Linux has.
fn prompts() -> Vec<String> {
    #[derive(serde::Deserialize)]
    struct Row {
        prompt: String,
    }
    let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/router-data"));
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
    // The first round warms the table up.
    for _ in 0..2 {
        Spread::of(&prompts, |prompt| model.score(prompt).is_ok())
            .print("router/decision", &[(50, 15.0), (99, 60.0)]);
    }
    let mut next = prompts.iter().cycle();
    criterion.bench_function("router/decision", |bench| {
        bench.iter(|| next.next().map(|prompt| model.score(black_box(prompt)).is_ok()));
    });
    let long: String = prompts.iter().flat_map(|prompt| prompt.chars()).take(16 * 1024).collect();
    criterion.bench_function("router/decision of 16 KiB", |bench| {
        bench.iter(|| model.score(black_box(&long)).is_ok());
    });
}

criterion_group!(benches, decisions);
criterion_main!(benches);
