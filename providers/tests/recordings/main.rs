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

mod counts;
mod grammar;
mod grammar_responses;
mod outbound;
mod raw;
mod recording;
mod said;

use bytes::Bytes;
use domain::Usage;
use providers::{
    AnswerStream, Operation, WireFormat, catalogue, decode_answer, encode_request, read_provider_error,
    read_request_head,
};
use recording::{Body, Recording};
use said::{Said, counted};

const OPERATIONS: [(WireFormat, Operation); 4] = [
    (WireFormat::OpenAi, Operation::ChatCompletions),
    (WireFormat::Anthropic, Operation::Messages),
    (WireFormat::Responses, Operation::Responses),
    (WireFormat::Gemini, Operation::GenerateContent),
];

/// A vendor's test input in which a retrying proxy restarts the message inside a tool call: passed on
/// unchanged in its own format, refused in translation.
const RESTARTED: &str = "spliced-message-start";

/// A vendor's test input whose first and last event lack their last brace: refused in every format.
const BROKEN: &str = "parallel-tool-call-wrapper";

fn own(format: WireFormat) -> Operation {
    OPERATIONS.iter().find(|(of, _)| *of == format).unwrap().1
}

/// A path of the operation; Gemini's names the model.
fn target(operation: Operation) -> &'static str {
    if operation == Operation::GenerateContent { "/v1beta/models/m:generateContent" } else { "" }
}

fn others(format: WireFormat) -> impl Iterator<Item = Operation> {
    OPERATIONS.into_iter().filter(move |(of, _)| *of != format).map(|(_, operation)| operation)
}

/// What the client gets, and the count of the stream.
fn replay(
    recording: &Recording,
    operation: Operation,
    body: &str,
    piece: usize,
) -> Result<(String, Option<Usage>), String> {
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
    Ok((String::from_utf8(out).unwrap(), stream.usage()))
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
            Body::Streamed(body) if recording.file.contains(BROKEN) => {
                assert!(replay(&recording, own(recording.format), body, 100).is_err(), "{}", recording.file);
            }
            Body::Streamed(body) => {
                let expected = recording::without_id_and_retry(body);
                // The last event may lack its blank line.
                let mut expected = if expected.ends_with("\n\n") { expected } else { expected + "\n" };
                // Some servers end with another format's marker, one forgets its own.
                if recording.format == WireFormat::Responses {
                    expected = expected.replace("data: [DONE]\n\n", "");
                }
                if recording.format == WireFormat::OpenAi && !expected.contains("data: [DONE]") {
                    expected += "data: [DONE]\n\n";
                }
                for piece in [1, 7, 1_000, usize::MAX] {
                    let out = replay(&recording, own(recording.format), body, piece).map(|(out, _)| out);
                    assert_eq!(out.as_deref(), Ok(expected.as_str()), "{} by {piece}", recording.file);
                }
                streamed += 1;
            }
        }
    }
    assert!(whole > 420 && streamed > 150, "only {whole} whole and {streamed} streamed answers");
    println!("{whole} whole and {streamed} streamed answers unchanged");
}

#[test]
fn every_recorded_answer_says_the_same_in_every_other_format() {
    let (mut whole, mut streamed) = (0, 0);
    for recording in recording::answers() {
        for operation in others(recording.format) {
            match &recording.body {
                Body::Whole(body) => {
                    whole_says_the_same(&recording, operation, body);
                    whole += 1;
                }
                Body::Streamed(body)
                    if recording.file.contains(RESTARTED) || recording.file.contains(BROKEN) =>
                {
                    assert!(replay(&recording, operation, body, 100).is_err(), "{}", recording.file);
                }
                Body::Streamed(body) => {
                    stream_says_the_same(&recording, operation, body);
                    streamed += 1;
                }
            }
        }
    }
    assert!(whole > 840 && streamed > 300, "only {whole} whole and {streamed} streamed answers");
    println!("{whole} whole and {streamed} streamed answers translated");
}

/// Translated there, read as a provider's answer and translated back. Signatures have to come back as
/// they were; usage too.
#[test]
fn every_recorded_answer_survives_the_way_there_and_back() {
    let (mut answers, mut tokens) = (0, 0);
    for recording in recording::answers() {
        for there in others(recording.format) {
            let Some(after) = there_and_back(&recording, there) else { continue };
            answers += 1;
            tokens += after.tokens.len();
        }
    }
    println!("{answers} answers, {tokens} signatures and sealed parts");
    assert!(answers > 700 && tokens > 40, "{answers} answers, {tokens} tokens");
}

