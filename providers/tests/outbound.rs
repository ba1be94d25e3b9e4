//! What holds of the formats and operations that providers alone speak: Bedrock's frames, paths, and
//! bodies that are passed on unread.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "clippy allows these inside test functions only, not in what they share"
)]

use aws_smithy_eventstream::frame::write_message_to;
use aws_smithy_types::event_stream::{Header, HeaderValue, Message};
use bytes::Bytes;
use domain::Usage;
use providers::{
    AnswerStream, Operation, StreamFault, WireFormat, catalogue, decode_answer_for, encode_request,
    read_request_head, supports,
};
use serde_json::{Value, json};

fn frame(kind: &'static str, name: &'static str, payload: &Value) -> Vec<u8> {
    let header =
        |name: &'static str, value: &'static str| Header::new(name, HeaderValue::String(value.into()));
    let named = if kind == "event" { ":event-type" } else { ":exception-type" };
    let message = Message::new(Bytes::from(payload.to_string()))
        .add_header(header(":message-type", kind))
        .add_header(header(named, name));
    let mut bytes = Vec::new();
    write_message_to(&message, &mut bytes).unwrap();
    bytes
}

fn event(name: &'static str, payload: &Value) -> Vec<u8> {
    frame("event", name, payload)
}

fn opening() -> Vec<u8> {
    [
        event("messageStart", &json!({ "role": "assistant" })),
        event("contentBlockDelta", &json!({ "contentBlockIndex": 0, "delta": { "text": "hi" } })),
    ]
    .concat()
}

fn closing() -> Vec<u8> {
    event("messageStop", &json!({ "stopReason": "end_turn" }))
}

fn metadata() -> Vec<u8> {
    event("metadata", &json!({ "usage": { "inputTokens": 3, "outputTokens": 1, "cacheReadInputTokens": 2 } }))
}

fn bedrock(operation: Operation) -> AnswerStream {
    AnswerStream::new(operation, WireFormat::Bedrock, true, None)
}

#[test]
fn the_usage_behind_the_end_of_a_bedrock_message_is_waited_for() {
    let mut stream = bedrock(Operation::Messages);
    stream.feed(Bytes::from([opening(), closing()].concat())).unwrap();
    assert!(!stream.is_complete() && stream.content_started());
    let end = stream.feed(Bytes::from(metadata())).unwrap().unwrap();
    assert!(stream.is_complete());
    assert_eq!(stream.usage(), Some(Usage { prompt: 5, completion: 1, cached: 2, ..Usage::default() }));
    let end = String::from_utf8(end.to_vec()).unwrap();
    assert!(end.contains("\"input_tokens\":3") && end.ends_with("{\"type\":\"message_stop\"}\n\n"), "{end}");
}

#[test]
fn a_bedrock_stream_without_its_count_or_with_half_a_frame_behind_its_end_is_complete() {
    for rest in [Vec::new(), metadata()[..9].to_vec()] {
        let mut stream = bedrock(Operation::ChatCompletions);
        stream.feed(Bytes::from([opening(), closing(), rest].concat())).unwrap();
        let end = stream.finish().unwrap().unwrap();
        assert!(end.ends_with(b"data: [DONE]\n\n"));
    }
    let mut cut = bedrock(Operation::ChatCompletions);
    cut.feed(Bytes::from(opening())).unwrap();
    assert_eq!(cut.finish(), Err(StreamFault::Truncated));
}

#[test]
fn an_exception_inside_a_bedrock_stream_is_the_providers_error() {
    let exception = frame("exception", "throttlingException", &json!({ "message": "Too many tokens" }));
    let mut stream = bedrock(Operation::ChatCompletions);
    assert!(stream.feed(Bytes::from([opening(), exception].concat())).unwrap().is_some());
    match stream.feed(Bytes::new()) {
        Err(StreamFault::Provider(error)) => {
            assert_eq!(error.message, "Too many tokens");
            assert_eq!(error.kind.as_deref(), Some("throttlingException"));
        }
        other => panic!("{other:?}"),
    }
}

