//! Gives a running gateway's cache answers from a file.

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::config::SecretSource;
use crate::upstream::Connections;

/// What one call takes, in bytes and in entries; the admin API takes twice the bytes.
const MOST_BYTES: usize = 4 << 20;
const MOST_ENTRIES: usize = 500;
const TIMEOUT: Duration = Duration::from_secs(60);

#[derive(Args, Debug)]
pub(super) struct Warm {
    /// JSON lines `{"path": "/v1/chat/completions", "scope": "team:ID", "request": {…}, "answer": {…}}`.
    #[arg(long)]
    file: PathBuf,
    /// The admin listener of the gateway.
    #[arg(long, default_value = "http://127.0.0.1:9090")]
    admin: String,
    /// Where its token is, as in env:NAME or file:PATH; none for one without.
    #[arg(long)]
    token: Option<String>,
}

#[derive(Deserialize)]
struct Warmed {
    kept: usize,
    faults: Vec<Fault>,
}

#[derive(Deserialize)]
struct Fault {
    entry: usize,
    reason: String,
}

/// Lines of the file that go in one call.
#[derive(Default)]
struct Batch {
    lines: Vec<usize>,
    entries: Vec<Box<RawValue>>,
    bytes: usize,
}

pub(super) fn run(options: &Warm) -> anyhow::Result<ExitCode> {
    let token = options.token.as_ref().map(|token| {
        let source: SecretSource = serde_json::from_value(token.as_str().into())?;
        source.resolve().map_err(anyhow::Error::msg)
    });
    let token = token.transpose().context("--token")?;
    let file = std::fs::File::open(&options.file).with_context(|| options.file.display().to_string())?;
    // Who connects chooses the cryptography, also for a client that may need none.
    drop(Connections::new(1));
    let client = reqwest::Client::builder().timeout(TIMEOUT).user_agent(crate::USER_AGENT).build()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let url = format!("{}/api/v1/cache/warm", options.admin.trim_end_matches('/'));
    let (mut kept, mut faults) = (0, 0);
    let mut send = |batch: Batch| -> anyhow::Result<()> {
        let body = format!("{{\"entries\":{}}}", serde_json::to_string(&batch.entries)?);
        let mut request = client.post(&url).body(body);
        if let Some(token) = &token {
            request = request.bearer_auth(token.expose());
        }
        let answer = runtime.block_on(async {
            let answer = request.send().await?;
            Ok::<_, reqwest::Error>((answer.status(), answer.bytes().await?))
        });
        let (status, body) = answer.with_context(|| url.clone())?;
        if !status.is_success() {
            bail!("{url} answers {status}: {}", String::from_utf8_lossy(&body));
        }
        let warmed: Warmed = serde_json::from_slice(&body).with_context(|| url.clone())?;
        kept += warmed.kept;
        faults += warmed.faults.len();
        for fault in &warmed.faults {
            let line = batch.lines.get(fault.entry).copied().unwrap_or_default();
            writeln!(std::io::stderr(), "line {line}: {}", fault.reason)?;
        }
        Ok(())
    };
    let mut batch = Batch::default();
    for (number, line) in (1..).zip(BufReader::new(file).lines()) {
        let line = line.with_context(|| options.file.display().to_string())?;
        if line.trim().is_empty() {
            continue;
        }
        let entry = serde_json::from_str(&line).with_context(|| format!("line {number} is no JSON"))?;
        if batch.bytes + line.len() > MOST_BYTES || batch.entries.len() == MOST_ENTRIES {
            send(std::mem::take(&mut batch))?;
        }
        batch.bytes += line.len();
        batch.lines.push(number);
        batch.entries.push(entry);
    }
    if !batch.entries.is_empty() {
        send(batch)?;
    }
    writeln!(std::io::stdout(), "{kept} answers are kept, {faults} are not")?;
    Ok(if faults == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
