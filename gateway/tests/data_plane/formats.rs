//! Every client format over every provider format, and what the gateway adds or takes away on the way.

use serde_json::{Value, json};

use crate::gateway::{Gateway, chat};

const MODELS: &str = "
  claude: {deployments: [{provider: claude, model: claude}]}
  claude-away: {deployments: [{provider: claude, model: claude;status=500}], retries: {attempts: 1}}
";

async fn post(gateway: &Gateway, path: &str, body: &Value) -> (u16, String) {
    let answer = gateway.post(path, body.to_string()).await;
    (answer.status().as_u16(), answer.text().await.unwrap())
}

#[tokio::test]
async fn a_responses_client_reaches_chat_and_messages_providers() {
    let gateway = Gateway::start(MODELS, "").await;
    for (model, path) in [("plain", "/v1/chat/completions"), ("claude", "/v1/messages")] {
        let body = json!({"model": model, "input": "one two three"});
        let (status, text) = post(&gateway, "/v1/responses", &body).await;
        let answer: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(
            (status, &answer["object"], &answer["status"]),
            (200, &json!("response"), &json!("completed"))
        );
        assert!(
            answer["output"][0]["content"][0]["text"].as_str().is_some_and(|text| !text.is_empty()),
            "{text}"
        );
        assert!(answer["usage"]["output_tokens"].as_u64().is_some_and(|count| count > 0), "{text}");
        assert_eq!(gateway.mock.requests().pop().unwrap().path, path);

        let body = json!({"model": model, "input": "one two three", "stream": true});
        let (status, text) = post(&gateway, "/v1/responses", &body).await;
        assert_eq!(status, 200);
        assert!(text.starts_with("event: response.created\n"), "{text}");
        assert!(
            text.trim_end().rsplit("event: ").next().unwrap().starts_with("response.completed\n"),
            "{text}"
        );
    }
}

#[tokio::test]
async fn an_error_reaches_a_responses_client_in_its_envelope() {
    let gateway = Gateway::start(MODELS, "").await;
    let body = json!({"model": "claude", "input": "x", "previous_response_id": "resp_1"});
    let (status, text) = post(&gateway, "/v1/responses", &body).await;
    let error: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((status, &error["error"]["param"]), (400, &json!("previous_response_id")), "{text}");
}

#[tokio::test]
async fn tokens_are_counted_by_the_provider_or_else_here() {
    let gateway = Gateway::start(MODELS, "").await;
    let prompt = "The line is clear. ".repeat(50);
    for (model, asked) in [("claude", true), ("plain", false), ("claude-away", true)] {
        let before = gateway.mock.requests().len();
        let body = json!({"model": model, "messages": [{"role": "user", "content": prompt}]});
        let (status, text) = post(&gateway, "/v1/messages/count_tokens", &body).await;
        let counted: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(status, 200, "{text}");
        assert!((150..400).contains(&counted["input_tokens"].as_u64().unwrap()), "{model}: {text}");
        assert_eq!(gateway.mock.requests().len() > before, asked, "{model}");
    }
}

#[tokio::test]
async fn a_gemini_client_reaches_chat_and_messages_providers() {
    let gateway = Gateway::start(MODELS, "").await;
    let body = json!({"contents": [{"role": "user", "parts": [{"text": "one two three"}]}]});
    for model in ["plain", "claude"] {
        let (status, text) = post(&gateway, &format!("/v1beta/models/{model}:generateContent"), &body).await;
        let answer: Value = serde_json::from_str(&text).unwrap();
        assert_eq!((status, &answer["candidates"][0]["finishReason"]), (200, &json!("STOP")), "{text}");
        let said = answer["candidates"][0]["content"]["parts"][0]["text"].as_str();
        assert!(said.is_some_and(|said| !said.is_empty()), "{text}");

        let path = format!("/v1/models/{model}:streamGenerateContent?alt=sse");
        let (status, text) = post(&gateway, &path, &body).await;
        let last = text.trim_end().rsplit("data: ").next().unwrap();
        let last: Value = serde_json::from_str(last).unwrap();
        assert_eq!((status, &last["candidates"][0]["finishReason"]), (200, &json!("STOP")), "{text}");
        assert!(last["usageMetadata"]["totalTokenCount"].as_u64().is_some_and(|count| count > 0), "{text}");

        let (status, text) = post(&gateway, &format!("/v1beta/models/{model}:countTokens"), &body).await;
        let counted: Value = serde_json::from_str(&text).unwrap();
        assert!(status == 200 && counted["totalTokens"].as_u64().is_some_and(|count| count > 2), "{text}");
    }
    let (status, text) = post(&gateway, "/v1beta/models/nobody:generateContent", &body).await;
    let error: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((status, &error["error"]["status"]), (404, &json!("NOT_FOUND")), "{text}");
}

#[tokio::test]
async fn usage_is_asked_for_and_kept_from_a_client_that_did_not() {
    let gateway = Gateway::start(MODELS, "").await;
    let (status, text) = post(&gateway, "/v1/chat/completions", &chat("plain", true)).await;
    assert_eq!(status, 200);
    assert!(text.ends_with("data: [DONE]\n\n") && !text.contains("\"usage\":{"), "{text}");
    let is_count = |line: &&str| line.contains("model=\"plain\"") && line.contains("type=\"completion\"");
    // The record of a request is written just after its last byte.
    for _ in 0..200 {
        let metrics = gateway.metrics().await;
        if metrics.lines().find(is_count).is_some_and(|line| !line.ends_with(" 0")) {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("no completion tokens were counted");
}
