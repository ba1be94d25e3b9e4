//! Anthropic answers.

use serde_json::{Value, json};

use crate::client::{Answer, ask, mock};
use mock_upstream::Mock;

const VERSION: (&str, &str) = ("anthropic-version", "2023-06-01");

fn message(model: &str, text: &str) -> Value {
    json!({"model": model, "max_tokens": 100, "messages": [{"role": "user", "content": text}]})
}

async fn send(mock: &Mock, body: &Value) -> Answer {
    ask(mock, "/v1/messages", &[VERSION], body).await
}

fn kinds(answer: &Answer) -> Vec<String> {
    answer.chunks().iter().map(|event| event["type"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_message_has_blocks_stop_reason_and_usage() {
    let answer = send(&mock().await, &message("claude;cached=2", "hello big world")).await;
    let body = answer.json();
    assert_eq!((&body["type"], &body["role"]), (&json!("message"), &json!("assistant")));
    assert_eq!(body["content"], json!([{"type": "text", "text": "hello big world"}]));
    assert_eq!(body["stop_reason"], "end_turn");
    assert_eq!(body["usage"]["input_tokens"], 2);
    assert_eq!(body["usage"]["cache_read_input_tokens"], 2);
    assert_eq!(body["usage"]["output_tokens"], 3);
    assert!(answer.header("request-id").is_some());
    assert_eq!(answer.header("anthropic-ratelimit-requests-limit"), Some("10000"));
}

#[tokio::test]
async fn a_stream_runs_from_message_start_to_message_stop() {
    let mut body = message("claude", "one two");
    body["stream"] = json!(true);
    let answer = send(&mock().await, &body).await;
    let expected = [
        "message_start",
        "ping",
        "content_block_start",
        "content_block_delta",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ];
    assert_eq!(kinds(&answer), expected);
    let names: Vec<_> = answer.text().lines().filter_map(|line| line.strip_prefix("event: ")).collect();
    assert_eq!(names, expected);
    let chunks = answer.chunks();
    assert_eq!(chunks[0]["message"]["usage"]["input_tokens"], 2);
    assert_eq!(chunks[4]["delta"], json!({"type": "text_delta", "text": " two"}));
    assert_eq!(chunks[6]["usage"]["output_tokens"], 2);
    assert_eq!(chunks[6]["delta"]["stop_reason"], "end_turn");
}

#[tokio::test]
async fn thinking_comes_first_with_its_signature() {
    let mut body = message("claude;reasoning=1", "one");
    let mock = mock().await;
    let whole = send(&mock, &body).await.json();
    assert_eq!(whole["content"][0]["type"], "thinking");
    assert!(whole["content"][0]["signature"].is_string());
    body["stream"] = json!(true);
    let stream = send(&mock, &body).await;
    let deltas: Vec<_> = stream
        .chunks()
        .iter()
        .filter_map(|event| event["delta"]["type"].as_str().map(str::to_owned))
        .collect();
    assert_eq!(deltas.first().unwrap(), "thinking_delta");
    assert_eq!(deltas[deltas.len() - 2..], ["signature_delta", "text_delta"]);
}

#[tokio::test]
async fn tool_use_is_streamed_as_partial_json() {
    let mut body = message("claude", "Paris");
    body["tools"] = json!([{"name": "weather", "input_schema": {
        "type": "object", "required": ["city"], "properties": {"city": {"type": "string"}}}}]);
    let mock = mock().await;
    let whole = send(&mock, &body).await.json();
    assert_eq!(whole["stop_reason"], "tool_use");
    assert_eq!(whole["content"][0]["input"], json!({"city": "Paris"}));
    body["stream"] = json!(true);
    let stream = send(&mock, &body).await;
    let partial: String = stream
        .chunks()
        .iter()
        .filter_map(|event| event["delta"]["partial_json"].as_str().map(str::to_owned))
        .collect();
    assert_eq!(partial, r#"{"city":"Paris"}"#);
    body["messages"] = json!([{"role": "user", "content": "Paris"},
        {"role": "assistant", "content": whole["content"]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": "sunny"}]}]);
    body["stream"] = json!(false);
    assert_eq!(send(&mock, &body).await.json()["stop_reason"], "end_turn");
}

#[tokio::test]
async fn the_stop_reason_tells_limit_from_stop_sequence() {
    let mock = mock().await;
    let mut body = message("claude", "one two three");
    body["max_tokens"] = json!(1);
    assert_eq!(send(&mock, &body).await.json()["stop_reason"], "max_tokens");
    body["max_tokens"] = json!(9);
    body["stop_sequences"] = json!(["two"]);
    let stopped = send(&mock, &body).await.json();
    assert_eq!(
        (&stopped["stop_reason"], &stopped["stop_sequence"]),
        (&json!("stop_sequence"), &json!("two"))
    );
}

#[tokio::test]
async fn tokens_are_counted_with_the_system_prompt() {
    let mut body = message("claude", "12345678");
    body["system"] = json!([{"type": "text", "text": "1234"}]);
    let answer = ask(&mock().await, "/proxy/v1/messages/count_tokens", &[VERSION], &body).await;
    assert_eq!(answer.json(), json!({"input_tokens": 3}));
}

#[tokio::test]
async fn what_the_real_one_requires_is_required() {
    let mock = mock().await;
    let unversioned = ask(&mock, "/v1/messages", &[], &message("claude", "hi")).await;
    assert_eq!(unversioned.status, 400);
    assert!(unversioned.text().contains("anthropic-version"));
    let mut body = message("claude", "hi");
    body.as_object_mut().unwrap().remove("max_tokens");
    let unlimited = send(&mock, &body).await;
    assert_eq!((unlimited.status, &unlimited.json()["type"]), (400, &json!("error")));
    assert!(unlimited.json()["error"]["message"].as_str().unwrap().contains("max_tokens"));
}

#[tokio::test]
async fn errors_come_in_the_anthropic_envelope_also_within_a_stream() {
    let mock = mock().await;
    let refused = send(&mock, &message("claude;status=529", "hi")).await;
    assert_eq!((refused.status, &refused.json()["error"]["type"]), (529, &json!("overloaded_error")));
    let mut body = message("claude;fault=error_event;after=1", "one two three");
    body["stream"] = json!(true);
    let broken = send(&mock, &body).await;
    assert_eq!(kinds(&broken).last().unwrap(), "error");
    assert!(broken.text().contains("event: error\n"));
    let mut body = message("claude;fault=no_done", "one");
    body["stream"] = json!(true);
    let endless = send(&mock, &body).await;
    assert_eq!(kinds(&endless).last().unwrap(), "message_delta");
    assert!(endless.complete);
}
