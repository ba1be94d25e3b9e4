//! Golden cases: what one format's bodies and streams become in the other.
//!
//! `requests/*.json` hold a client's body and what the provider gets, or the field that is refused;
//! `answers/*.json` a provider's body and what the client gets; `streams/NAME.upstream.sse` and
//! `NAME.client.sse` the same for streams, where NAME begins with the client's format and names the provider's
//! behind `from-`, if that is not the other of chat and messages. `created` and `created_at` are the clock's
//! and are compared as 0.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "clippy allows these inside test functions only, not in what they share"
)]

use std::fs;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use domain::{Price, Usage};
use providers::{
    AnswerStream, Operation, WireFormat, catalogue, decode_answer, encode_request, read_request_head,
};
use serde_json::Value;

fn cases(folder: &str, ending: &str) -> Vec<(String, PathBuf)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(folder);
    let mut cases: Vec<_> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.to_string_lossy().ends_with(ending))
        .map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), path))
        .collect();
    cases.sort();
    assert!(!cases.is_empty(), "no golden cases in {}", folder.display());
    cases
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

fn operation(case: &Value) -> Operation {
    Operation::from_path(case["operation"].as_str().unwrap().split('?').next().unwrap()).unwrap()
}

fn format(name: &str) -> WireFormat {
    match name {
        "anthropic" => WireFormat::Anthropic,
        "responses" => WireFormat::Responses,
        "bedrock" => WireFormat::Bedrock,
        "cohere" => WireFormat::Cohere,
        "gemini" => WireFormat::Gemini,
        _ => WireFormat::OpenAi,
    }
}

#[test]
fn requests_become_what_the_golden_files_say() {
    for (name, path) in cases("requests", ".json") {
        let case = json(&path);
        let body = Bytes::from(case["client"].to_string());
        let operation = operation(&case);
        let head = read_request_head(operation, case["operation"].as_str().unwrap(), &body).unwrap();
        let spec = catalogue().provider(case["provider"].as_str().unwrap()).unwrap();
        let drop_params = case["drop_params"] == true;
        let result =
            encode_request(operation, &head, &body, spec, case["model"].as_str().unwrap(), drop_params);
        if let Some(field) = case["refused"].as_str() {
            let error = result.expect_err(&name);
            assert_eq!(error.param.as_deref().unwrap_or(""), field, "{name}: {error}");
            assert!(error.message.contains(field), "{name}: {error}");
        } else {
            let request = result.expect(&name);
            let sent: Value = serde_json::from_slice(&request.body).unwrap();
            assert_eq!(sent, case["upstream"], "{name}\n{sent:#}");
            assert_eq!(case["path"].as_str().unwrap_or(&request.path), request.path, "{name}");
        }
    }
}

#[test]
fn a_translated_request_goes_to_the_path_of_the_providers_format() {
    for (kind, operation, path) in [
        ("anthropic", Operation::ChatCompletions, "/v1/messages"),
        ("anthropic", Operation::Messages, "/v1/messages"),
        ("openai", Operation::Messages, "/chat/completions"),
        ("bedrock", Operation::Messages, "/model/m/converse"),
        ("cohere", Operation::Messages, "/v2/chat"),
        ("openai", Operation::ChatCompletions, "/chat/completions"),
        ("openai-responses", Operation::ChatCompletions, "/responses"),
        ("openai-responses", Operation::Responses, "/responses"),
        ("openai", Operation::Responses, "/responses"),
        ("azure-openai", Operation::Responses, "/responses"),
        ("groq", Operation::Responses, "/chat/completions"),
        ("anthropic", Operation::Responses, "/v1/messages"),
    ] {
        let body =
            Bytes::from_static(br#"{"model":"m","max_tokens":1,"messages":[{"role":"user","content":"x"}]}"#);
        let head = read_request_head(operation, "", &body).unwrap();
        let spec = catalogue().provider(kind).unwrap();
        assert_eq!(encode_request(operation, &head, &body, spec, "m", false).unwrap().path, path);
    }
}

#[test]
fn answers_become_what_the_golden_files_say() {
    for (name, path) in cases("answers", ".json") {
        let case = json(&path);
        let upstream = Bytes::from(case["upstream"].to_string());
        let provider = format(case["provider"].as_str().unwrap());
        let answer = decode_answer(operation(&case), provider, upstream).expect(&name);
        let mut client: Value = serde_json::from_slice(&answer.body).unwrap();
        for field in ["created", "created_at"] {
            if let Some(created) = client.get_mut(field) {
                *created = 0.into();
            }
        }
        assert_eq!(client, case["client"], "{name}\n{client:#}");
        let usage: Option<Usage> = serde_json::from_value(case["usage"].clone()).unwrap();
        assert_eq!(answer.usage, usage, "{name}");
    }
}

#[test]
fn streams_become_what_the_golden_files_say() {
    let price = Price { input: 1_000_000, output: 5_000_000, ..Price::default() };
    for (name, path) in cases("streams", ".upstream.sse") {
        let client = name.split(['-', '.']).next().unwrap();
        let (operation, other) = match client {
            "chat" => (Operation::ChatCompletions, "anthropic"),
            "messages" => (Operation::Messages, "openai"),
            "gemini" => (Operation::StreamGenerateContent, "openai"),
            _ => (Operation::Responses, "openai"),
        };
        let named = name.split_once("from-").and_then(|(_, rest)| rest.split(['-', '.']).next());
        let provider = format(named.unwrap_or(other));
        let mut stream = AnswerStream::new(operation, provider, true, Some(price));
        let mut out = stream.feed(Bytes::from(fs::read(&path).unwrap())).expect(&name).unwrap().to_vec();
        out.extend(stream.finish().expect(&name).unwrap_or_default());
        let client = without_clock(&String::from_utf8(out).unwrap());
        let expected = path.to_string_lossy().replace(".upstream.sse", ".client.sse");
        assert_eq!(client, fs::read_to_string(&expected).unwrap(), "{name}");
        assert!(stream.is_complete() && stream.content_started() && stream.usage().is_some(), "{name}");
    }
}

fn without_clock(text: &str) -> String {
    let mut text = text.to_owned();
    for field in ["\"created\":", "\"created_at\":"] {
        let mut parts = text.split(field);
        let mut out = parts.next().unwrap().to_owned();
        for part in parts {
            out.push_str(field);
            out.push('0');
            out.push_str(part.trim_start_matches(|c: char| c.is_ascii_digit()));
        }
        text = out;
    }
    text
}

/// A format without cases is a format that nobody has looked at.
#[test]
fn every_format_of_the_catalogue_has_cases_of_requests_and_answers() {
    let kinds = catalogue().provider_kinds();
    let mut formats: Vec<&str> =
        kinds.map(|kind| catalogue().provider(kind).unwrap().format.as_str()).collect();
    formats.sort_unstable();
    formats.dedup();
    let asked: Vec<&str> = cases("requests", ".json")
        .into_iter()
        .map(|(_, path)| json(&path)["provider"].as_str().unwrap().to_owned())
        .map(|kind| catalogue().provider(&kind).unwrap().format.as_str())
        .collect();
    let answered: Vec<String> = cases("answers", ".json")
        .into_iter()
        .map(|(_, path)| json(&path)["provider"].as_str().unwrap().to_owned())
        .collect();
    for format in formats {
        assert!(asked.contains(&format), "{format} has no file in golden/requests");
        assert!(answered.iter().any(|name| name == format), "{format} has no file in golden/answers");
    }
}
