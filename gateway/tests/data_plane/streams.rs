//! Streams: whole, in pieces, broken off, abandoned.

use std::time::{Duration, Instant};

use crate::gateway::{Gateway, chat, eventually};

const MODELS: &str = "
  paced: {deployments: [{provider: mock, model: m;gap=20ms;chunks=20}]}
  endless: {deployments: [{provider: mock, model: m;gap=20ms;chunks=100000}]}
  cut: {deployments: [{provider: mock, model: m;fault=close;after=3}], timeouts: {idle: 300ms}}
  stalled: {deployments: [{provider: mock, model: m;fault=hang;after=3}], timeouts: {idle: 300ms}}
  late-error: {deployments: [{provider: mock, model: m;fault=error_event;after=0}], retries: {attempts: 1}, fallbacks: [claude]}
  claude: {deployments: [{provider: claude, model: claude}]}
";

#[tokio::test]
async fn chunks_arrive_one_by_one_as_the_provider_sends_them() {
    let gateway = Gateway::start(MODELS, "").await;
    let mut answer = gateway.post("/v1/chat/completions", chat("paced", true).to_string()).await;
    let (mut reads, mut text, started) = (0, Vec::new(), Instant::now());
    while let Some(piece) = answer.chunk().await.unwrap() {
        reads += 1;
        text.extend_from_slice(&piece);
    }
    assert!(started.elapsed() >= Duration::from_millis(380), "held back and sent at once");
    assert!(reads >= 20, "{reads} reads");
    assert!(text.ends_with(b"data: [DONE]\n\n"));
}

#[tokio::test]
async fn a_client_that_leaves_ends_the_upstream_call_and_is_accounted() {
    let gateway = Gateway::start(MODELS, "").await;
    let mut answer = gateway.post("/v1/chat/completions", chat("endless", true).to_string()).await;
    answer.chunk().await.unwrap();
    drop(answer);
    eventually("the upstream call ended", || {
        gateway.mock.requests().iter().any(|request| request.aborted_after_events.is_some())
    })
    .await;
    let metrics = gateway.metrics().await;
    assert!(
        metrics.contains("signalbox_requests_total{model=\"endless\",outcome=\"client_gone\"} 1"),
        "{metrics}"
    );
}

#[tokio::test]
async fn a_stream_that_breaks_ends_with_an_error_and_never_with_done() {
    let gateway = Gateway::start(MODELS, "").await;
    for model in ["cut", "stalled"] {
        let answer = gateway.post("/v1/chat/completions", chat(model, true).to_string()).await;
        let text = answer.text().await.unwrap();
        assert!(text.contains("\"error\""), "{model}: {text}");
        assert!(!text.contains("[DONE]"), "{model}: {text}");
    }
}

#[tokio::test]
async fn an_error_before_the_first_token_falls_back_unnoticed() {
    let gateway = Gateway::start(MODELS, "").await;
    let answer = gateway.post("/v1/chat/completions", chat("late-error", true).to_string()).await;
    assert_eq!(answer.headers()["x-signalbox-deployment"], "claude/claude");
    assert!(answer.text().await.unwrap().ends_with("data: [DONE]\n\n"));
}
