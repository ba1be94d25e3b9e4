//! What only the Responses format has: tools that are more than functions, thoughts that only their
//! maker reads, answers that fail or stop short, and providers that take such requests as they are.

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
    AnswerContext, AnswerStream, ClientError, Operation, StreamFault, WireFormat, catalogue, decode_answer,
    decode_answer_for, encode_request, error_body, error_event, read_request_head,
};
use serde_json::{Value, json};

const REQUEST: &str = r#"{"model":"m","input":"x","instructions":"Be brief.","max_output_tokens":9,"tools":[
    {"type":"custom","name":"apply_patch"},
    {"type":"namespace","name":"crm","tools":[{"type":"function","name":"find"}]},
    {"type":"function","name":"now"}]}"#;

fn context() -> AnswerContext {
    let body = Bytes::from_static(REQUEST.as_bytes());
    let head = read_request_head(Operation::Responses, "", &body).unwrap();
    assert_eq!(head.max_tokens, Some(9));
    let spec = catalogue().provider("groq").unwrap();
    encode_request(Operation::Responses, &head, &body, spec, "llama", false).unwrap().context
}

fn event(value: &Value) -> String {
    format!("data: {value}\n\n")
}

/// What a chat client gets for these events of a Responses provider.
fn chat(events: &[Value]) -> (String, Result<(), StreamFault>) {
    run(AnswerStream::new(Operation::ChatCompletions, WireFormat::Responses, true, None), events)
}

fn run(mut stream: AnswerStream, events: &[Value]) -> (String, Result<(), StreamFault>) {
    let mut out = Vec::new();
    for value in events {
        match stream.feed(Bytes::from(event(value))) {
            Ok(bytes) => out.extend(bytes.unwrap_or_default()),
            Err(fault) => return (String::from_utf8(out).unwrap(), Err(fault)),
        }
    }
    let end = stream.finish().map(|rest| out.extend(rest.unwrap_or_default()));
    (String::from_utf8(out).unwrap(), end)
}

fn events(text: &str) -> Vec<Value> {
    let lines = text.lines().filter_map(|line| line.strip_prefix("data: "));
    lines.map(|data| serde_json::from_str(data).unwrap()).collect()
}

#[test]
fn a_provider_that_has_the_path_gets_the_request_as_it_is_but_for_the_model() {
    let text = r#"{ "model": "m","previous_response_id":"resp_1", "tools":[{"type":"web_search"}],"x":9007199254740993}"#;
    let body = Bytes::from_static(text.as_bytes());
    let head = read_request_head(Operation::Responses, "", &body).unwrap();
    for kind in ["openai", "azure-openai", "openai-responses", "azure-responses"] {
        let spec = catalogue().provider(kind).unwrap();
        assert_eq!(spec.format_for(Operation::Responses), WireFormat::Responses, "{kind}");
        let sent = encode_request(Operation::Responses, &head, &body, spec, "gpt-5", false).unwrap();
        assert_eq!((sent.path.as_ref(), sent.context), ("/responses", AnswerContext::default()), "{kind}");
        assert_eq!(sent.body, text.replace("\"m\"", "\"gpt-5\""), "{kind}");
    }
    for kind in ["groq", "anthropic", "xai"] {
        let spec = catalogue().provider(kind).unwrap();
        assert_ne!(spec.format_for(Operation::Responses), WireFormat::Responses, "{kind}");
    }
}

