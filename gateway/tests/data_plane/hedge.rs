//! A second attempt for requests whose first one is slow.

use std::time::{Duration, Instant};

use futures_util::StreamExt;

use crate::gateway::{Gateway, chat};

const MODELS: &str = "
  tail: {deployments: [{provider: mock, model: 'm;ttft=2s;every=50'}], hedge: {share: 0.04}}
  pair: {deployments: [{provider: mock, model: 'x;ttft=2s;every=50', weight: 1000}, {provider: claude, model: spare}], hedge: {share: 0.04}}
";

/// How many requests of `total` took longer than a second.
async fn slow(gateway: &Gateway, model: &str, stream: bool, total: usize) -> usize {
    let ask = |_| async {
        let began = Instant::now();
        let answer = gateway.post("/v1/chat/completions", chat(model, stream).to_string()).await;
        assert_eq!(answer.status(), 200);
        let text = answer.text().await.unwrap();
        assert!(!stream || text.ends_with("data: [DONE]\n\n"), "{text}");
        usize::from(began.elapsed() > Duration::from_secs(1))
    };
    futures_util::stream::iter(0..total)
        .map(ask)
        .buffer_unordered(8)
        .fold(0, |sum, slow| async move { sum + slow })
        .await
}

fn hedges(metrics: &str, outcome: &str) -> u64 {
    let wanted = format!("signalbox_hedges_total{{outcome=\"{outcome}\"}} ");
    metrics.lines().find_map(|line| line.strip_prefix(&wanted)).map_or(0, |count| count.parse().unwrap())
}

#[tokio::test]
async fn a_slow_tail_is_cut_within_the_share() {
    for stream in [true, false] {
        let gateway = Gateway::start(MODELS, "").await;
        // Nothing is known of the deployment yet: two of these are slow.
        assert_eq!(slow(&gateway, "tail", stream, 100).await, 2);
        let still_slow = slow(&gateway, "tail", stream, 500).await;
        let extra = gateway.mock.stats().requests - 600;
        assert!(still_slow <= 7, "{still_slow} of some 10 are still slow");
        let metrics = gateway.metrics().await;
        let hedged = hedges(&metrics, "won") + hedges(&metrics, "lost");
        assert!(hedged <= 24, "{hedged} second attempts for 600 requests are more than their share");
        // One that lost at once may not have reached the provider.
        assert!((3..=hedged).contains(&extra), "{extra} extra calls, {hedged} second attempts");
        assert!(hedges(&metrics, "won") >= 3, "{metrics}");
        gateway.until_metric("signalbox_requests_in_flight 0").await;
    }
}

#[tokio::test]
async fn the_second_attempt_goes_to_another_deployment() {
    let gateway = Gateway::start(MODELS, "").await;
    slow(&gateway, "pair", true, 400).await;
    let spare = gateway.mock.requests().iter().filter(|request| request.path.ends_with("/messages")).count();
    assert!(spare >= 2, "{spare} of some 6 hedges went to the other deployment");
}

#[tokio::test]
async fn nothing_is_hedged_without_being_asked_for() {
    let gateway =
        Gateway::start("  tail: {deployments: [{provider: mock, model: 'm;ttft=300ms;every=50'}]}", "").await;
    slow(&gateway, "tail", true, 300).await;
    assert_eq!(gateway.mock.stats().requests, 300);
}
