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
use providers::{
    AnswerStream, Operation, WireFormat, catalogue, decode_answer, encode_request, read_provider_error,
    read_request_head,
};
use recording::{Body, Recording};
use said::Said;

const OPERATIONS: [(WireFormat, Operation); 2] =
    [(WireFormat::OpenAi, Operation::ChatCompletions), (WireFormat::Anthropic, Operation::Messages)];

/// A vendor's test input in which a retrying proxy restarts the message inside a tool call: passed on
/// unchanged in its own format, refused in translation.
const RESTARTED: &str = "spliced-message-start";

fn own(format: WireFormat) -> Operation {
    OPERATIONS.iter().find(|(of, _)| *of == format).unwrap().1
}

fn other(format: WireFormat) -> Operation {
    OPERATIONS.iter().find(|(of, _)| *of != format).unwrap().1
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
                let expected = if expected.ends_with("\n\n") { expected } else { expected + "\n" };
                for piece in [1, 7, 1_000, usize::MAX] {
                    let out = replay(&recording, own(recording.format), body, piece);
                    assert_eq!(out.as_deref(), Ok(expected.as_str()), "{} by {piece}", recording.file);
                }
                streamed += 1;
            }
        }
    }
    assert!(whole > 250 && streamed > 90, "only {whole} whole and {streamed} streamed answers");
    println!("{whole} whole and {streamed} streamed answers unchanged");
}

#[test]
fn every_recorded_answer_says_the_same_in_the_other_format() {
    let (mut whole, mut streamed) = (0, 0);
    for recording in recording::answers() {
        let operation = other(recording.format);
        let client = operation.wire_format();
        let (before, after) = match &recording.body {
            Body::Whole(body) => {
                let answer = decode_answer(operation, recording.format, Bytes::from(body.clone()));
                let answer = answer.unwrap_or_else(|error| panic!("{}: {error}", recording.file));
                whole += 1;
                let text = String::from_utf8(answer.body.to_vec()).unwrap();
                (Said::whole(recording.format, body), Said::whole(client, &text))
            }
            Body::Streamed(body) if recording.file.contains(RESTARTED) => {
                assert!(replay(&recording, operation, body, 100).is_err(), "{}", recording.file);
                continue;
            }
            Body::Streamed(body) => {
                let out = replay(&recording, operation, body, 100);
                let out = out.unwrap_or_else(|error| panic!("{}: {error}", recording.file));
                streamed += 1;
                (Said::streamed(recording.format, body), Said::streamed(client, &out))
            }
        };
        assert_eq!(before, after, "{}", recording.file);
    }
    assert!(whole > 250 && streamed > 90, "only {whole} whole and {streamed} streamed answers");
    println!("{whole} whole and {streamed} streamed answers translated");
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
        let Ok(head) = read_request_head(operation, "", &body) else { continue };
        let kind = if recording.format == WireFormat::OpenAi { "anthropic" } else { "openai" };
        let spec = catalogue().provider(kind).unwrap();
        match encode_request(operation, &head, &body, spec, "target", true) {
            Ok(sent) => {
                let head = read_request_head(other(recording.format), "", &sent.body).unwrap();
                assert_eq!(head.model, "target", "{}", recording.file);
                done += 1;
            }
            Err(error) => {
                let param = error.param.clone().unwrap_or_else(|| panic!("{}: {error}", recording.file));
                assert!(error.message.contains(&param), "{}: {error}", recording.file);
                println!("{}: {error}", recording.file);
                refused += 1;
            }
        }
    }
    println!("{done} requests translated, {refused} refused");
    assert!(done > 200 && refused * 5 < done, "{done} translated, {refused} refused");
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
