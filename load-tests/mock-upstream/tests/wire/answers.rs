//! OpenAI answers of a provider in good health.

use serde_json::json;

use crate::client::{ask, ask_chat, chat, get, mock, start, streamed};
use mock_upstream::Options;

#[tokio::test]
async fn a_chat_answer_echoes_the_last_user_message_with_model_and_usage() {
    let answer = ask_chat(&mock().await, &chat("gpt-4o", "hello \"big\" world")).await;
    let body = answer.json();
    assert_eq!(answer.status, 200);
    assert_eq!(body["object"], "chat.completion");
    assert_eq!(body["model"], "gpt-4o");
    assert_eq!(body["choices"][0]["message"]["content"], "hello \"big\" world");
    assert_eq!(body["choices"][0]["finish_reason"], "stop");
    assert_eq!(body["usage"]["prompt_tokens"], 5);
    assert_eq!(body["usage"]["completion_tokens"], 3);
    assert_eq!(body["usage"]["total_tokens"], 8);
    assert!(body["id"].as_str().unwrap().starts_with("chatcmpl-"));
    assert!(body["created"].as_u64().unwrap() > 1_700_000_000);
    assert_eq!(answer.header("x-ratelimit-remaining-requests"), Some("9999"));
    assert!(answer.header("x-request-id").unwrap().starts_with("req_"));
}

#[tokio::test]
async fn a_stream_has_role_content_finish_usage_and_done_in_this_order() {
    let mut body = streamed("m", "one two");
    body["stream_options"] = json!({"include_usage": true});
    let answer = ask_chat(&mock().await, &body).await;
    assert_eq!(answer.header("content-type"), Some("text/event-stream; charset=utf-8"));
    assert!(answer.complete);
    let chunks = answer.chunks();
    assert_eq!(chunks[0]["choices"][0]["delta"]["role"], "assistant");
    assert!(chunks[0]["usage"].is_null() && chunks[0].get("usage").is_some());
    assert_eq!(answer.streamed_text(), "one two");
    assert_eq!(chunks[3]["choices"][0]["finish_reason"], "stop");
    assert_eq!(chunks[4]["choices"], json!([]));
    assert_eq!(chunks[4]["usage"]["completion_tokens"], 2);
    assert_eq!((answer.events().len(), answer.events()[5]), (6, "[DONE]"));
}

#[tokio::test]
async fn a_stream_without_include_usage_never_mentions_usage() {
    let answer = ask_chat(&mock().await, &streamed("m", "one two")).await;
    assert!(!answer.text().contains("usage"), "{}", answer.text());
}

#[tokio::test]
async fn chunks_and_size_set_the_length_of_an_answer() {
    let mock = mock().await;
    let words = ask_chat(&mock, &streamed("m;chunks=7", "one two")).await;
    assert_eq!(words.streamed_text().split(' ').count(), 7);
    let sized = ask_chat(&mock, &chat("m;size=2000", "one two")).await.json();
    assert_eq!(sized["choices"][0]["message"]["content"].as_str().unwrap().len(), 2000);
    let both = ask_chat(&mock, &streamed("m;size=2000;chunks=5", "one two")).await;
    assert_eq!((both.streamed_text().len(), both.chunks().len()), (2000, 7));
}

#[tokio::test]
async fn the_defaults_of_the_options_apply_to_streams_only() {
    let mock = start(Options { chunks: Some(9), ..Options::default() }).await;
    let stream = ask_chat(&mock, &streamed("m", "one two")).await;
    assert_eq!(stream.streamed_text().split(' ').count(), 9);
    let whole = ask_chat(&mock, &chat("m", "one two")).await.json();
    assert_eq!(whole["choices"][0]["message"]["content"], "one two");
}

#[tokio::test]
async fn max_tokens_stop_and_n_are_honoured() {
    let mock = mock().await;
    let mut body = chat("m", "one two three");
    body["max_tokens"] = json!(2);
    let limited = ask_chat(&mock, &body).await.json();
    assert_eq!(limited["choices"][0]["message"]["content"], "one two");
    assert_eq!(limited["choices"][0]["finish_reason"], "length");
    let mut body = chat("m", "one two three");
    body["max_tokens"] = json!(3);
    assert_eq!(ask_chat(&mock, &body).await.json()["choices"][0]["finish_reason"], "stop");
    body["stop"] = json!("three");
    body["n"] = json!(2);
    let stopped = ask_chat(&mock, &body).await.json();
    assert_eq!(stopped["choices"][1]["message"]["content"], "one two ");
    assert_eq!(stopped["usage"]["completion_tokens"], 4);
    body["stream"] = json!(true);
    let stream = ask_chat(&mock, &body).await;
    assert_eq!(stream.chunks().iter().filter(|chunk| chunk["choices"][0]["index"] == 1).count(), 5);
    assert_eq!(stream.streamed_text(), "one two ");
}

fn weather() -> serde_json::Value {
    json!([{"type": "function", "function": {"name": "weather", "parameters": {
        "type": "object", "required": ["city"], "properties": {"city": {"type": "string"}}}}}])
}

