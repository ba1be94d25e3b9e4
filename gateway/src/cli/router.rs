//! Trying the router out, without a gateway.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail, ensure};
use clap::{Args, Subcommand};
use router_model::score::RouteModel;
use serde::Deserialize;
use serde_json::Value;

use crate::routing::simulation::{Graded, Outcome, for_quality, for_share, outcome};
use crate::routing::{BUILTIN, Decision, decide, load};

/// Shares of the strong model that are shown when no thresholds are asked for.
const SHARES: [f64; 5] = [0.1, 0.3, 0.5, 0.7, 0.9];
/// A row longer than this is no prompt.
const LONGEST_ROW: u64 = 16 << 20;

#[derive(Debug, Subcommand)]
pub(super) enum RouterCommand {
    /// What thresholds would save and keep, over prompts whose answers were graded.
    Simulate {
        #[command(flatten)]
        data: Labelled,
        /// Default: those that send 10, 30, 50, 70 and 90 % of the rows to the strong model.
        #[arg(long, value_delimiter = ',')]
        thresholds: Vec<f64>,
    },
    /// The threshold for a share of requests or for a quality.
    Calibrate {
        #[command(flatten)]
        data: Labelled,
        /// The share that the strong model is to answer, 0 to 1.
        #[arg(long, required_unless_present = "quality", conflicts_with = "quality")]
        share: Option<f64>,
        /// What is to be kept of the strong model's quality, 0 to 1.
        #[arg(long)]
        quality: Option<f64>,
    },
    /// Decides anew what an access log says was decided, and names every difference.
    Replay {
        /// An access log, also gzipped; lines without a decision are passed over.
        log: PathBuf,
    },
    /// What a prompt scores, and which words made it so.
    Explain {
        /// The prompt.
        prompt: String,
        /// `builtin`, or a classifier's file.
        #[arg(long, default_value = BUILTIN)]
        classifier: String,
    },
}

/// Graded prompts, and who was graded.
#[derive(Args, Debug)]
pub(super) struct Labelled {
    /// JSON lines, also gzipped: `prompt` and `weak` and `strong`, or `s:MODEL` for each model.
    #[arg(long, required = true)]
    data: Vec<PathBuf>,
    /// The field of the weak model's grade.
    #[arg(long, default_value = "weak")]
    weak: String,
    /// The field of the strong model's grade.
    #[arg(long, default_value = "strong")]
    strong: String,
    /// What the weak model charges for a request.
    #[arg(long, default_value_t = 0.24)]
    weak_price: f64,
    /// What the strong model charges for the same.
    #[arg(long, default_value_t = 24.7)]
    strong_price: f64,
    /// `builtin`, or a classifier's file.
    #[arg(long, default_value = BUILTIN)]
    classifier: String,
}