/// Bedrock gives neither an id nor the model's name; Anthropic's clients go by both.
#[test]
fn an_answer_without_id_or_model_is_given_both() {
    let body =
        Bytes::from_static(br#"{"model":"a","max_tokens":9,"messages":[{"role":"user","content":"x"}]}"#);
    let head = read_request_head(Operation::Messages, "", &body).unwrap();
    let spec = catalogue().provider("bedrock").unwrap();
    let mut sent = encode_request(Operation::Messages, &head, &body, spec, "amazon.nova", false).unwrap();
    sent.context.set_id("0a1b");
    let whole = json!({ "output": { "message": { "role": "assistant", "content": [{ "text": "a" }] } },
        "stopReason": "end_turn", "usage": { "inputTokens": 1, "outputTokens": 2, "totalTokens": 3 } });
    let whole = Bytes::from(whole.to_string());
    let answer = decode_answer_for(Operation::Messages, WireFormat::Bedrock, whole, &sent.context).unwrap();
    let answer: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!((&answer["id"], &answer["model"]), (&json!("msg_0a1b"), &json!("amazon.nova")));

    let mut stream = bedrock(Operation::ChatCompletions).with_context(&sent.context);
    let out = stream.feed(Bytes::from([opening(), closing(), metadata()].concat())).unwrap().unwrap();
    let text = String::from_utf8(out.to_vec()).unwrap();
    let chunk: Value =
        serde_json::from_str(text.lines().next().unwrap().strip_prefix("data: ").unwrap()).unwrap();
    assert_eq!((&chunk["id"], &chunk["model"]), (&json!("chatcmpl-0a1b"), &json!("amazon.nova")));
}

#[test]
fn arguments_of_no_open_call_and_malformed_output_are_faults() {
    for bad in [
        event(
            "contentBlockDelta",
            &json!({ "contentBlockIndex": 3, "delta": { "toolUse": { "input": "{" } } }),
        ),
        event("messageStop", &json!({ "stopReason": "malformed_tool_use" })),
        event("contentBlockDelta", &json!([])),
    ] {
        let mut stream = bedrock(Operation::Messages);
        stream.feed(Bytes::from([opening(), bad].concat())).unwrap();
        assert!(matches!(stream.feed(Bytes::new()), Err(StreamFault::Malformed(_))));
    }
}

fn sent(operation: Operation, kind: &str, model: &str, body: &'static str) -> (String, Bytes) {
    let body = Bytes::from_static(body.as_bytes());
    let head = read_request_head(operation, "", &body).unwrap();
    let spec = catalogue().provider(kind).unwrap();
    let request = encode_request(operation, &head, &body, spec, model, false).unwrap();
    (request.path.into_owned(), request.body)
}

#[test]
fn a_model_of_bedrocks_stands_escaped_in_the_path() {
    let path = |model, body| sent(Operation::ChatCompletions, "bedrock", model, body).0;
    let messages = r#"{"model":"m","messages":[{"role":"user","content":"x"}]}"#;
    assert_eq!(path("us.amazon.nova-lite-v1:0", messages), "/model/us.amazon.nova-lite-v1%3A0/converse");
    assert_eq!(
        path(
            "arn:aws:bedrock:us-east-1:1:application-inference-profile/a b",
            r#"{"model":"m","stream":true,"messages":[{"role":"user","content":"x"}]}"#
        ),
        "/model/arn%3Aaws%3Abedrock%3Aus-east-1%3A1%3Aapplication-inference-profile%2Fa%20b/converse-stream"
    );
}

#[test]
fn raw_bodies_change_in_nothing_but_the_model() {
    let form = "--b\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nm\r\n--b--\r\n";
    for (operation, kind, body, path, expected) in [
        (
            Operation::Rerank,
            "cohere",
            r#"{ "model":"m","query":"q"}"#,
            "/v2/rerank",
            r#"{ "model":"M","query":"q"}"#,
        ),
        (Operation::Rerank, "voyage", r#"{"model":"m"}"#, "/rerank", r#"{"model":"M"}"#),
        (Operation::Moderations, "openai", r#"{"model":"m"}"#, "/moderations", r#"{"model":"M"}"#),
        (Operation::AudioSpeech, "openai", r#"{"model":"m"}"#, "/audio/speech", r#"{"model":"M"}"#),
        (
            Operation::Embeddings,
            "cohere",
            r#"{"model":"m"}"#,
            "/compatibility/v1/embeddings",
            r#"{"model":"M"}"#,
        ),
        (
            Operation::AudioTranscriptions,
            "groq",
            form,
            "/audio/transcriptions",
            "--b\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nM\r\n--b--\r\n",
        ),
    ] {
        assert_eq!(sent(operation, kind, "M", body), (path.to_owned(), Bytes::from(expected)), "{kind}");
    }
}

#[test]
fn what_a_provider_does_not_have_is_refused_before_it_is_called() {
    for (operation, kind) in [
        (Operation::Rerank, "anthropic"),
        (Operation::Rerank, "openai"),
        (Operation::Moderations, "bedrock"),
        (Operation::Embeddings, "bedrock"),
        (Operation::AudioSpeech, "cohere"),
        (Operation::ImagesGenerations, "voyage"),
    ] {
        assert!(!supports(operation, catalogue().provider(kind).unwrap()), "{operation:?} {kind}");
    }
}

#[test]
fn a_raw_answer_is_never_read_as_a_stream() {
    let body = br#"{"model":"m","stream":true}"#;
    assert!(!read_request_head(Operation::ImagesGenerations, "", body).unwrap().stream);
}
