//! What training asks the gateway's own code: features of prompts, or a model's scores of them. Reads JSON lines with a
//! `prompt` each, and writes little-endian numbers (`features`: how many, their buckets, their weights, 16 features made
//! by hand) or a JSON array of numbers for each line (`scores MODEL`).

use std::io::{self, BufRead, BufWriter, Write};
use std::path::Path;
use std::process::ExitCode;

use router_model::score::{Features, RouteModel};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        ["features"] => features(),
        ["scores", model] => scores(model),
        _ => Err(
            "say `route-features features` or `route-features scores MODEL`, with JSON lines on its input"
                .into(),
        ),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("error: {problem}");
            ExitCode::FAILURE
        }
    }
}

type Done = Result<(), Box<dyn std::error::Error>>;

fn features() -> Done {
    let mut out = BufWriter::new(io::stdout().lock());
    let mut features = Features::default();
    for line in io::stdin().lock().lines() {
        features.read(&prompt(&line?)?);
        out.write_all(&u32::try_from(features.buckets.len())?.to_le_bytes())?;
        for bucket in &features.buckets {
            out.write_all(&bucket.to_le_bytes())?;
        }
        for number in features.weights.iter().chain(&features.hand) {
            out.write_all(&number.to_le_bytes())?;
        }
    }
    Ok(out.flush()?)
}

fn scores(model: &str) -> Done {
    let model = RouteModel::load(Path::new(model))?;
    let mut out = BufWriter::new(io::stdout().lock());
    for line in io::stdin().lock().lines() {
        let scores = model.score(&prompt(&line?)?)?;
        serde_json::to_writer(&mut out, scores.quality())?;
        out.write_all(b"\n")?;
    }
    Ok(out.flush()?)
}

#[derive(serde::Deserialize)]
struct Row {
    prompt: String,
}

fn prompt(line: &str) -> Result<String, serde_json::Error> {
    serde_json::from_str::<Row>(line).map(|row| row.prompt)
}