/// Runs a command.
pub(super) fn run(command: RouterCommand) -> anyhow::Result<ExitCode> {
    let mut out = std::io::stdout().lock();
    match command {
        RouterCommand::Simulate { data, thresholds } => {
            let (rows, price) = (data.rows()?, data.price()?);
            let thresholds = if thresholds.is_empty() {
                SHARES.map(|share| for_share(&rows, share)).to_vec()
            } else {
                thresholds
            };
            writeln!(
                out,
                "{} prompts; the weak model costs {:.2} % of the strong one",
                rows.len(),
                100.0 * price
            )?;
            let outcomes = thresholds.iter().filter_map(|threshold| outcome(&rows, *threshold, price));
            table(&mut out, outcomes)?;
        }
        RouterCommand::Calibrate { data, share, quality } => {
            let (rows, price) = (data.rows()?, data.price()?);
            let threshold = match (share, quality) {
                (Some(share), _) => Some(for_share(&rows, share)),
                (None, quality) => for_quality(&rows, quality.unwrap_or(1.0)),
            };
            let threshold = threshold.context("no threshold reaches this quality: ask for less")?;
            table(&mut out, outcome(&rows, threshold, price))?;
        }
        RouterCommand::Replay { log } => {
            return replay(&mut out, &log).with_context(|| log.display().to_string());
        }
        RouterCommand::Explain { prompt, classifier } => {
            let model = load(&classifier)?;
            explain(&mut out, &model, &prompt)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// What is read of a line of the access log.
#[derive(Deserialize)]
struct Logged {
    #[serde(default)]
    request_id: String,
    #[serde(default)]
    decision: Option<Decision>,
}

fn replay(out: &mut impl Write, log: &Path) -> anyhow::Result<ExitCode> {
    let (mut replayed, mut different) = (0_u64, 0_u64);
    each_line(log, |line| {
        let Logged { request_id, decision: Some(decision) } = serde_json::from_str(line)? else {
            return Ok(());
        };
        replayed += 1;
        let verdict = decide(&decision.evidence);
        if verdict != decision.verdict {
            different += 1;
            let Decision { verdict: logged, .. } = &decision;
            writeln!(out, "{request_id}: logged {logged:?}, now {verdict:?}")?;
        }
        Ok(())
    })?;
    ensure!(replayed > 0, "no line has a decision: is it an access log of virtual models?");
    writeln!(out, "{replayed} decisions, {} reproduced, {different} different", replayed - different)?;
    Ok(if different == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn table(out: &mut impl Write, outcomes: impl IntoIterator<Item = Outcome>) -> std::io::Result<()> {
    writeln!(out, "threshold  strong  quality  kept     saved")?;
    for Outcome { threshold, share, quality, kept, saved } in outcomes {
        let [share, kept, saved] = [share, kept, saved].map(|part| 100.0 * part);
        writeln!(out, "{threshold:<9.5}  {share:5.1} %  {quality:7.4}  {kept:5.1} %  {saved:5.1} %")?;
    }
    Ok(())
}

fn explain(out: &mut impl Write, model: &RouteModel, prompt: &str) -> anyhow::Result<()> {
    let scores = model.score(prompt)?;
    let (win, quantile) = (scores.strong_win(), scores.quantile());
    writeln!(out, "{}: win {win:.4}, higher than {:.1} % of prompts", model.version(), 100.0 * quantile)?;
    for head in model.explain(prompt) {
        writeln!(out, "{}: {:.4}", head.head, head.quality)?;
        for reason in head.raised.iter().chain(&head.lowered) {
            writeln!(out, "  {:+.4}  {}", reason.logit, reason.what)?;
        }
    }
    Ok(())
}

impl Labelled {
    fn price(&self) -> anyhow::Result<f64> {
        let price = self.weak_price / self.strong_price;
        ensure!(price.is_finite() && price >= 0.0, "--strong-price must be above 0, --weak-price at least 0");
        Ok(price)
    }

    fn rows(&self) -> anyhow::Result<Vec<Graded>> {
        let model = load(&self.classifier)?;
        let mut rows = Vec::new();
        for path in &self.data {
            self.read(path, &model, &mut rows).with_context(|| path.display().to_string())?;
        }
        if rows.is_empty() {
            bail!("no row has a prompt and grades of both `{}` and `{}`", self.weak, self.strong);
        }
        Ok(rows)
    }

    fn read(&self, path: &Path, model: &RouteModel, rows: &mut Vec<Graded>) -> anyhow::Result<()> {
        each_line(path, |line| {
            let row: Value = serde_json::from_str(line)?;
            let grade = |name: &str| row.get(name).or_else(|| row.get(format!("s:{name}")))?.as_f64();
            // Not every model answered every prompt.
            if let (Some(prompt), Some(weak), Some(strong)) =
                (row.get("prompt").and_then(Value::as_str), grade(&self.weak), grade(&self.strong))
            {
                rows.push(Graded { win: f64::from(model.score(prompt)?.strong_win()), weak, strong });
            }
            Ok(())
        })
    }
}

/// Hands out the lines of a file, and names the one that fails.
fn each_line(path: &Path, mut see: impl FnMut(&str) -> anyhow::Result<()>) -> anyhow::Result<()> {
    let mut lines = open(path)?;
    let mut line = String::new();
    for number in 1_usize.. {
        line.clear();
        if lines.by_ref().take(LONGEST_ROW).read_line(&mut line)? == 0 {
            break;
        }
        see(&line).with_context(|| format!("line {number}"))?;
    }
    Ok(())
}

/// Gzipped or plain, by its first bytes.
fn open(path: &Path) -> anyhow::Result<Box<dyn BufRead>> {
    let mut file = BufReader::new(std::fs::File::open(path)?);
    let is_gzip = file.fill_buf()?.starts_with(&[0x1f, 0x8b]);
    Ok(if is_gzip {
        Box::new(BufReader::new(flate2::bufread::MultiGzDecoder::new(file)))
    } else {
        Box::new(file)
    })
}
