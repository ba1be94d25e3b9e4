//! Checks beside the requests, and what operators see of deployments.

use std::net::SocketAddr;

use mock_upstream::{Mock, Options};

use crate::gateway::{Gateway, chat, free_address};

async fn mock_at(address: SocketAddr) -> Mock {
    Mock::start(address, Options { record: 256, ..Options::default() }).await.unwrap()
}

fn providers(address: SocketAddr, health: &str) -> String {
    format!(
        "  checked: {{kind: openai, base_url: 'http://{address}/v1', api_key: upstream-credential-4, health: {{{health}, every: 50ms, failures: 2, timeout: 1s}}}}"
    )
}

const MODEL: &str = "
  m: {deployments: [{provider: checked, model: x, weight: 1000}, {provider: mock, model: spare}]}
";

#[tokio::test]
async fn a_provider_that_is_down_gets_no_traffic_and_is_back_without_any() {
    for health in ["check: tcp", "check: http, path: /health", "check: completion"] {
        let address = free_address();
        let gateway = Gateway::start_with_providers(&providers(address, health), MODEL, "").await;
        gateway.until_state("checked/x", "open").await;
        let answer = gateway.chat("m").await;
        assert_eq!(answer.headers()["x-signalbox-deployment"], "mock/spare", "{health}");
        assert_eq!(answer.headers()["x-signalbox-attempts"], "1", "{health}: the dead one was not tried");
        let metrics = gateway.metrics().await;
        assert!(metrics.contains("signalbox_deployment_state{deployment=\"checked/x\"} 2"), "{health}");
        let mock = mock_at(address).await;
        gateway.until_state("checked/x", "closed").await;
        assert!(mock.requests().iter().all(|request| !request.body.ends_with(b"four\"}]}")), "{health}");
        assert_eq!(gateway.chat("m").await.headers()["x-signalbox-deployment"], "checked/x", "{health}");
    }
}

#[tokio::test]
async fn a_path_that_answers_with_an_error_is_a_failed_check() {
    let address = free_address();
    let _mock = mock_at(address).await;
    let providers = providers(address, "check: http, path: /nothing-here");
    let gateway = Gateway::start_with_providers(&providers, MODEL, "").await;
    gateway.until_state("checked/x", "open").await;
}

#[tokio::test]
async fn a_sound_address_does_not_excuse_a_model_that_fails() {
    let address = free_address();
    let _mock = mock_at(address).await;
    let models = "
  m:
    deployments: [{provider: checked, model: x;status=500, weight: 1000}, {provider: mock, model: spare}]
    cooldown: {failures: 1, open: 60s}
    retries: {attempts: 1}
";
    let gateway = Gateway::start_with_providers(&providers(address, "check: tcp"), models, "").await;
    gateway.chat("m").await;
    for _ in 0..20 {
        assert_eq!(gateway.deployment("checked/x;status=500").await["state"], "open");
        gateway.chat("m").await;
    }
}

#[tokio::test]
async fn deployments_are_listed_without_their_credentials() {
    let models = "  m: {deployments: [{provider: claude, model: x, weight: 3}]}";
    let gateway = Gateway::start(models, "").await;
    gateway.post("/v1/chat/completions", chat("m", true).to_string()).await.text().await.unwrap();
    // The last byte is there a moment before the place is free.
    gateway.until_metric("signalbox_requests_in_flight 0").await;
    let row = gateway.deployment("claude/x").await;
    assert_eq!((row["provider"].as_str(), row["model"].as_str()), (Some("claude"), Some("m")));
    assert_eq!((row["weight"].as_u64(), row["state"].as_str()), (Some(3), Some("closed")));
    assert_eq!(row["in_flight"].as_u64(), Some(0));
    assert!(row["ttft_ms"].as_f64().unwrap() > 0.0, "{row}");
    assert_eq!(row["remaining_requests"].as_u64(), Some(9_999));
    let url = format!("http://{}/api/v1/deployments", gateway.admin);
    let text = gateway.client.get(url).send().await.unwrap().text().await.unwrap();
    assert!(text.contains("\"credential\":\"claude\"") && !text.contains("upstream-credential"), "{text}");
}

#[tokio::test]
async fn the_admin_api_asks_for_its_token() {
    let gateway = Gateway::start("", "").await;
    let text = std::fs::read_to_string(gateway.folder.join("signalbox.yaml")).unwrap();
    let text = text.replacen("admin: {", "admin: {token: admin-token-1, ", 1);
    std::fs::write(gateway.folder.join("signalbox.yaml"), text).unwrap();
    gateway.reloaded(1).await;
    let url = format!("http://{}/api/v1/deployments", gateway.admin);
    let status = async |token: Option<&str>| {
        let request = gateway.client.get(&url);
        let request = token.into_iter().fold(request, |request, token| request.bearer_auth(token));
        request.send().await.unwrap().status().as_u16()
    };
    assert_eq!(status(None).await, 401);
    assert_eq!(status(Some("admin-token-2")).await, 401);
    assert_eq!(status(Some("admin-token-1")).await, 200);
    assert!(gateway.metrics().await.contains("signalbox_"), "metrics stay open to scrapers");
}