#[tokio::test]
async fn tools_are_called_until_their_result_is_there() {
    let mock = mock().await;
    let mut body = chat("m;calls=2", "Paris");
    body["tools"] = weather();
    let called = ask_chat(&mock, &body).await.json();
    let message = &called["choices"][0]["message"];
    assert_eq!(called["choices"][0]["finish_reason"], "tool_calls");
    assert!(message["content"].is_null());
    assert_eq!(message["tool_calls"].as_array().unwrap().len(), 2);
    assert_eq!(message["tool_calls"][0]["function"]["arguments"], r#"{"city":"Paris"}"#);
    assert_ne!(message["tool_calls"][0]["id"], message["tool_calls"][1]["id"]);
    body["messages"] = json!([{"role": "user", "content": "Paris"}, message,
        {"role": "tool", "tool_call_id": "c", "content": "sunny"}]);
    let told = ask_chat(&mock, &body).await.json();
    assert_eq!(told["choices"][0]["message"]["content"], "Paris");
    body["messages"] = json!([{"role": "user", "content": "Paris"}]);
    body["tool_choice"] = json!("none");
    assert_eq!(ask_chat(&mock, &body).await.json()["choices"][0]["finish_reason"], "stop");
}

#[tokio::test]
async fn streamed_tool_arguments_join_to_the_whole() {
    let mut body = streamed("m;calls=2", "the city of Paris");
    body["tools"] = weather();
    let answer = ask_chat(&mock().await, &body).await;
    for call in 0..2 {
        let deltas: Vec<_> = answer
            .chunks()
            .iter()
            .map(|chunk| chunk["choices"][0]["delta"]["tool_calls"][0].clone())
            .filter(|delta| delta["index"] == call)
            .collect();
        assert_eq!(deltas[0]["function"]["name"], "weather");
        assert_eq!(deltas[0]["type"], "function");
        assert!(deltas.len() > 2);
        let arguments: String =
            deltas.iter().map(|delta| delta["function"]["arguments"].as_str().unwrap()).collect();
        assert_eq!(arguments, r#"{"city":"the city of Paris"}"#);
    }
}

#[tokio::test]
async fn reasoning_comes_before_the_answer_and_is_counted() {
    let mock = mock().await;
    let whole = ask_chat(&mock, &chat("m;reasoning=1", "one")).await.json();
    assert!(whole["choices"][0]["message"]["reasoning_content"].as_str().unwrap().len() > 10);
    assert_eq!(whole["usage"]["completion_tokens_details"]["reasoning_tokens"], 10);
    assert_eq!(whole["usage"]["completion_tokens"], 11);
    let stream = ask_chat(&mock, &streamed("m;reasoning=1", "one")).await;
    let chunks = stream.chunks();
    assert!(chunks[1]["choices"][0]["delta"]["reasoning_content"].is_string());
    assert_eq!(chunks[11]["choices"][0]["delta"]["content"], "one");
}

#[tokio::test]
async fn no_usage_and_cached_change_the_usage() {
    let mock = mock().await;
    assert!(ask_chat(&mock, &chat("m;no_usage=1", "one")).await.json().get("usage").is_none());
    let long = "w".repeat(80);
    let cached = ask_chat(&mock, &chat("m;cached=10", &long)).await.json();
    assert_eq!(cached["usage"]["prompt_tokens"], 20);
    assert_eq!(cached["usage"]["prompt_tokens_details"]["cached_tokens"], 10);
}

#[tokio::test]
async fn legacy_completions_answer_each_prompt_and_stream() {
    let mock = mock().await;
    let body = json!({"model": "m", "prompt": ["one two", "three"]});
    let whole = ask(&mock, "/v1/completions", &[], &body).await.json();
    assert_eq!(whole["object"], "text_completion");
    assert_eq!(whole["choices"][1]["text"], "three");
    assert_eq!(whole["usage"]["completion_tokens"], 3);
    let body = json!({"model": "m", "prompt": "one two", "stream": true});
    let stream = ask(&mock, "/v1/completions", &[], &body).await;
    let text: String = stream.chunks().iter().filter_map(|c| c["choices"][0]["text"].as_str()).collect();
    assert_eq!((text.as_str(), stream.events().last()), ("one two", Some(&"[DONE]")));
}

#[tokio::test]
async fn embeddings_come_as_floats_or_as_their_base64() {
    let mock = mock().await;
    let mut body = json!({"model": "m", "input": ["one two", "three"], "dimensions": 8});
    let floats = ask(&mock, "/v1/embeddings", &[], &body).await.json();
    assert_eq!(floats["data"][1]["index"], 1);
    assert_eq!(floats["data"][0]["embedding"].as_array().unwrap().len(), 8);
    assert_eq!(floats["usage"], json!({"prompt_tokens": 4, "total_tokens": 4}));
    body["encoding_format"] = json!("base64");
    let base64 = ask(&mock, "/v1/embeddings", &[], &body).await.json();
    // 8 floats are 32 bytes, 44 characters with the padding.
    assert_eq!(base64["data"][0]["embedding"].as_str().unwrap().len(), 44);
    body["input"] = json!([1, 2, 3]);
    let tokens = ask(&mock, "/v1/embeddings", &[], &body).await.json();
    assert_eq!((tokens["data"].as_array().unwrap().len(), &tokens["usage"]["total_tokens"]), (1, &json!(3)));
}

#[tokio::test]
async fn models_are_listed_and_any_path_prefix_is_accepted() {
    let mock = mock().await;
    let list = get(&mock, "/openai/v1/models?limit=2").await.json();
    assert_eq!((&list["object"], &list["data"][0]["object"]), (&json!("list"), &json!("model")));
    assert_eq!(get(&mock, "/v1/models/gpt-4o").await.json()["id"], "gpt-4o");
    let azure = "/openai/deployments/gpt-4o/chat/completions?api-version=2024-06-01";
    let body = json!({"messages": [{"role": "user", "content": "hi"}]});
    assert_eq!(ask(&mock, azure, &[], &body).await.json()["model"], "gpt-4o");
    assert_eq!(get(&mock, "/v1/nowhere").await.status, 404);
    assert_eq!(get(&mock, "/v1/chat/completions").await.status, 405);
}