fn there_and_back(recording: &Recording, there: Operation) -> Option<Said> {
    let back = own(recording.format);
    let middle = there.wire_format();
    let (before, after) = match &recording.body {
        Body::Whole(body) => {
            let first = decode_answer(there, recording.format, Bytes::from(body.clone())).unwrap();
            let second = decode_answer(back, middle, first.body).unwrap();
            let mut counted = first.usage.unwrap_or_default();
            if middle == WireFormat::Gemini {
                // Google writes its cache by another call.
                counted.cache_write = 0;
            }
            assert_eq!(counted, second.usage.unwrap_or_default(), "{} by {middle:?}", recording.file);
            let text = String::from_utf8(second.body.to_vec()).unwrap();
            (Said::whole(recording.format, body), Said::whole(recording.format, &text))
        }
        Body::Streamed(body) if recording.file.contains(RESTARTED) || recording.file.contains(BROKEN) => {
            assert!(replay(recording, there, body, 100).is_err(), "{}", recording.file);
            return None;
        }
        Body::Streamed(body) => {
            let (first, _) = replay(recording, there, body, 100).unwrap();
            let middle = Recording {
                format: middle,
                body: Body::Streamed(String::new()),
                request: None,
                file: recording.file.clone(),
            };
            let second = replay(&middle, back, &first, 100);
            let (second, _) = second.unwrap_or_else(|error| panic!("{}: {error}", recording.file));
            (Said::streamed(recording.format, body), Said::streamed(recording.format, &second))
        }
    };
    assert_eq!(before, after, "{} by {middle:?}", recording.file);
    Some(after)
}

fn whole_says_the_same(recording: &Recording, operation: Operation, body: &str) {
    let client = operation.wire_format();
    let answer = decode_answer(operation, recording.format, Bytes::from(body.to_owned()));
    let answer = answer.unwrap_or_else(|error| panic!("{}: {error}", recording.file));
    let text = String::from_utf8(answer.body.to_vec()).unwrap();
    let (before, after) = (Said::whole(recording.format, body), Said::whole(client, &text));
    assert_eq!(before, after, "{} to {client:?}", recording.file);
    // One server counts more cached tokens than the prompt has; no two formats can agree on that.
    if let Some(usage) = answer.usage.filter(|usage| usage.cached + usage.cache_write <= usage.prompt) {
        let count = (usage.prompt, usage.completion);
        assert_eq!(counted(client, &text), Some(count), "{} to {client:?}", recording.file);
    }
}

fn stream_says_the_same(recording: &Recording, operation: Operation, body: &str) {
    let (file, client) = (&recording.file, operation.wire_format());
    let out = replay(recording, operation, body, 100);
    let (out, usage) = out.unwrap_or_else(|error| panic!("{file} to {client:?}: {error}"));
    let (before, after) = (Said::streamed(recording.format, body), Said::streamed(client, &out));
    assert_eq!(before, after, "{file} to {client:?}");
    if let Some(usage) = usage.filter(|usage| usage.cached + usage.cache_write <= usage.prompt) {
        assert_eq!(counted(client, &out), Some((usage.prompt, usage.completion)), "{file} to {client:?}");
    }
    if client == WireFormat::Responses {
        grammar_responses::check_responses(file, &out);
    }
    for piece in [1, 7, usize::MAX] {
        let cut = replay(recording, operation, body, piece).unwrap();
        assert_eq!(without_clock(&cut.0), without_clock(&out), "{file} to {client:?} by {piece}");
        assert_eq!(cut.1, usage, "{file} to {client:?} by {piece}");
    }
}

/// Without the times, and the ids made of them where a server gives none.
fn without_clock(text: &str) -> String {
    let made = text.split("\"id\":\"resp_").nth(1).and_then(|rest| rest.split('"').next());
    let text = text.replace(made.filter(|id| id.len() > 8).unwrap_or("none"), "id");
    let mut parts = text.split("\"created");
    let mut out = parts.next().unwrap().to_owned();
    for part in parts {
        let number = |c: char| c.is_ascii_digit();
        let (field, rest) = part.split_once(':').unwrap_or((part, ""));
        out.push_str(field);
        out.push_str(rest.trim_start_matches(number));
    }
    out
}

#[test]
fn every_recorded_stream_gives_its_usage() {
    for recording in recording::answers() {
        let Body::Streamed(body) = &recording.body else { continue };
        // TGI's servers count only when asked.
        if recording.format == WireFormat::OpenAi && !body.contains("\"prompt_tokens\"") {
            continue;
        }
        if recording.file.contains(BROKEN) {
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
        let Ok(head) = read_request_head(operation, target(operation), &body) else { continue };
        for kind in ["anthropic", "groq", "openai-responses", "gemini"] {
            let spec = catalogue().provider(kind).unwrap();
            if spec.format == recording.format {
                continue;
            }
            match encode_request(operation, &head, &body, spec, "target", true) {
                Ok(sent) => {
                    let head = read_request_head(own(spec.format), &sent.path, &sent.body).unwrap();
                    assert_eq!(head.model, "target", "{}", recording.file);
                    done += 1;
                }
                Err(error) => {
                    let param = error.param.clone().unwrap_or_else(|| panic!("{}: {error}", recording.file));
                    assert!(error.message.contains(&param), "{}: {error}", recording.file);
                    println!("{} to {kind}: {error}", recording.file);
                    refused += 1;
                }
            }
        }
    }
    println!("{done} requests translated, {refused} refused");
    assert!(done > 900 && refused * 5 < done, "{done} translated, {refused} refused");
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