#[test]
fn a_tool_is_called_as_what_it_was_before_it_became_a_function() {
    let call = |id: &str, name: &str, arguments: &str| json!({ "id": id, "type": "function", "function": { "name": name, "arguments": arguments } });
    let calls = [
        call("a", "apply_patch", r#"{"input":"*** \"é\"\n"}"#),
        call("b", "crm__find", "{}"),
        call("c", "now", ""),
    ];
    let message = json!({ "role": "assistant", "content": null, "tool_calls": calls });
    let choice = json!({ "index": 0, "message": message, "finish_reason": "tool_calls" });
    let body = json!({ "id": "1", "model": "llama", "choices": [choice] });
    let answer = decode_answer_for(
        Operation::Responses,
        WireFormat::OpenAi,
        Bytes::from(body.to_string()),
        &context(),
    );
    let answer: Value = serde_json::from_slice(&answer.unwrap().body).unwrap();
    let expected = json!([
        { "id": "ctc_1_0", "type": "custom_tool_call", "status": "completed", "input": "*** \"é\"\n",
          "call_id": "a", "name": "apply_patch" },
        { "id": "fc_1_1", "type": "function_call", "status": "completed", "arguments": "{}",
          "call_id": "b", "name": "find", "namespace": "crm" },
        { "id": "fc_1_2", "type": "function_call", "status": "completed", "arguments": "{}",
          "call_id": "c", "name": "now" },
    ]);
    assert_eq!(answer["output"], expected);
    assert_eq!((&answer["instructions"], &answer["max_output_tokens"]), (&json!("Be brief."), &json!(9)));
    assert_eq!(answer["tools"][0], json!({ "type": "custom", "name": "apply_patch" }));
}

#[test]
fn a_streamed_custom_tool_call_gives_its_text_and_no_json() {
    let delta =
        |delta: Value| json!({ "id": "1", "model": "m", "choices": [{ "index": 0, "delta": delta }] });
    let piece = |arguments: &str| {
        delta(json!({ "tool_calls": [{ "index": 0, "function": { "arguments": arguments } }] }))
    };
    let begin = json!({ "index": 0, "id": "a", "function": { "name": "apply_patch", "arguments": "" } });
    let finish = json!({ "choices": [{ "index": 0, "delta": {}, "finish_reason": "tool_calls" }] });
    let upstream =
        [delta(json!({ "tool_calls": [begin] })), piece(r#"{"input":"*** \"#), piece(r#""é\"\n"}"#), finish];
    let stream = AnswerStream::new(Operation::Responses, WireFormat::OpenAi, false, None);
    let (out, end) = run(stream.with_context(&context()), &upstream);
    assert_eq!(end, Ok(()));
    let events = events(&out);
    let find = |kind: &str| events.iter().find(|event| event["type"] == kind).unwrap();
    assert_eq!(find("response.output_item.added")["item"]["type"], "custom_tool_call");
    assert_eq!(find("response.custom_tool_call_input.delta")["delta"], "*** \"é\"\n");
    assert_eq!(find("response.custom_tool_call_input.done")["input"], "*** \"é\"\n");
    assert_eq!(find("response.output_item.done")["item"]["input"], "*** \"é\"\n");
    assert!(!out.contains("function_call_arguments"));
    for (number, event) in events.iter().enumerate() {
        assert_eq!(event["sequence_number"], json!(number));
    }
    assert_eq!(find("response.created")["response"]["instructions"], "Be brief.");
}

#[test]
fn a_foreign_signature_is_kept_for_its_maker() {
    let body = r#"{"id":"msg_1","model":"c","content":[{"type":"thinking","thinking":"Hm.","signature":"c2ln"}],
        "stop_reason":"end_turn","usage":{"input_tokens":1,"output_tokens":2}}"#;
    let answer =
        decode_answer(Operation::Responses, WireFormat::Anthropic, Bytes::from_static(body.as_bytes()));
    let answer: Value = serde_json::from_slice(&answer.unwrap().body).unwrap();
    assert_eq!(answer["output"][0]["encrypted_content"], "sbx.anthropic.c2ln");
    let again = json!({ "model": "m", "max_output_tokens": 1, "input": answer["output"] });
    let body = Bytes::from(again.to_string());
    let head = read_request_head(Operation::Responses, "", &body).unwrap();
    let spec = catalogue().provider("anthropic").unwrap();
    let sent = encode_request(Operation::Responses, &head, &body, spec, "c", false).unwrap();
    let sent: Value = serde_json::from_slice(&sent.body).unwrap();
    let expected = json!({ "type": "thinking", "thinking": "Hm.", "signature": "c2ln" });
    assert_eq!(sent["messages"][0]["content"][0], expected);
}

#[test]
fn a_failed_answer_is_a_fault_however_it_is_told() {
    let created = json!({ "type": "response.created", "response": { "id": "resp_1", "model": "m" } });
    let error = json!({ "code": "server_error", "message": "The model broke." });
    for failure in [
        json!({ "type": "response.failed", "response": { "status": "failed", "error": error } }),
        json!({ "type": "error", "code": "server_error", "message": "The model broke.", "param": null }),
        json!({ "type": "error", "error": error }),
        json!({ "type": "response.completed", "response": { "status": "failed", "error": error, "output": [] } }),
    ] {
        for operation in [Operation::ChatCompletions, Operation::Responses, Operation::Messages] {
            let stream = AnswerStream::new(operation, WireFormat::Responses, false, None);
            let (_, end) = run(stream, &[created.clone(), failure.clone()]);
            let Err(StreamFault::Provider(reason)) = end else { panic!("{failure}: {end:?}") };
            assert_eq!(reason.message, "The model broke.", "{failure}");
        }
    }
    for status in ["failed", "cancelled", "in_progress", "queued"] {
        let body = json!({ "id": "r", "status": status, "output": [] }).to_string();
        let answer = decode_answer(Operation::ChatCompletions, WireFormat::Responses, Bytes::from(body));
        assert!(answer.is_err(), "{status}");
    }
}

#[test]
fn a_stream_without_its_end_is_truncated_whatever_else_marks_one() {
    let text = json!({ "type": "response.output_text.delta", "output_index": 0, "delta": "x" });
    for operation in [Operation::ChatCompletions, Operation::Responses] {
        let mut stream = AnswerStream::new(operation, WireFormat::Responses, false, None);
        stream.feed(Bytes::from(event(&text))).unwrap();
        stream.feed(Bytes::from_static(b"data: [DONE]\n\n")).unwrap();
        assert_eq!(stream.finish(), Err(StreamFault::Truncated));
    }
}

#[test]
fn an_answer_that_stops_short_says_why() {
    for (reason, word) in [("max_output_tokens", "length"), ("content_filter", "content_filter")] {
        let response = json!({ "status": "incomplete", "incomplete_details": { "reason": reason } });
        let (out, end) = chat(&[json!({ "type": "response.incomplete", "response": response })]);
        assert_eq!(end, Ok(()));
        assert!(out.contains(&format!("\"finish_reason\":\"{word}\"")), "{out}");
    }
}

#[test]
fn what_comes_only_whole_is_not_lost() {
    let call = json!({ "type": "function_call", "id": "fc_1", "call_id": "a", "name": "f", "arguments": "{\"n\":1}" });
    let mut begun = call.clone();
    begun["arguments"] = "".into();
    let message = json!({ "type": "message", "content": [{ "type": "output_text", "text": "Hi" }] });
    let added =
        |item: &Value| json!({ "type": "response.output_item.added", "output_index": 0, "item": item });
    let done = |item: &Value| json!({ "type": "response.output_item.done", "output_index": 0, "item": item });
    let end = |output: Value| json!({ "type": "response.completed", "response": { "id": "r", "status": "completed", "output": output } });
    let arguments = json!({
        "type": "response.function_call_arguments.done", "output_index": 0, "arguments": "{\"n\":1}"
    });
    let text =
        json!({ "type": "response.output_text.done", "output_index": 0, "content_index": 0, "text": "Hi" });
    for (events, expected) in [
        (vec![added(&begun), arguments.clone(), end(json!([]))], "{\\\"n\\\":1}"),
        (vec![added(&begun), arguments, done(&call), end(json!([call]))], "{\\\"n\\\":1}"),
        (vec![added(&begun), done(&call), end(json!([call]))], "{\\\"n\\\":1}"),
        (vec![end(json!([call]))], "{\\\"n\\\":1}"),
        (vec![added(&message), text, done(&message), end(json!([message]))], "\"content\":\"Hi\""),
        (vec![done(&message), end(json!([message]))], "\"content\":\"Hi\""),
        (vec![end(json!([message]))], "\"content\":\"Hi\""),
    ] {
        let (out, result) = chat(&events);
        assert_eq!(result, Ok(()));
        assert_eq!(out.matches(expected).count(), 1, "{events:?}\n{out}");
    }
}

#[test]
fn an_answer_that_could_never_be_repeated_whole_is_too_long() {
    let text = "x".repeat(1024 * 1024);
    let chunk = json!({ "choices": [{ "index": 0, "delta": { "content": text } }] });
    let stream = AnswerStream::new(Operation::Responses, WireFormat::OpenAi, false, None);
    let (_, end) = run(stream, &vec![chunk; 40]);
    assert_eq!(end, Err(StreamFault::TooLong));
}

#[test]
fn pieces_that_wait_for_an_item_that_never_ends_are_bounded() {
    let added =
        json!({ "type": "response.output_item.added", "output_index": 0, "item": { "type": "message" } });
    let text = "x".repeat(1024 * 1024);
    let piece = json!({ "type": "response.output_text.delta", "output_index": 1, "delta": text });
    let mut events = vec![piece; 10];
    events.insert(0, added);
    assert_eq!(chat(&events).1, Err(StreamFault::TooLong));
    let many: Vec<Value> = (0..5_000)
        .map(|index| json!({ "type": "response.output_text.delta", "output_index": index, "delta": "" }))
        .collect();
    assert!(matches!(chat(&many).1, Err(StreamFault::Malformed(_))));
}

#[test]
fn an_error_within_a_stream_is_told_in_both_ways() {
    let error = ClientError {
        status: 502,
        kind: "api_error",
        code: None,
        param: None,
        message: "The provider broke off.",
        request_id: "1",
    };
    let event = String::from_utf8(error_event(WireFormat::Responses, &error).to_vec()).unwrap();
    let names: Vec<&str> = event.lines().filter_map(|line| line.strip_prefix("event: ")).collect();
    assert_eq!(names, ["error", "response.failed"]);
    let events = events(&event);
    assert_eq!(events[0]["error"]["message"], "The provider broke off.");
    assert_eq!(events[1]["response"]["error"]["code"], "server_error");
    assert_eq!(error_body(WireFormat::Responses, &error), error_body(WireFormat::OpenAi, &error));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_damaged_stream_is_a_fault_or_an_answer_and_never_a_panic(
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), 0_u8..4), 1..6),
    ) {
        let whole = include_str!("golden/streams/chat-from-responses.upstream.sse");
        let mut lines: Vec<String> = whole.lines().map(str::to_owned).collect();
        for (place, other, kind) in edits {
            let (at, from) = (place.index(lines.len()), other.index(lines.len()));
            match kind {
                0 => lines.swap(at, from),
                1 => lines[at] = lines[from].clone(),
                2 => lines[at].clear(),
                _ => {
                    let cut: String = lines[at].chars().take(from).collect();
                    lines[at] = cut;
                }
            }
        }
        let text = lines.join("\n");
        for operation in [Operation::ChatCompletions, Operation::Messages, Operation::Responses] {
            let mut stream = AnswerStream::new(operation, WireFormat::Responses, true, None);
            let fed = stream.feed(Bytes::from(text.clone()));
            let ended = stream.finish();
            prop_assert!(stream.is_complete() || fed.is_err() || ended.is_err());
        }
    }
}
