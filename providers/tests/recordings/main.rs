//! Recorded traffic of real providers, replayed. The recordings are not part of the repository: they
//! are looked for under `fixtures` in the folder that SIGNALBOX_SHARED names, else in `shared` beside
//! the checkout. Run with `cargo test -p providers --features recordings`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "clippy allows these inside test functions only, not in what they share"
)]

mod recording;
mod said;

use bytes::Bytes;
use domain::Usage;
use providers::{
    AnswerStream, Operation, WireFormat, catalogue, decode_answer, encode_request, read_provider_error,
    read_request_head,
};
use recording::{Body, Recording};
use said::Said;

/// Every format with its operation, a provider that speaks it, and a path that names a model.
const FORMATS: [(WireFormat, Operation, &str, &str); 3] = [
    (WireFormat::OpenAi, Operation::ChatCompletions, "openai", ""),
    (WireFormat::Anthropic, Operation::Messages, "anthropic", ""),
    (WireFormat::Gemini, Operation::GenerateContent, "gemini", "/v1beta/models/gemini-x:generateContent"),
];

/// A vendor's test input in which a retrying proxy restarts the message inside a tool call: passed on
/// unchanged in its own format, refused in translation.
const RESTARTED: &str = "spliced-message-start";

fn own(format: WireFormat) -> Operation {
    FORMATS.iter().find(|(of, ..)| *of == format).unwrap().1
}

fn target(format: WireFormat) -> &'static str {
    FORMATS.iter().find(|(of, ..)| *of == format).unwrap().3
}

fn others(format: WireFormat) -> impl Iterator<Item = (WireFormat, Operation, &'static str)> {
    FORMATS
        .into_iter()
        .filter(move |(of, ..)| *of != format)
        .map(|(of, operation, kind, _)| (of, operation, kind))
}

/// What a client's format can say of a count: Anthropic's has no reasoning, Google's no cache writes.
fn sayable(client: WireFormat, usage: Option<Usage>) -> Usage {
    let mut usage = usage.unwrap_or_default();
    match client {
        WireFormat::OpenAi => {}
        WireFormat::Anthropic => {
            usage.reasoning = 0;
            // Beside the cached tokens the prompt has at least none; one provider counted fewer than none.
            usage.prompt = usage.prompt.max(usage.cached + usage.cache_write);
        }
        WireFormat::Gemini => usage.cache_write = 0,
    }
    usage
}

fn replay(recording: &Recording, operation: Operation, body: &str, piece: usize) -> Result<String, String> {
    let mut stream = AnswerStream::new(operation, recording.format, true, None);
    let mut out = Vec::new();
    for chunk in body.as_bytes().chunks(piece) {
        let bytes = stream.feed(Bytes::copy_from_slice(chunk)).map_err(|fault| fault.to_string())?;
        out.extend(bytes.unwrap_or_default());
    }
    out.extend(stream.finish().map_err(|fault| fault.to_string())?.unwrap_or_default());
    // An answer of nothing but the provider's own tools has no content in another format.
    let translated = operation.wire_format() != recording.format;
    assert!(stream.is_complete() && (translated || stream.content_started()), "{}", recording.file);
    Ok(String::from_utf8(out).unwrap())
}

#[test]
fn every_recorded_answer_passes_unchanged_in_its_own_format() {
    let (mut whole, mut streamed) = (0, 0);
    for recording in recording::answers() {
        match &recording.body {
            Body::Whole(body) => {
                let answer =
                    decode_answer(own(recording.format), recording.format, Bytes::from(body.clone()));
                let answer = answer.unwrap_or_else(|error| panic!("{}: {error}", recording.file));
                assert_eq!(answer.body, body.as_bytes(), "{}", recording.file);
                whole += 1;
            }
            Body::Streamed(body) => {
                let expected = recording::without_id_and_retry(body);
                // The last event may lack its blank line.
                let whole = expected.ends_with("\n\n") || expected.ends_with("\r\n\r\n");
                let expected = if whole { expected } else { expected + "\n" };
                for piece in [1, 7, 1_000, usize::MAX] {
                    let out = replay(&recording, own(recording.format), body, piece);
                    assert_eq!(out.as_deref(), Ok(expected.as_str()), "{} by {piece}", recording.file);
                }
                streamed += 1;
            }
        }
    }
    assert!(whole > 350 && streamed > 130, "only {whole} whole and {streamed} streamed answers");
    println!("{whole} whole and {streamed} streamed answers unchanged");
}

