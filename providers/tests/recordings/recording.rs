//! Finds and reads the recordings.

use std::path::{Path, PathBuf};
use std::{env, fs};

use providers::WireFormat;
use serde_json::Value;

/// One recorded chat answer in one of our formats.
pub(crate) struct Recording {
    pub(crate) file: String,
    pub(crate) format: WireFormat,
    pub(crate) request: Option<Value>,
    pub(crate) body: Body,
}

pub(crate) enum Body {
    Whole(String),
    Streamed(String),
}

/// Every recorded 2xx chat answer in one of our formats.
pub(crate) fn answers() -> Vec<Recording> {
    all().into_iter().filter_map(|(file, recording)| read(file, &recording)).collect()
}

/// Every recorded error: file, status, body.
pub(crate) fn errors() -> Vec<(String, u16, String)> {
    all()
        .into_iter()
        .filter_map(|(file, recording)| {
            let status = u16::try_from(recording["response_status"].as_u64()?).ok()?;
            (status >= 400).then(|| (file, status, text(&recording["response_body"])))
        })
        .collect()
}

/// What a stream of OpenAI's format has to lose.
pub(crate) fn without_id_and_retry(body: &str) -> String {
    let kept = |line: &&str| !line.starts_with("id:") && !line.starts_with("retry:");
    body.split('\n').filter(kept).collect::<Vec<_>>().join("\n")
}

fn read(file: String, recording: &Value) -> Option<Recording> {
    let status = recording["response_status"].as_u64()?;
    if !(200..300).contains(&status) || !recording["kind"].as_str()?.starts_with("chat") {
        return None;
    }
    let format = format(recording)?;
    let body = match &recording["sse_lines"] {
        Value::Array(lines) => {
            let body = lines.iter().map(|line| line.as_str().unwrap()).collect::<Vec<_>>().join("\n");
            Body::Streamed(first_answer(&body).to_owned())
        }
        _ => Body::Whole(text(recording.get("response_body")?)),
    };
    let request = recording["request"].get("body").filter(|body| body.is_object()).cloned();
    Some(Recording { file, format, request, body })
}

/// Two recordings of Anthropic hold two answers, one behind the other.
fn first_answer(body: &str) -> &str {
    let marker = "data: {\"type\":\"message_stop\"}\n\n";
    body.find(marker).map_or(body, |at| &body[..at + marker.len()])
}

/// By the path asked for; a recording without one (`fixture:`) by its provider.
fn format(recording: &Value) -> Option<WireFormat> {
    let url = recording["request"]["url"].as_str()?;
    let path = url.split(['?', '#']).next()?;
    if path.ends_with("/chat/completions") {
        return Some(WireFormat::OpenAi);
    }
    if path.ends_with("/v1/messages") {
        return Some(WireFormat::Anthropic);
    }
    if path.ends_with(":generateContent") || path.ends_with(":streamGenerateContent") {
        return Some(WireFormat::Gemini);
    }
    match (path, recording["provider"].as_str()?) {
        ("fixture:", "anthropic") => Some(WireFormat::Anthropic),
        ("fixture:", "gemini" | "vertex") => Some(WireFormat::Gemini),
        ("fixture:", "bedrock" | "cohere") => None,
        ("fixture:", _) => Some(WireFormat::OpenAi),
        _ => None,
    }
}

fn text(body: &Value) -> String {
    body.as_str().map_or_else(|| body.to_string(), str::to_owned)
}

fn all() -> Vec<(String, Value)> {
    let folder = folder();
    let index = folder.join("INDEX.json");
    let index = fs::read(&index).unwrap_or_else(|error| {
        panic!(
            "No recordings at {}: {error}. Set SIGNALBOX_SHARED to the folder that holds `fixtures`, or leave out \
             `--features recordings`.",
            index.display()
        )
    });
    let index: Value = serde_json::from_slice(&index).unwrap();
    let files = index.as_array().unwrap().iter().map(|entry| entry["file"].as_str().unwrap().to_owned());
    files.map(|file| (file.clone(), json(&folder.join(file)))).collect()
}

fn folder() -> PathBuf {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared");
    env::var_os("SIGNALBOX_SHARED").map_or_else(beside, PathBuf::from).join("fixtures")
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}
