//! Our own count of a prompt against what the provider counted.

use providers::{Operation, WireFormat, count_tokens};
use serde_json::Value;

use crate::recording::{self, Counted};

/// How far off a set of counts is.
#[derive(Debug, Default)]
struct Errors {
    cases: usize,
    ours: u64,
    theirs: u64,
    /// Within 3 %, or within 3 tokens of a small prompt.
    close: usize,
    worst: (u64, String),
}

impl Errors {
    fn take(&mut self, counted: &Counted, ours: u64) {
        let off = ours.abs_diff(counted.prompt);
        self.cases += 1;
        self.ours += ours;
        self.theirs += counted.prompt;
        self.close += usize::from(off * 100 <= counted.prompt * 3 || off <= 3);
        let share = off * 1_000 / counted.prompt;
        if share > self.worst.0 {
            self.worst = (share, format!("{}: {ours} for {}", counted.file, counted.prompt));
        }
    }
}

fn ours(counted: &Counted) -> u64 {
    let operation = match counted.format {
        WireFormat::OpenAi => Operation::ChatCompletions,
        WireFormat::Anthropic => Operation::Messages,
        WireFormat::Responses => Operation::Responses,
        _ => unreachable!("no recorded request is in this format"),
    };
    let model = counted.request["model"].as_str().unwrap_or_default();
    count_tokens(operation, model, counted.request.to_string().as_bytes())
}

/// Tools of the provider's own, and files and pictures whose bytes the recording left out, cannot be
/// counted by anyone who does not have them.
fn is_countable(request: &Value) -> bool {
    let text = request.to_string();
    let foreign = ["\"image", "\"document\"", "\"file\"", "input_audio", "server_tool_use", "mcp_servers"];
    let own_tools = request["tools"].as_array().into_iter().flatten();
    let own_tools =
        own_tools.filter(|tool| !matches!(tool["type"].as_str(), None | Some("custom" | "function")));
    !foreign.iter().any(|mark| text.contains(mark)) && own_tools.count() == 0
}

#[test]
fn our_counts_are_close_to_the_providers() {
    let mut sets: Vec<(&str, [Errors; 2])> = Vec::new();
    for (at, counted) in recording::counted().iter().filter(|one| is_countable(&one.request)).enumerate() {
        let set = match (counted.provider.as_str(), counted.kind.as_str()) {
            ("anthropic", "count_tokens") => "anthropic count_tokens",
            ("anthropic", _) => "anthropic",
            ("openai", _) => "openai",
            _ => "others",
        };
        if !sets.iter().any(|(name, _)| *name == set) {
            sets.push((set, Default::default()));
        }
        let (_, halves) = sets.iter_mut().find(|(name, _)| *name == set).unwrap();
        let ours = ours(counted);
        halves[at % 2].take(counted, ours);
        if std::env::var_os("SHOW_COUNTS").is_some() {
            println!("{set} {} {ours} for {}: {}", counted.request["model"], counted.prompt, counted.file);
        }
    }
    for (set, halves) in &sets {
        println!("{set}: {halves:?}");
    }
    let (_, halves) = sets.iter().find(|(set, _)| *set == "anthropic count_tokens").unwrap();
    let total = |of: fn(&Errors) -> u64| halves.iter().map(of).sum::<u64>();
    let (ours, theirs) = (total(|errors| errors.ours), total(|errors| errors.theirs));
    assert!(ours.abs_diff(theirs) * 100 <= theirs * 3, "{ours} tokens counted for {theirs}");
}
