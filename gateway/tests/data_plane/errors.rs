//! Each error in the client's own envelope, with the connection kept.

use serde_json::Value;

use crate::gateway::{Gateway, KEY, chat};

const MODELS: &str = "
  locked: {deployments: [{provider: mock, model: plain}]}
";

async fn fault(answer: reqwest::Response) -> (u16, String, String) {
    let status = answer.status().as_u16();
    let body: Value = answer.json().await.unwrap();
    let text = |field: &str| body["error"][field].as_str().unwrap_or_default().to_owned();
    (status, text("code"), text("message"))
}

#[tokio::test]
async fn each_mistake_has_its_status_and_code_and_says_what_to_do() {
    let gateway = Gateway::start(MODELS, "limits: {body: 1KiB}").await;
    let post = |key: &'static str, body: String| {
        gateway.client.post(gateway.url("/v1/chat/completions")).bearer_auth(key).body(body).send()
    };
    let (status, code, _) = fault(post("sk-wrong", chat("plain", false).to_string()).await.unwrap()).await;
    assert_eq!((status, code.as_str()), (401, "invalid_api_key"));
    let (status, code, message) =
        fault(post("sk-narrow-key", chat("locked", false).to_string()).await.unwrap()).await;
    assert_eq!((status, code.as_str()), (403, "model_not_allowed"), "{message}");
    let (status, code, message) = fault(gateway.chat("nope").await).await;
    assert_eq!((status, code.as_str()), (404, "model_not_found"));
    assert!(message.contains("locked, plain"), "{message}");
    let (status, _, message) = fault(gateway.post("/v1/chat/completions", "{\"model\": }").await).await;
    assert_eq!(status, 400);
    assert!(message.contains("line 1 column 11"), "{message}");
    let (status, code, message) = fault(gateway.post("/v1/chat/completions", "x".repeat(2_000)).await).await;
    assert_eq!((status, code.as_str()), (413, "request_too_large"), "{message}");
    let (status, code, _) = fault(gateway.post("/v1/nothing", "{}").await).await;
    assert_eq!((status, code.as_str()), (404, "unknown_url"));
}

#[tokio::test]
async fn an_anthropic_client_gets_anthropics_envelope() {
    let gateway = Gateway::start(MODELS, "").await;
    let answer = gateway
        .client
        .post(gateway.url("/v1/messages"))
        .header("x-api-key", "sk-wrong")
        .body(chat("plain", false).to_string())
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 401);
    let body: Value = answer.json().await.unwrap();
    assert_eq!(body["type"], "error");
    assert_eq!(body["error"]["type"], "authentication_error");
    assert!(body["request_id"].as_str().unwrap().starts_with("req_"));
}

#[tokio::test]
async fn an_expected_error_keeps_the_connection() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let gateway = Gateway::start(MODELS, "").await;
    let mut socket = tokio::net::TcpStream::connect(gateway.address).await.unwrap();
    for (model, status) in [("nope", "404"), ("plain", "200")] {
        let body = chat(model, false).to_string();
        let request = format!(
            "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\napi-key: {KEY}\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        socket.write_all(request.as_bytes()).await.unwrap();
        let mut answer = vec![0; 16 << 10];
        let length = socket.read(&mut answer).await.unwrap();
        let answer = String::from_utf8_lossy(&answer[..length]).into_owned();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{answer}");
        assert!(answer.contains("keep-alive"), "{answer}");
    }
}

#[tokio::test]
async fn two_lengths_for_one_body_are_refused_and_the_connection_is_closed() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let gateway = Gateway::start(MODELS, "").await;
    let mut socket = tokio::net::TcpStream::connect(gateway.address).await.unwrap();
    let request = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\napi-key: {KEY}\r\nContent-Length: 4\r\n\
         Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    );
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    assert_eq!(gateway.mock.requests().len(), 0);
}

#[tokio::test]
async fn the_request_above_a_keys_limit_is_refused_with_retry_after() {
    let gateway = Gateway::start(MODELS, "").await;
    let ask = || {
        let body = chat("plain", false).to_string();
        gateway
            .client
            .post(gateway.url("/v1/chat/completions"))
            .header("x-goog-api-key", "sk-limited-key")
            .body(body)
    };
    for left in ["1", "0"] {
        let answer = ask().send().await.unwrap();
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()["x-ratelimit-remaining-requests"], left);
    }
    let answer = ask().send().await.unwrap();
    let wait: u64 = answer.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=60).contains(&wait), "{wait}");
    assert_eq!(fault(answer).await.0, 429);
}

#[tokio::test]
async fn the_raw_pass_through_swaps_the_key_and_needs_permission() {
    let gateway = Gateway::start(MODELS, "").await;
    let get = |key: &'static str| gateway.client.get(gateway.url("/mock/v1/models")).bearer_auth(key).send();
    assert_eq!(get(KEY).await.unwrap().status(), 200);
    let request = gateway.mock.requests().pop().unwrap();
    assert_eq!(
        (request.path.as_str(), request.header("authorization")),
        ("/v1/models", Some("Bearer upstream-credential-1"))
    );
    assert_eq!(get("sk-narrow-key").await.unwrap().status(), 403);
    assert_eq!(get("sk-wrong").await.unwrap().status(), 401);
}
