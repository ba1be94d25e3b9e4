//! Trying the semantic cache out on a stream of questions, without a gateway.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, anyhow, ensure};
use cache::semantic::replay::{Replay, Request, Tally, fixed_threshold};
use cache::semantic::{Rules, Settings, compare};
use clap::{Args, Subcommand, ValueEnum};
use router_model::embed::StaticEmbedder;
use serde::Deserialize;

use super::warm::{self, Warm};
use crate::answer_cache::open_minilm;
use crate::config::{MinilmConfig, RouterConfig};
use crate::routing::library_places;

/// A line longer than this is no question.
const LONGEST_LINE: u64 = 1 << 20;
/// What caches without a guard are set to.
const FIXED: [f32; 3] = [0.80, 0.90, 0.95];
/// Nobody waits for a simulation, but it must not stand still.
const LONGEST_ENCODING: std::time::Duration = std::time::Duration::from_secs(60);
/// So often the way of a stream is told.
const STEPS: usize = 10;

#[derive(Debug, Subcommand)]
pub(super) enum CacheCommand {
    /// What the semantic cache would serve of a stream of questions, how much of it wrongly, and what it promises.
    Simulate(Simulate),
    /// Gives the cache of a running gateway answers from a file, before anybody has asked.
    Warm(Warm),
}

#[derive(Args, Debug)]
pub(super) struct Simulate {
    /// JSON lines `{"prompt": "…", "answer": "…"}`: two prompts may share an answer when `answer` is equal.
    #[arg(long)]
    stream: PathBuf,
    /// The share of hits that may be wrong.
    #[arg(long, default_value_t = 0.02)]
    max_error: f64,
    /// What makes vectors of prompts.
    #[arg(long, value_enum, default_value_t = Embedder::Static)]
    embedder: Embedder,
    /// MiniLM's folder, which scripts/fetch-minilm brings; by default `minilm` beside the program.
    #[arg(long)]
    model: Option<String>,
    /// The library of ONNX Runtime, which scripts/fetch-onnxruntime brings; by default what `ORT_DYLIB_PATH` names, or the
    /// one beside the program.
    #[arg(long)]
    library: Option<String>,
    /// The share of hits that are also asked upstream, to learn from.
    #[arg(long, default_value_t = 0.05)]
    audit_share: f64,
    /// Empties the lexicon of opposites: the threshold alone must find them out.
    #[arg(long)]
    no_antonyms: bool,
    /// Learns from comparing the texts of `answer`, or of `text` where a line has it, as the gateway must, instead of
    /// from knowing.
    #[arg(long)]
    compare: bool,
    /// Lets only an object be printed.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Embedder {
    /// The table of token vectors that comes with Signalbox.
    Static,
    /// all-MiniLM-L6-v2.
    Minilm,
}

/// A line of a stream.
#[derive(Debug, Deserialize)]
struct Line {
    prompt: String,
    answer: String,
    /// What a provider said.
    #[serde(default)]
    text: Option<String>,
}

pub(super) fn run(command: CacheCommand) -> anyhow::Result<ExitCode> {
    let options = match command {
        CacheCommand::Simulate(options) => options,
        CacheCommand::Warm(options) => return warm::run(&options),
    };
    for (name, share) in [("--max-error", options.max_error), ("--audit-share", options.audit_share)] {
        ensure!(
            (0.0..=1.0).contains(&share),
            "{name}: {share} is no share: give a number from 0 to 1, like 0.02"
        );
    }
    let lines = read(&options.stream)?;
    let vectors = embed(&options, &lines)?;
    let requests: Vec<Request<'_>> = lines
        .iter()
        .zip(&vectors)
        .map(|(line, vector)| Request {
            prompt: &line.prompt,
            truth: &line.answer,
            answer: line.text.as_deref().unwrap_or(&line.answer),
            vector: vector.as_deref(),
        })
        .collect();
    simulate(&options, &requests)
}

