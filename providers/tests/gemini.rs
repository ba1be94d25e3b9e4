//! Streams of Google's format: no end marker, counts that come in pieces, ends that are failures.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "clippy allows these inside test functions only, not in what they share"
)]

use bytes::Bytes;
use proptest::prelude::*;
use providers::{
    AnswerStream, Operation, StreamFault, WireFormat, catalogue, decode_answer, encode_request,
    read_request_head,
};

const TEXT: &str = r#"{"candidates":[{"content":{"parts":[{"text":"é"}],"role":"model"}}],"usageMetadata":{"promptTokenCount":3}}"#;
const END: &str = r#"{"candidates":[{"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":3,"candidatesTokenCount":4,"thoughtsTokenCount":2}}"#;

const CLIENTS: [Operation; 3] =
    [Operation::StreamGenerateContent, Operation::ChatCompletions, Operation::Messages];

fn events(events: &[&str]) -> Bytes {
    events.iter().map(|event| format!("data: {event}\r\n\r\n")).collect::<String>().into()
}

fn stream(operation: Operation) -> AnswerStream {
    AnswerStream::new(operation, WireFormat::Gemini, true, None)
}

#[test]
fn a_stream_of_the_clients_own_format_is_passed_on_as_it_is() {
    let mut stream = stream(Operation::StreamGenerateContent);
    let input = events(&[TEXT, END]);
    let out = stream.feed(input.clone()).unwrap().unwrap();
    assert_eq!((out.as_ptr(), &out), (input.as_ptr(), &input));
    let usage = stream.usage().unwrap();
    assert_eq!((usage.prompt, usage.completion, usage.reasoning), (3, 6, 2));
    assert!(stream.content_started() && !stream.is_complete());
    assert_eq!(stream.finish(), Ok(None));
    assert!(stream.is_complete());
}

#[test]
fn a_body_that_ends_before_a_reason_is_truncated_for_every_client() {
    for operation in CLIENTS {
        let mut stream = stream(operation);
        assert!(stream.feed(events(&[TEXT])).unwrap().is_some());
        assert_eq!(stream.finish(), Err(StreamFault::Truncated), "{operation:?}");
    }
}

#[test]
fn a_last_event_without_its_blank_line_still_counts() {
    for operation in CLIENTS {
        let mut stream = stream(operation);
        stream.feed(events(&[TEXT])).unwrap();
        stream.feed(Bytes::from(format!("data: {END}"))).unwrap();
        assert!(stream.finish().unwrap().is_some(), "{operation:?}");
        assert_eq!(stream.usage().unwrap().completion, 6, "{operation:?}");
    }
}

#[test]
fn an_error_inside_a_stream_is_the_providers() {
    let error = r#"{"error":{"code":503,"message":"The model is overloaded.","status":"UNAVAILABLE"}}"#;
    for operation in CLIENTS {
        let mut stream = stream(operation);
        let out = stream.feed(events(&[TEXT, error, END])).unwrap().unwrap();
        assert!(!String::from_utf8_lossy(&out).contains("STOP"), "{operation:?}");
        let Err(StreamFault::Provider(error)) = stream.finish() else { panic!("{operation:?}") };
        assert_eq!(
            (error.message.as_str(), error.kind.as_deref()),
            ("The model is overloaded.", Some("UNAVAILABLE"))
        );
    }
}

#[test]
fn a_call_that_the_model_got_wrong_is_no_success_in_another_format() {
    let failed = r#"{"candidates":[{"finishReason":"MALFORMED_FUNCTION_CALL","finishMessage":"print(x"}]}"#;
    for operation in [Operation::ChatCompletions, Operation::Messages] {
        let mut stream = stream(operation);
        stream.feed(events(&[TEXT, failed])).unwrap();
        let Err(StreamFault::Provider(error)) = stream.finish() else { panic!("{operation:?}") };
        assert!(
            error.message.contains("MALFORMED_FUNCTION_CALL") && error.message.contains("print(x"),
            "{error:?}"
        );
        let error = decode_answer(operation, WireFormat::Gemini, Bytes::from_static(failed.as_bytes()));
        assert!(error.unwrap_err().reason.contains("MALFORMED_FUNCTION_CALL"));
    }
}

#[test]
fn a_blocked_prompt_is_an_answer_that_the_filter_ended() {
    let blocked = r#"{"promptFeedback":{"blockReason":"SAFETY"},"usageMetadata":{"promptTokenCount":3}}"#;
    for (operation, word) in [
        (Operation::ChatCompletions, "content_filter"),
        (Operation::Messages, "refusal"),
        (CLIENTS[0], "SAFETY"),
    ] {
        let mut stream = stream(operation);
        let mut out = stream.feed(events(&[blocked])).unwrap().unwrap().to_vec();
        out.extend(stream.finish().unwrap().unwrap_or_default());
        assert!(String::from_utf8(out).unwrap().contains(word), "{operation:?}");
        assert_eq!(stream.usage().unwrap().prompt, 3);
    }
}

/// A text with one piece of it replaced by something else that JSON may hold.
fn damaged(texts: Vec<String>) -> impl Strategy<Value = String> {
    let pieces =
        ["", "null", "[]", "{}", "\"", "-1", "1e99", "true", "\"x\"", "[{\"text\":7}]", "\\u0000", "é"];
    let place = any::<prop::sample::Index>();
    (prop::sample::select(texts), place, 0..40_usize, prop::sample::select(pieces.to_vec())).prop_map(
        |(text, place, length, piece)| {
            let mut bytes = text.into_bytes();
            let start = place.index(bytes.len());
            let end = (start + length).min(bytes.len());
            bytes.splice(start..end, piece.bytes());
            String::from_utf8_lossy(&bytes).into_owned()
        },
    )
}

fn requests() -> Vec<String> {
    let cases = [
        include_str!("golden/requests/gemini-tools-to-openai.json"),
        include_str!("golden/requests/gemini-schema-to-openai.json"),
        include_str!("golden/requests/gemini-drop-params-to-openai.json"),
    ];
    let client = |case: &str| serde_json::from_str::<serde_json::Value>(case).unwrap()["client"].to_string();
    cases.into_iter().map(client).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_damaged_request_is_translated_or_refused(body in damaged(requests())) {
        let (operation, body) = (Operation::GenerateContent, Bytes::from(body));
        if let Ok(head) = read_request_head(operation, "/v1beta/models/m:generateContent", &body) {
            for kind in ["openai", "anthropic", "gemini"] {
                let spec = catalogue().provider(kind).unwrap();
                let _ = encode_request(operation, &head, &body, spec, "m", true);
            }
        }
    }

    #[test]
    fn a_damaged_stream_ends_or_fails(
        body in damaged(vec![include_str!("golden/streams/chat-from-gemini.upstream.sse").to_owned()]),
    ) {
        for operation in CLIENTS {
            let mut stream = stream(operation);
            let _ = stream.feed(Bytes::from(body.clone()));
            prop_assert_eq!(stream.finish().is_ok(), stream.is_complete());
        }
    }
}
