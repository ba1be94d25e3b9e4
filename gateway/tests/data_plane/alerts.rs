//! What operators are told, by a webhook.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::gateway::Gateway;

/// A receiver that refuses the first delivery and keeps the others.
async fn receiver() -> (String, Arc<Mutex<Vec<Value>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook/very-secret-path", listener.local_addr().unwrap());
    let kept = Arc::new(Mutex::new(Vec::new()));
    let received = kept.clone();
    tokio::spawn(async move {
        for delivery in 0.. {
            let (mut socket, _) = listener.accept().await.unwrap();
            let mut text = Vec::new();
            let body = loop {
                socket.read_buf(&mut text).await.unwrap();
                let end = text.windows(4).position(|window| window == b"\r\n\r\n");
                if let Some(end) = end
                    && let Ok(body) = serde_json::from_slice::<Value>(&text[end + 4..])
                {
                    break body;
                }
            };
            let status = if delivery == 0 { "503 Busy" } else { "200 OK" };
            let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            socket.write_all(answer.as_bytes()).await.unwrap();
            if delivery > 0 {
                received.lock().unwrap().push(body);
            }
        }
    });
    (url, kept)
}

async fn until(kept: &Mutex<Vec<Value>>, what: impl Fn(&Value) -> bool) -> Value {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        if let Some(found) = kept.lock().unwrap().iter().find(|alert| what(alert)) {
            return found.clone();
        }
        assert!(Instant::now() < deadline, "never told; told were {:?}", kept.lock().unwrap());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_refused_credential_and_a_deployment_out_and_back_are_told() {
    let (url, kept) = receiver().await;
    let models = "
  refused: {deployments: [{provider: mock, model: 'x;status=401'}]}
  flaps: {deployments: [{provider: mock, model: 'y;status=500;first=3'}], retries: {attempts: 1}, cooldown: {failures: 3, open: 2s}}
";
    let extra = format!("alerts: {{webhooks: [{{url: '{url}'}}]}}");
    let gateway = Gateway::start(models, &extra).await;
    gateway.chat("refused").await;
    let told = until(&kept, |alert| alert["kind"] == "credential_refused").await;
    assert_eq!(told["subject"], "mock/x;status=401");
    assert!(told["at"].is_string() && !told.to_string().contains("upstream-credential"), "{told}");

    for _ in 0..3 {
        assert_eq!(gateway.chat("flaps").await.status(), 502);
    }
    let out = until(&kept, |alert| {
        alert["kind"] == "deployment_out" && alert["subject"] == "mock/y;status=500;first=3"
    });
    assert!(out.await["message"].as_str().unwrap().contains("gets no requests"));
    let deadline = Instant::now() + Duration::from_secs(20);
    while gateway.chat("flaps").await.status() != 200 {
        assert!(Instant::now() < deadline, "never back");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    until(&kept, |alert| alert["kind"] == "deployment_back").await;
    let metrics = gateway.metrics().await;
    assert!(metrics.contains("signalbox_alerts_total{kind=\"credential_refused\"} 1"), "{metrics}");
    assert!(metrics.contains("signalbox_alert_deliveries_total{outcome=\"sent\"}"), "{metrics}");
}

#[tokio::test]
async fn only_the_kinds_asked_for_are_told_and_in_the_form_asked_for() {
    let (url, kept) = receiver().await;
    let extra = format!("alerts: {{webhooks: [{{url: '{url}', format: slack, kinds: [config_refused]}}]}}");
    let gateway =
        Gateway::start("  refused: {deployments: [{provider: mock, model: 'x;status=401'}]}", &extra).await;
    gateway.chat("refused").await;
    std::fs::write(gateway.folder.join("signalbox.yaml"), "listen: nowhere").unwrap();
    let told = until(&kept, |alert| alert["text"].is_string()).await;
    assert!(told["text"].as_str().unwrap().contains("signalbox check"), "{told}");
    assert_eq!(kept.lock().unwrap().len(), 1);
}
