//! Finds and reads the recordings.

use std::path::{Path, PathBuf};
use std::{env, fs};

use providers::{AnswerStream, Operation, WireFormat, decode_answer};
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

/// A request and how many prompt tokens the provider counted in it.
pub(crate) struct Counted {
    pub(crate) file: String,
    pub(crate) provider: String,
    pub(crate) kind: String,
    pub(crate) format: WireFormat,
    pub(crate) request: Value,
    pub(crate) prompt: u64,
}

/// Every recorded request in one of our formats whose prompt was counted.
pub(crate) fn counted() -> Vec<Counted> {
    all().into_iter().filter_map(|(file, recording)| read_counted(file, &recording)).collect()
}

fn read_counted(file: String, recording: &Value) -> Option<Counted> {
    let kind = recording["kind"].as_str()?.to_owned();
    let request = recording["request"].get("body").filter(|body| body["messages"].is_array())?.clone();
    let (format, prompt) = if kind == "count_tokens" {
        let url = recording["request"]["url"].as_str()?;
        let counted = whole(recording)?["input_tokens"].as_u64();
        (url.contains("/v1/messages").then_some(WireFormat::Anthropic)?, counted?)
    } else {
        let format = format(recording)?;
        let answer = read(file.clone(), recording)?;
        let operation = match format {
            WireFormat::OpenAi => Operation::ChatCompletions,
            WireFormat::Anthropic => Operation::Messages,
            WireFormat::Responses => Operation::Responses,
            _ => return None,
        };
        let usage = match answer.body {
            Body::Whole(body) => decode_answer(operation, format, body.into()).ok()?.usage,
            Body::Streamed(body) => {
                let mut stream = AnswerStream::new(operation, format, true, None);
                stream.feed(body.into()).ok()?;
                stream.usage()
            }
        };
        (format, usage?.prompt)
    };
    let provider = recording["provider"].as_str()?.to_owned();
    (prompt > 0).then_some(Counted { file, provider, kind, format, request, prompt })
}

fn whole(recording: &Value) -> Option<Value> {
    serde_json::from_str(&text(recording.get("response_body")?)).ok()
}

/// What a stream of OpenAI's formats has to lose.
pub(crate) fn without_id_and_retry(body: &str) -> String {
    let kept = |line: &&str| !line.starts_with("id:") && !line.starts_with("retry:");
    body.split('\n').filter(kept).collect::<Vec<_>>().join("\n")
}

fn read(file: String, recording: &Value) -> Option<Recording> {
    let status = recording["response_status"].as_u64()?;
    let kind = recording["kind"].as_str()?;
    if !(200..300).contains(&status) || !(kind.starts_with("chat") || kind.starts_with("responses")) {
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
    if path.ends_with("/responses") {
        return Some(WireFormat::Responses);
    }
    // Filed under the API that was asked for; one of them was answered by a chat server.
    let chunks = recording["sse_lines"].to_string().contains("chat.completion.chunk");
    if path == "fixture:" && recording["kind"].as_str()?.starts_with("responses") && !chunks {
        return Some(WireFormat::Responses);
    }
    match (path, recording["provider"].as_str()?) {
        ("fixture:", "anthropic") => Some(WireFormat::Anthropic),
        ("fixture:", "gemini" | "vertex") => Some(WireFormat::Gemini),
        ("fixture:", "bedrock" | "cohere") => None,
        ("fixture:", _) => Some(WireFormat::OpenAi),
        _ => None,
    }
}

pub(crate) fn text(body: &Value) -> String {
    body.as_str().map_or_else(|| body.to_string(), str::to_owned)
}

pub(crate) fn all() -> Vec<(String, Value)> {
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