#[test]
fn every_recorded_answer_says_the_same_in_every_other_format() {
    let (mut whole, mut streamed) = (0, 0);
    for recording in recording::answers() {
        for (client, operation, _) in others(recording.format) {
            let name = format!("{} for {}", recording.file, client.as_str());
            match &recording.body {
                Body::Whole(body) => {
                    let answer = decode_answer(operation, recording.format, Bytes::from(body.clone()));
                    let answer = answer.unwrap_or_else(|error| panic!("{name}: {error}"));
                    let read = decode_answer(operation, client, answer.body.clone()).expect(&name);
                    assert_eq!(sayable(client, read.usage), sayable(client, answer.usage), "{name}");
                    let text = String::from_utf8(answer.body.to_vec()).unwrap();
                    assert_eq!(Said::whole(client, &text), Said::whole(recording.format, body), "{name}");
                    whole += 1;
                }
                Body::Streamed(body) if recording.file.contains(RESTARTED) => {
                    assert!(replay(&recording, operation, body, 100).is_err(), "{name}");
                }
                Body::Streamed(body) => {
                    translate_stream(&recording, client, operation, body, &name);
                    streamed += 1;
                }
            }
        }
    }
    assert!(whole > 700 && streamed > 260, "only {whole} whole and {streamed} streamed answers");
    println!("{whole} whole and {streamed} streamed answers translated");
}

/// The same text, calls and count, however the stream is cut, in events that the format's own reader takes.
fn translate_stream(recording: &Recording, client: WireFormat, operation: Operation, body: &str, name: &str) {
    let out = replay(recording, operation, body, usize::MAX);
    let out = out.unwrap_or_else(|error| panic!("{name}: {error}"));
    assert_eq!(Said::streamed(client, &out), Said::streamed(recording.format, body), "{name}");
    for piece in [1, 7, 1_000] {
        let cut = replay(recording, operation, body, piece).expect(name);
        assert_eq!(without_clock(&cut), without_clock(&out), "{name} by {piece}");
    }
    let mut before = AnswerStream::new(own(recording.format), recording.format, true, None);
    before.feed(Bytes::from(body.to_owned())).expect(name);
    let mut after = AnswerStream::new(operation, client, true, None);
    after.feed(Bytes::from(out)).expect(name);
    after.finish().expect(name);
    assert!(after.is_complete(), "{name}");
    assert_eq!(sayable(client, after.usage()), sayable(client, before.usage()), "{name}");
}

fn without_clock(text: &str) -> String {
    let mut parts = text.split("\"created\":");
    let first = parts.next().unwrap().to_owned();
    parts.fold(first, |out, part| out + part.trim_start_matches(|c: char| c.is_ascii_digit()))
}

#[test]
fn every_recorded_stream_gives_its_usage() {
    for recording in recording::answers() {
        let Body::Streamed(body) = &recording.body else { continue };
        // TGI's servers count only when asked.
        if recording.format == WireFormat::OpenAi && !body.contains("\"prompt_tokens\"") {
            continue;
        }
        let mut stream = AnswerStream::new(own(recording.format), recording.format, true, None);
        stream.feed(Bytes::from(body.clone())).unwrap();
        let usage = stream.usage().unwrap_or_else(|| panic!("{}", recording.file));
        assert!(usage.prompt > 0 && usage.completion > 0, "{}: {usage:?}", recording.file);
    }
}

#[test]
fn every_recorded_request_is_translated_or_refused_by_the_name_of_a_field() {
    let (mut done, mut refused) = (0, 0);
    for recording in recording::answers() {
        let Some(request) = &recording.request else { continue };
        let body = Bytes::from(request.to_string());
        let operation = own(recording.format);
        let Ok(head) = read_request_head(operation, target(recording.format), &body) else { continue };
        for (format, operation_there, kind) in others(recording.format) {
            let spec = catalogue().provider(kind).unwrap();
            match encode_request(operation, &head, &body, spec, "target", true) {
                Ok(sent) => {
                    let there = read_request_head(operation_there, &sent.path, &sent.body).unwrap();
                    assert_eq!((there.model.as_str(), format), ("target", spec.format), "{}", recording.file);
                    done += 1;
                }
                Err(error) => {
                    let param = error.param.clone().unwrap_or_else(|| panic!("{}: {error}", recording.file));
                    assert!(error.message.contains(&param), "{}: {error}", recording.file);
                    println!("{} for {kind}: {error}", recording.file);
                    refused += 1;
                }
            }
        }
    }
    println!("{done} requests translated, {refused} refused");
    assert!(done > 800 && refused * 5 < done, "{done} translated, {refused} refused");
}

#[test]
fn every_recorded_error_gives_its_reason() {
    let errors = recording::errors();
    assert!(errors.len() > 25, "only {} errors", errors.len());
    for (file, status, body) in errors {
        let error = read_provider_error(WireFormat::OpenAi, status, body.as_bytes());
        assert!(error.message.len() > 8 && !error.message.starts_with("HTTP "), "{file}: {error:?}");
        let long = ["context length", "too many tokens", "input token count", "context_length"];
        let expected = long.iter().any(|phrase| body.contains(phrase)) && status != 429;
        assert!(!expected || error.context_length, "{file}: {error:?}");
    }
}
