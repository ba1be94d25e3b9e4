//! Providers that fail, and who answers then.

use crate::gateway::Gateway;

fn with_fallback(target: &str) -> String {
    format!(
        "
  primary:
    deployments: [{{{target}}}]
    retries: {{attempts: 2, backoff: {{initial: 1ms}}}}
    timeouts: {{connect: 500ms, first_token: 300ms, answer: 300ms, idle: 300ms}}
    fallbacks: [spare]
  spare: {{deployments: [{{provider: claude, model: spare}}]}}
"
    )
}

#[tokio::test]
async fn falls_back_to_the_other_format_whatever_the_first_deployment_does() {
    for (target, attempts) in [
        ("provider: dead, model: x", "3"),
        ("provider: mock, model: x;status=500", "3"),
        ("provider: mock, model: x;status=500;html=1", "3"),
        ("provider: mock, model: x;status=429;retry_after=60", "2"),
        ("provider: mock, model: x;status=401", "2"),
        ("provider: mock, model: x;status=404", "2"),
        ("provider: mock, model: x;fault=reset", "3"),
        ("provider: mock, model: x;fault=hang", "2"),
        ("provider: mock, model: x;garbage=1", "3"),
        ("provider: mock, model: x;fault=malformed", "3"),
    ] {
        let gateway = Gateway::start(&with_fallback(target), "").await;
        let answer = gateway.chat("primary").await;
        let header = |name: &str| answer.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
        assert_eq!(answer.status(), 200, "{target}");
        assert_eq!(header("x-signalbox-deployment").as_deref(), Some("claude/spare"), "{target}");
        assert_eq!(header("x-signalbox-fallback").as_deref(), Some("true"), "{target}");
        assert_eq!(header("x-signalbox-attempts").as_deref(), Some(attempts), "{target}");
    }
}

#[tokio::test]
async fn a_429_with_a_short_retry_after_is_waited_for_on_the_same_deployment() {
    let gateway =
        Gateway::start(&with_fallback("provider: mock, model: x;status=429;retry_after_ms=50;first=1"), "")
            .await;
    let answer = gateway.chat("primary").await;
    assert_eq!(answer.headers()["x-signalbox-attempts"], "2");
    assert_eq!(answer.headers()["x-signalbox-fallback"], "false");
}

#[tokio::test]
async fn a_providers_400_is_given_on_and_not_repeated() {
    let gateway = Gateway::start(&with_fallback("provider: mock, model: x;status=400"), "").await;
    let answer = gateway.chat("primary").await;
    assert_eq!(answer.status(), 400);
    assert_eq!(gateway.mock.requests().len(), 1);
}

#[tokio::test]
async fn a_providers_401_is_a_502_that_leaks_no_credential() {
    let gateway = Gateway::start("  only: {deployments: [{provider: mock, model: x;status=401}]}", "").await;
    let answer = gateway.chat("only").await;
    assert_eq!(answer.status(), 502);
    assert!(!answer.text().await.unwrap().contains("upstream-credential"));
}

#[tokio::test]
async fn a_deployment_that_failed_three_times_is_left_alone_for_a_while() {
    let models = "
  m:
    deployments: [{provider: dead, model: x, weight: 100}, {provider: mock, model: y}]
    retries: {attempts: 1}
    cooldown: {failures: 3, open: 60s}
";
    let gateway = Gateway::start(models, "").await;
    for _ in 0..20 {
        assert_eq!(gateway.chat("m").await.status(), 200);
    }
    let metrics = gateway.metrics().await;
    let failed = metrics
        .lines()
        .find(|line| {
            line.starts_with("signalbox_attempts_total{deployment=\"dead/x\"") && line.contains("connect")
        })
        .unwrap();
    assert!(failed.ends_with(" 3"), "{failed}");
}

#[tokio::test]
async fn traffic_follows_the_weights() {
    let models =
        "  m: {deployments: [{provider: mock, model: a, weight: 3}, {provider: mock, model: b, weight: 1}]}";
    let gateway = Gateway::start(models, "").await;
    let mut first = 0;
    for _ in 0..40 {
        first += u32::from(gateway.chat("m").await.headers()["x-signalbox-deployment"] == "mock/a");
    }
    assert_eq!(first, 30);
}
