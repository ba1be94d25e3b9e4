//! Bodies of every size and framing arrive as they were sent.

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::gateway::{Gateway, KEY};

const MODELS: &str = "
  other-format:
    deployments: [{provider: mock, model: broken;status=500}]
    retries: {attempts: 1}
    fallbacks: [claude]
  claude: {deployments: [{provider: claude, model: claude}]}
";
const SIZES: [usize; 4] = [1 << 10, 66 << 10, 2 << 20, 16 << 20];

fn body(model: &str, size: usize) -> String {
    json!({"model": model, "messages": [{"role": "user", "content": "x".repeat(size)}], "seed": 9_007_199_254_740_993_u64})
        .to_string()
}

/// What the last request at the mock carried: length and hash.
fn arrived(gateway: &Gateway) -> (usize, String) {
    let request = gateway.mock.requests().pop().unwrap();
    (request.body_len, request.body_sha256)
}

fn sent(body: &str) -> (usize, String) {
    use sha2::Digest;
    let hash = sha2::Sha256::digest(body.as_bytes());
    (body.len(), hash.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[tokio::test]
async fn every_size_arrives_byte_for_byte_with_a_length_chunked_and_over_h2c() {
    let gateway = Gateway::start(MODELS, "").await;
    let h2c = reqwest::Client::builder().http2_prior_knowledge().build().unwrap();
    for size in SIZES {
        let body = body("plain", size);
        let answer = gateway.post("/v1/chat/completions", body.clone()).await;
        assert_eq!((answer.status().as_u16(), arrived(&gateway)), (200, sent(&body)), "length {size}");

        let pieces: Vec<Result<Vec<u8>, std::io::Error>> =
            body.as_bytes().chunks(30_000).map(|piece| Ok(piece.to_vec())).collect();
        let chunked = reqwest::Body::wrap_stream(futures_util::stream::iter(pieces));
        let answer = gateway.post("/v1/chat/completions", chunked).await;
        assert_eq!((answer.status().as_u16(), arrived(&gateway)), (200, sent(&body)), "chunked {size}");

        let url = gateway.url("/v1/chat/completions");
        let answer = h2c.post(url).bearer_auth(KEY).body(body.clone()).send().await.unwrap();
        assert_eq!((answer.status().as_u16(), arrived(&gateway)), (200, sent(&body)), "h2c {size}");
        assert_eq!(answer.version(), reqwest::Version::HTTP_2);
    }
}

#[tokio::test]
async fn every_size_arrives_after_expect_100_continue() {
    let gateway = Gateway::start(MODELS, "").await;
    for size in SIZES {
        let body = body("plain", size);
        let mut socket = tokio::net::TcpStream::connect(gateway.address).await.unwrap();
        let head = format!(
            "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\nConnection: close\r\n\
             Expect: 100-continue\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        socket.write_all(head.as_bytes()).await.unwrap();
        let mut go_on = [0; 12];
        socket.read_exact(&mut go_on).await.unwrap();
        assert_eq!(&go_on, b"HTTP/1.1 100");
        socket.write_all(body.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        socket.read_to_end(&mut answer).await.unwrap();
        assert!(String::from_utf8_lossy(&answer).contains("HTTP/1.1 200 OK"));
        assert_eq!(arrived(&gateway), sent(&body), "{size}");
    }
}

#[tokio::test]
async fn every_size_arrives_at_the_second_attempt_with_only_the_model_changed() {
    // The mock counts by model: each size needs one that has not failed yet.
    let model = |size: usize| format!("second-{size};status=500;first=1");
    let models: String = SIZES
        .iter()
        .map(|size| {
            let model = model(*size);
            format!("  second-{size}: {{deployments: [{{provider: mock, model: {model}}}], retries: {{backoff: {{initial: 1ms}}}}}}\n")
        })
        .collect();
    let gateway = Gateway::start(&models, "").await;
    for size in SIZES {
        let answer = gateway.post("/v1/chat/completions", body(&format!("second-{size}"), size)).await;
        assert_eq!(answer.headers()["x-signalbox-attempts"], "2", "{size}");
        assert_eq!(arrived(&gateway), sent(&body(&model(size), size)), "{size}");
    }
}

#[tokio::test]
async fn every_size_arrives_at_a_fallback_of_the_other_wire_format() {
    let gateway = Gateway::start(MODELS, "").await;
    for size in SIZES {
        let text = body("other-format", size).replace(",\"seed\":9007199254740993", "");
        let answer = gateway.post("/v1/chat/completions", text).await;
        assert_eq!(answer.headers()["x-signalbox-deployment"], "claude/claude", "{size}");
        let content = format!(r#"[{{"type":"text","text":"{}"}}]"#, "x".repeat(size));
        let translated = format!(
            r#"{{"model":"claude","max_tokens":4096,"messages":[{{"role":"user","content":{content}}}]}}"#
        );
        assert_eq!(arrived(&gateway), sent(&translated), "{size}");
        assert_eq!(gateway.mock.requests().pop().unwrap().path, "/v1/messages");
    }
}

#[tokio::test]
async fn the_client_key_stays_here_and_the_credential_goes_upstream() {
    let gateway = Gateway::start(MODELS, "").await;
    gateway.chat("plain").await;
    let request = gateway.mock.requests().pop().unwrap();
    assert_eq!(request.header("authorization"), Some("Bearer upstream-credential-1"));
    assert!(!format!("{:?}", request.headers).contains(KEY));
}