fn simulate(options: &Simulate, requests: &[Request<'_>]) -> anyhow::Result<ExitCode> {
    let settings = Settings {
        max_error: options.max_error,
        audit_share: options.audit_share,
        rules: Rules { opposites: !options.no_antonyms },
        ..Settings::default()
    };
    let agree = if options.compare { compare::agree } else { |kept: &str, fresh: &str| kept == fresh };
    let mut replay = Replay::new(settings);
    let mut out = std::io::stdout().lock();
    let step = requests.len().div_ceil(STEPS).max(1);
    if !options.json {
        writeln!(out, "  requests   hits  hit rate  false hits  false/hits    bound  threshold  evidence")?;
    }
    for (at, request) in (1..).zip(requests) {
        replay.step(*request, agree);
        if !options.json && (at % step == 0 || at == requests.len()) {
            row(&mut out, &replay)?;
        }
    }
    let fixed = FIXED.map(|threshold| (threshold, fixed_threshold(requests, threshold)));
    if options.json {
        serde_json::to_writer(&mut out, &object(options, &replay, &fixed))?;
        writeln!(out)?;
        return Ok(ExitCode::SUCCESS);
    }
    let tally = replay.tally();
    writeln!(out, "\nhits to the letter: {}; hits also asked upstream: {}", tally.exact_hits, tally.audits)?;
    writeln!(out, "\nfor comparison, one fixed threshold on the cosine:")?;
    for (threshold, tally) in fixed {
        let (hits, wrong) = (tally.hit_rate() * 100.0, tally.false_hit_rate() * 100.0);
        writeln!(out, "  {threshold:.2}: hit rate {hits:5.1} %, false/hits {wrong:5.2} %")?;
    }
    Ok(ExitCode::SUCCESS)
}

fn row(out: &mut impl Write, replay: &Replay) -> std::io::Result<()> {
    let (tally, promise) = (replay.tally(), replay.promise());
    let Tally { requests, hits, false_hits, .. } = tally;
    let (rate, wrong) = (tally.hit_rate() * 100.0, tally.false_hit_rate() * 100.0);
    write!(out, "{requests:10} {hits:6} {rate:7.1} % {false_hits:11} {wrong:9.2} %")?;
    if promise.is_open() {
        writeln!(out, " {:8.4} {:10.3} {:9}", promise.bound, promise.score, promise.labels)
    } else {
        writeln!(out, "        -     closed         -")
    }
}

fn object(options: &Simulate, replay: &Replay, fixed: &[(f32, Tally)]) -> serde_json::Value {
    let (tally, promise) = (replay.tally(), replay.promise());
    let fixed = fixed.iter().map(|(threshold, tally)| {
        let threshold = (f64::from(*threshold) * 100.0).round() / 100.0;
        serde_json::json!({"threshold": threshold, "hit_rate": tally.hit_rate(), "false_hit_rate": tally.false_hit_rate()})
    });
    serde_json::json!({
        "requests": tally.requests,
        "hits": tally.hits,
        "exact_hits": tally.exact_hits,
        "audits": tally.audits,
        "false_hits": tally.false_hits,
        "hit_rate": tally.hit_rate(),
        "false_hit_rate": tally.false_hit_rate(),
        // What the evidence promises of what is served; 0 while nothing is.
        "bound": promise.bound,
        "open": promise.is_open(),
        "threshold": promise.is_open().then_some(promise.score),
        "max_error": options.max_error,
        "fixed": fixed.collect::<Vec<_>>(),
    })
}

fn embed(options: &Simulate, lines: &[Line]) -> anyhow::Result<Vec<Option<Vec<f32>>>> {
    match options.embedder {
        Embedder::Static => {
            let table = StaticEmbedder::built_in().context("the built-in embedder")?;
            Ok(lines.iter().map(|line| table.embed(&line.prompt)).collect())
        }
        Embedder::Minilm => encode(options, lines),
    }
}

/// As the gateway makes them, but for the deadline.
fn encode(options: &Simulate, lines: &[Line]) -> anyhow::Result<Vec<Option<Vec<f32>>>> {
    let router = RouterConfig { library: options.library.clone(), ..RouterConfig::default() };
    let mut libraries = library_places(&router);
    libraries.extend(beside_the_build());
    let minilm = MinilmConfig { path: options.model.clone(), ..MinilmConfig::default() };
    let encoder = open_minilm(&minilm, &libraries).context("--embedder minilm cannot be used")?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    let encode = |(line, number): (&Line, usize)| {
        let vector = runtime.block_on(encoder.encode(&line.prompt, LONGEST_ENCODING));
        Ok(Some(vector.with_context(|| format!("the prompt of request {number} has no vector"))?))
    };
    lines.iter().zip(1..).map(encode).collect()
}

/// Where scripts/fetch-onnxruntime puts the library, seen from a program in `target/release`.
fn beside_the_build() -> Option<PathBuf> {
    let program = std::env::current_exe().ok()?;
    Some(program.parent()?.parent()?.join("onnxruntime").join(router_model::runtime::LIBRARY))
}

fn read(path: &Path) -> anyhow::Result<Vec<Line>> {
    let file = std::fs::File::open(path).with_context(|| format!("{} cannot be read", path.display()))?;
    let mut file = BufReader::new(file);
    let mut lines = Vec::new();
    let mut text = Vec::new();
    for number in 1.. {
        text.clear();
        let read = (&mut file).take(LONGEST_LINE + 1).read_until(b'\n', &mut text);
        let read = read.with_context(|| format!("{}: line {number} cannot be read", path.display()))?;
        if read == 0 {
            break;
        }
        let place = || format!("{}: line {number}", path.display());
        ensure!(
            text.len() as u64 <= LONGEST_LINE,
            "{}: it is longer than 1 MiB, which is no question",
            place()
        );
        if text.trim_ascii().is_empty() {
            continue;
        }
        let line: Line = serde_json::from_slice(&text).map_err(|error| {
            let problem = error.to_string();
            // Serde counts lines within the line.
            let problem = problem.split(" at line ").next().unwrap_or_default();
            anyhow!("{}: not an object with the texts `prompt` and `answer`: {problem}", place())
        })?;
        lines.push(line);
    }
    ensure!(
        !lines.is_empty(),
        "{}: it has no lines; each is {{\"prompt\": \"…\", \"answer\": \"…\"}}",
        path.display()
    );
    Ok(lines)
}
