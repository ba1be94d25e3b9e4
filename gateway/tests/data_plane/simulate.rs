//! `signalbox cache simulate`: what it prints of a stream, and what it says of one that it cannot read.

use std::fmt::Write as _;
use std::process::{Command, Output};

use serde_json::Value;

const TOPICS: &[&str] =
    &["sourdough", "kimchi", "a violin", "the tide", "old maps", "a terrarium", "olives", "a canoe"];
const WORDINGS: &[&str] = &[
    "How do I store {} for {n} days?",
    "What is the way to store {} for {n} days?",
    "storing {} for {n} days, how?",
];
const CHAT: &[&str] = &["", "hi, ", "quick question: ", "urgent: "];

/// Questions in three wordings with chat, in an order of chance; each has neighbours with another number.
fn stream() -> String {
    let (mut state, mut text) = (7_u64, String::new());
    let mut seen = std::collections::HashSet::new();
    while seen.len() < 900 {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let roll = usize::try_from(state >> 33).unwrap();
        let (topic, number) = (TOPICS[roll % 8], roll / 8 % 12 + 2);
        let wording = WORDINGS[roll / 96 % 3].replace("{}", topic).replace("{n}", &number.to_string());
        let prompt = format!("{}{wording}", CHAT[roll / 288 % 4]);
        if seen.insert(prompt.clone()) {
            writeln!(
                text,
                "{}",
                serde_json::json!({"prompt": prompt, "answer": format!("{topic} {number}")})
            )
            .unwrap();
        }
    }
    text
}

fn simulate(stream: &str, options: &[&str]) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("stream.jsonl");
    std::fs::write(&path, stream).unwrap();
    let program = env!("CARGO_BIN_EXE_signalbox");
    Command::new(program).args(["cache", "simulate", "--stream"]).arg(path).args(options).output().unwrap()
}

#[test]
fn a_stream_is_replayed_within_the_bound_and_fixed_thresholds_are_shown_beside_it() {
    let stream = stream();
    for options in [&["--json"][..], &["--json", "--no-antonyms"], &["--json", "--compare"]] {
        let output = simulate(&stream, options);
        assert!(output.status.success(), "{output:?}");
        let text = String::from_utf8(output.stdout).unwrap();
        let told: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
        let number = |name: &str| told[name].as_f64().unwrap_or_else(|| panic!("{name}: {told}"));
        assert!(number("hit_rate") > 0.4 && number("false_hit_rate") <= 0.02, "{told}");
        assert!(number("bound") > 0.0 && number("bound") <= 0.02, "{told}");
        assert!(told["fixed"][0]["false_hit_rate"].as_f64() > Some(0.2), "{told}");
    }
    let table = String::from_utf8(simulate(&stream, &["--max-error", "0.05"]).stdout).unwrap();
    for part in ["hit rate", "bound", "closed", "0.80", "0.90", "0.95"] {
        assert!(table.contains(part), "{table}");
    }
}

#[test]
fn a_line_that_cannot_be_read_is_named_with_what_is_wrong() {
    let good = "{\"prompt\": \"p\", \"answer\": \"a\"}\n";
    for (stream, wanted) in [
        (format!("{good}{{\"prompt\": 3, \"answer\": \"a\"}}\n"), ["line 2", "expected a string"]),
        (format!("{good}\n{{\"prompt\": \"p\"}}\n"), ["line 3", "missing field `answer`"]),
        (format!("{good}nonsense"), ["line 2", "`prompt` and `answer`"]),
        (format!("{good}{}", "x".repeat(2 << 20)), ["line 2", "longer than 1 MiB"]),
        (String::new(), ["it has no lines", "prompt"]),
    ] {
        let output = simulate(&stream, &[]);
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && wanted.iter().all(|part| text.contains(part)), "{text}");
    }
    for (option, value) in [("--max-error", "2"), ("--audit-share", "-0.5")] {
        let output = simulate(good, &[&format!("{option}={value}")]);
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && text.contains(option), "{text}");
    }
}
