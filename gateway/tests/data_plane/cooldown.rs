//! Out of the rotation and back.

use std::time::{Duration, Instant};

use futures_util::future::join_all;

use crate::gateway::{Gateway, chat};

/// How many requests the mock has seen for this upstream model.
fn seen(gateway: &Gateway, model: &str) -> usize {
    let wanted = format!("\"{model}\"");
    let requests = gateway.mock.requests();
    requests.iter().filter(|request| String::from_utf8_lossy(&request.body).contains(&wanted)).count()
}

/// Sends requests until the deployment answers one.
async fn until_answered_by(gateway: &Gateway, deployment: &str) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while gateway.chat("m").await.headers()["x-signalbox-deployment"] != deployment {
        assert!(Instant::now() < deadline, "{deployment} never answers");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn models(primary: &str, open: &str) -> String {
    format!(
        "
  m:
    deployments: [{{provider: mock, model: {primary}, weight: 1000}}, {{provider: claude, model: spare}}]
    retries: {{attempts: 1}}
    cooldown: {{failures: 1, open: {open}}}
"
    )
}

#[tokio::test]
async fn a_flapping_primary_is_back_within_its_cooldown() {
    let primary = "p;status=500;first=1;id=flapping";
    let gateway = Gateway::start(&models(primary, "300ms"), "").await;
    let failed = Instant::now();
    assert_eq!(gateway.chat("m").await.headers()["x-signalbox-deployment"], "claude/spare");
    until_answered_by(&gateway, &format!("mock/{primary}")).await;
    let out = failed.elapsed();
    assert!((200..2_000).contains(&out.as_millis()), "{out:?}");
    assert_eq!(seen(&gateway, primary), 2, "one failure, one probe");
}

#[tokio::test]
async fn a_half_open_deployment_gets_one_request_at_a_time() {
    let primary = "p;fault=hang";
    let models = models(primary, "50ms").replace("retries:", "timeouts: {answer: 400ms}\n    retries:");
    let gateway = Gateway::start(&models, "").await;
    gateway.chat("m").await;
    gateway.until_state(&format!("mock/{primary}"), "half_open").await;
    let answers = join_all((0..20).map(|_| gateway.chat("m"))).await;
    assert!(answers.iter().all(|answer| answer.status() == 200));
    assert_eq!(seen(&gateway, primary), 2, "the failure and one probe");
}

#[tokio::test]
async fn each_failed_probe_doubles_the_wait() {
    let primary = "p;status=500";
    let gateway = Gateway::start(&models(primary, "100ms"), "").await;
    let started = Instant::now();
    while started.elapsed() < Duration::from_millis(1_300) {
        assert_eq!(gateway.chat("m").await.status(), 200);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // At 0, 100, 300, 700 ms, give or take a fifth; without growth it would be a dozen.
    assert!((3..=5).contains(&seen(&gateway, primary)), "{}", seen(&gateway, primary));
}

#[tokio::test]
async fn a_client_that_leaves_its_probe_does_not_block_the_next() {
    let primary = "p;fault=hang;first=2;id=left";
    let models = models(primary, "50ms").replace("retries:", "timeouts: {answer: 1s}\n    retries:");
    let gateway = Gateway::start(&models, "").await;
    gateway.chat("m").await;
    gateway.until_state(&format!("mock/{primary}"), "half_open").await;
    let request = gateway.client.post(gateway.url("/v1/chat/completions")).bearer_auth(crate::gateway::KEY);
    let request = request.timeout(Duration::from_millis(100)).body(chat("m", false).to_string());
    assert!(request.send().await.is_err());
    let left = Instant::now();
    until_answered_by(&gateway, &format!("mock/{primary}")).await;
    assert!(left.elapsed() < Duration::from_millis(800), "the probe's time-out was waited for");
}

#[tokio::test]
async fn a_refused_credential_takes_the_deployment_out_at_once_and_is_an_alert() {
    let primary = "p;status=401";
    let models = models(primary, "50ms").replace("failures: 1", "failures: 0");
    let gateway = Gateway::start(&models, "").await;
    for _ in 0..5 {
        assert_eq!(gateway.chat("m").await.status(), 200);
    }
    assert_eq!(seen(&gateway, primary), 1);
    let metrics = gateway.metrics().await;
    assert!(metrics.contains("signalbox_alerts_total{kind=\"credential_refused\"} 1"), "{metrics}");
}
