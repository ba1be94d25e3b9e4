//! More to do than can be done: who waits, who is refused, and that nothing is left behind.

use std::time::{Duration, Instant};

use crate::gateway::{Gateway, KEY, chat, eventually};

const KEYS: &str = "
  - {name: urgent, key: sk-urgent-key, priority: high}
  - {name: batch, key: sk-batch-key, priority: low}
";

/// One place, an answer that takes `ttft`, and a queue.
fn one_at_a_time(ttft: &str, queue: &str) -> String {
    format!(
        "
  busy:
    deployments: [{{provider: mock, model: m;ttft={ttft}}}]
    max_in_flight: 1
    queue: {queue}
"
    )
}

fn ask(
    gateway: &Gateway,
    key: &str,
    model: &str,
) -> impl Future<Output = reqwest::Result<reqwest::Response>> + use<> {
    let url = gateway.url("/v1/chat/completions");
    gateway.client.post(url).bearer_auth(key).body(chat(model, false).to_string()).send()
}

/// A metric's value, the sum over its labels that contain `label`.
async fn metric(gateway: &Gateway, name: &str, label: &str) -> f64 {
    let text = gateway.metrics().await;
    let lines = text.lines().filter(|line| line.starts_with(name) && line.contains(label));
    lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}

#[tokio::test]
async fn beyond_the_limit_requests_wait_then_are_shed_within_50_ms() {
    let gateway = Gateway::start(&one_at_a_time("400ms", "{length: 2, wait: 30ms}"), KEYS).await;
    let first = tokio::spawn(ask(&gateway, KEY, "busy"));
    eventually("the first is on its way", || !gateway.mock.requests().is_empty()).await;
    let mut tasks = Vec::new();
    for _ in 0..10 {
        let asked = ask(&gateway, KEY, "busy");
        tasks.push(tokio::spawn(async move {
            let began = Instant::now();
            (asked.await.unwrap(), began.elapsed())
        }));
    }
    for task in tasks {
        let (answer, took) = task.await.unwrap();
        assert_eq!(answer.status(), 503);
        assert_eq!(answer.headers()["retry-after"], "1");
        assert!(answer.text().await.unwrap().contains("\"code\":\"overloaded\""));
        assert!(took < Duration::from_millis(100), "{took:?}, of which the client has its share");
    }
    assert_eq!(first.await.unwrap().unwrap().status(), 200);
    assert!(metric(&gateway, "signalbox_shed_total", "queue_full").await >= 8.0);
    assert!(metric(&gateway, "signalbox_shed_total", "queue_wait").await >= 1.0);
    assert!(metric(&gateway, "signalbox_in_flight_limit", "busy").await >= 1.0);
}

#[tokio::test]
async fn a_request_in_the_queue_is_served_when_a_place_is_free() {
    let gateway = Gateway::start(&one_at_a_time("50ms", "{length: 2, wait: 5s}"), KEYS).await;
    let all: Vec<_> = (0..3).map(|_| tokio::spawn(ask(&gateway, KEY, "busy"))).collect();
    for one in all {
        assert_eq!(one.await.unwrap().unwrap().status(), 200);
    }
}

#[tokio::test]
async fn high_priority_goes_first() {
    let gateway = Gateway::start(&one_at_a_time("200ms", "{length: 10, wait: 20s}"), KEYS).await;
    let first = tokio::spawn(ask(&gateway, KEY, "busy"));
    eventually("the first is on its way", || gateway.mock.requests().len() == 1).await;
    let mut order = Vec::new();
    let mut waiting = futures_util::stream::FuturesUnordered::new();
    for (place, key) in ["sk-batch-key", KEY, "sk-urgent-key"].into_iter().enumerate() {
        let asked = tokio::spawn(ask(&gateway, key, "busy"));
        waiting.push(async move { (key, asked.await.unwrap().unwrap().status()) });
        wait_for_depth(&gateway, place + 1).await;
    }
    while let Some((key, status)) = futures_util::StreamExt::next(&mut waiting).await {
        assert_eq!(status, 200);
        order.push(key);
    }
    assert_eq!(order, ["sk-urgent-key", KEY, "sk-batch-key"]);
    assert_eq!(first.await.unwrap().unwrap().status(), 200);
}

#[expect(clippy::cast_precision_loss, reason = "a handful")]
async fn wait_for_depth(gateway: &Gateway, depth: usize) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while metric(gateway, "signalbox_queue_depth", "busy").await < depth as f64 {
        assert!(Instant::now() < deadline, "nobody lined up");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test]
async fn a_permit_is_returned_when_the_client_leaves() {
    let gateway = Gateway::start(&one_at_a_time("60s", "{length: 5, wait: 60s}"), KEYS).await;
    let runs = tokio::spawn(ask(&gateway, KEY, "busy"));
    eventually("the first is on its way", || gateway.mock.requests().len() == 1).await;
    let waits = tokio::spawn(ask(&gateway, KEY, "busy"));
    wait_for_depth(&gateway, 1).await;
    // Who waits leaves the queue; who runs makes room for the next.
    waits.abort();
    let deadline = Instant::now() + Duration::from_secs(30);
    while metric(&gateway, "signalbox_queue_depth", "busy").await > 0.0 {
        assert!(Instant::now() < deadline, "it is still in line");
    }
    let next = tokio::spawn(ask(&gateway, KEY, "busy"));
    wait_for_depth(&gateway, 1).await;
    runs.abort();
    eventually("the next is on its way", || gateway.mock.requests().len() == 2).await;
    next.abort();
}

#[tokio::test]
async fn a_stream_holds_its_place_until_its_end() {
    let models = "
  busy:
    deployments: [{provider: mock, model: m;chunks=5;gap=60ms}]
    max_in_flight: 1
    queue: {length: 0}
";
    let gateway = Gateway::start(models, "").await;
    let body = chat("busy", true).to_string();
    let mut stream = gateway.post("/v1/chat/completions", body).await;
    stream.chunk().await.unwrap();
    assert_eq!(gateway.chat("busy").await.status(), 503);
    while stream.chunk().await.unwrap().is_some() {}
    let deadline = Instant::now() + Duration::from_secs(30);
    while gateway.chat("busy").await.status() != 200 {
        assert!(Instant::now() < deadline, "the place was not returned");
    }
}

#[tokio::test]
async fn a_full_model_or_deployment_leaves_the_request_to_the_next() {
    let models = "
  first:
    deployments: [{provider: mock, model: m;ttft=2s}]
    max_in_flight: 1
    queue: {length: 0}
    fallbacks: [second]
  second:
    deployments:
      - {provider: mock, model: n;ttft=2s, weight: 100, max_in_flight: 1}
      - {provider: claude, model: spare}
";
    let gateway = Gateway::start(models, "").await;
    let slow = [tokio::spawn(ask(&gateway, KEY, "first")), tokio::spawn(ask(&gateway, KEY, "second"))];
    eventually("both are on their way", || gateway.mock.requests().len() == 2).await;
    let answer = gateway.chat("first").await;
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["x-signalbox-deployment"], "claude/spare");
    for one in slow {
        one.abort();
    }
}
