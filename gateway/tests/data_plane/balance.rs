//! Who gets the next request.

use std::collections::HashMap;

use crate::gateway::Gateway;

/// Sends requests one after the other and counts who answered.
async fn shares(gateway: &Gateway, model: &str, requests: usize) -> HashMap<String, usize> {
    let mut shares = HashMap::new();
    for _ in 0..requests {
        let answer = gateway.chat(model).await;
        assert_eq!(answer.status(), 200);
        let deployment = answer.headers()["x-signalbox-deployment"].to_str().unwrap().to_owned();
        *shares.entry(deployment).or_default() += 1;
    }
    shares
}

#[tokio::test]
async fn latency_prefers_the_fast_one_and_takes_the_other_back_when_it_has_recovered() {
    // From its second answer on it is the quicker one, which only being tried again can show.
    let slow = "m;ttft=120ms;first=1;id=latency-slow";
    let fast = "m;ttft=40ms;id=latency-fast";
    let models = format!(
        "  m:
    deployments: [{{provider: mock, model: {slow}}}, {{provider: claude, model: {fast}}}]
    balance: latency
"
    );
    let gateway = Gateway::start(&models, "").await;
    let at_first = shares(&gateway, "m", 12).await;
    assert_eq!(at_first.get(&format!("mock/{slow}")), Some(&1), "{at_first:?}");
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while shares(&gateway, "m", 5).await.get(&format!("mock/{slow}")) != Some(&5) {
        assert!(std::time::Instant::now() < deadline, "it never comes back");
    }
}

#[tokio::test]
async fn cost_goes_to_the_cheapest_and_on_to_the_next_when_that_fails() {
    let models = "
  m:
    deployments:
      - {provider: mock, model: unpriced}
      - {provider: mock, model: dear, price: {input: 3, output: 15}}
      - {provider: mock, model: cheap;status=500;first=2, price: {input: 1, output: 5}}
    balance: cost
    retries: {attempts: 1}
";
    let gateway = Gateway::start(models, "").await;
    let shares = shares(&gateway, "m", 6).await;
    assert_eq!(shares.get("mock/dear"), Some(&2), "{shares:?}");
    assert_eq!(shares.get("mock/cheap;status=500;first=2"), Some(&4), "{shares:?}");
}

#[tokio::test]
async fn a_drained_deployment_gets_nothing_whatever_the_strategy() {
    for strategy in ["weighted", "round_robin", "least_busy", "latency", "cost"] {
        let models = format!(
            "
  m:
    deployments: [{{provider: mock, model: a}}, {{provider: mock, model: b}}, {{provider: mock, model: drained, weight: 0}}]
    balance: {strategy}
"
        );
        let gateway = Gateway::start(&models, "").await;
        let shares = shares(&gateway, "m", 12).await;
        assert_eq!(shares.get("mock/drained"), None, "{strategy}");
    }
}

#[tokio::test]
async fn when_all_fail_the_client_is_told_by_every_strategy() {
    for strategy in ["latency", "cost"] {
        let models = format!(
            "
  m:
    deployments: [{{provider: mock, model: a;status=500}}, {{provider: dead, model: b}}]
    balance: {strategy}
    retries: {{attempts: 1}}
"
        );
        let gateway = Gateway::start(&models, "").await;
        for _ in 0..8 {
            assert_eq!(gateway.chat("m").await.status(), 502, "{strategy}");
        }
    }
}

/// Where each of the prompts goes, in this order.
async fn homes(gateway: &Gateway, prompts: usize) -> Vec<String> {
    let mut homes = Vec::new();
    for prompt in 0..prompts {
        let mut body = crate::gateway::chat("m", false);
        body["messages"][0]["content"] = format!("prompt {prompt}").into();
        let answer = gateway.post("/v1/chat/completions", body.to_string()).await;
        homes.push(answer.headers()["x-signalbox-deployment"].to_str().unwrap().to_owned());
    }
    homes
}

#[tokio::test]
async fn affinity_keeps_a_prompt_on_one_deployment_and_moves_only_the_lost_share() {
    let models = |weight: u32| {
        format!(
            "
  m:
    deployments:
      - {{provider: mock, model: a}}
      - {{provider: mock, model: b}}
      - {{provider: mock, model: c, weight: {weight}}}
    affinity: prefix
"
        )
    };
    let gateway = Gateway::start(&models(1), "").await;
    let before = homes(&gateway, 30).await;
    assert_eq!(homes(&gateway, 30).await, before);
    for home in ["mock/a", "mock/b", "mock/c"] {
        assert!(before.iter().filter(|it| *it == home).count() > 2, "{before:?}");
    }
    gateway.reconfigure(&models(0), "");
    gateway.reloaded(1).await;
    for (before, after) in before.iter().zip(homes(&gateway, 30).await) {
        assert!(before == "mock/c" || *before == after, "{before} {after}");
        assert_ne!(after, "mock/c");
    }
}

#[tokio::test]
async fn affinity_keeps_a_session_on_one_deployment() {
    let models = "
  m:
    deployments: [{provider: mock, model: a}, {provider: mock, model: b}, {provider: mock, model: c}]
    balance: round_robin
    affinity: session
";
    let gateway = Gateway::start(models, "").await;
    assert_eq!(shares(&gateway, "m", 6).await.len(), 3, "without a session the strategy decides");
    let mut home = None;
    for prompt in 0..6 {
        let mut body = crate::gateway::chat("m", false);
        body["messages"][0]["content"] = format!("prompt {prompt}").into();
        let request = gateway.client.post(gateway.url("/v1/chat/completions"));
        let request = request.bearer_auth(crate::gateway::KEY).header("x-signalbox-session", "s1");
        let answer = request.body(body.to_string()).send().await.unwrap();
        let deployment = answer.headers()["x-signalbox-deployment"].clone();
        assert_eq!(*home.get_or_insert_with(|| deployment.clone()), deployment);
    }
}

#[tokio::test]
async fn a_provider_that_says_nothing_is_left_gets_no_more_traffic() {
    let models = "
  m:
    deployments: [{provider: claude, model: m;remaining=0, weight: 100}, {provider: mock, model: spare}]
";
    let gateway = Gateway::start(models, "").await;
    let shares = shares(&gateway, "m", 10).await;
    assert_eq!(shares.get("claude/m;remaining=0"), Some(&1), "its first answer tells: {shares:?}");
}

#[tokio::test]
async fn the_least_bad_is_asked_when_nobody_has_anything_left() {
    let models = "  m: {deployments: [{provider: claude, model: m;remaining=0}]}";
    let gateway = Gateway::start(models, "").await;
    assert_eq!(shares(&gateway, "m", 3).await.len(), 1);
}

#[tokio::test]
async fn a_configured_limit_moves_traffic_and_then_refuses_it_with_the_right_wait() {
    let models = "
  m:
    deployments: [{provider: mock, model: a, rpm: 2, weight: 100}, {provider: claude, model: b, rpm: 3}]
";
    let gateway = Gateway::start(models, "").await;
    let shares = shares(&gateway, "m", 5).await;
    assert_eq!((shares["mock/a"], shares["claude/b"]), (2, 3));
    let answer = gateway.chat("m").await;
    assert_eq!(answer.status(), 429);
    let wait: u64 = answer.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((30..=60).contains(&wait), "{wait}");
    assert!(answer.text().await.unwrap().contains("deployments_exhausted"));
    assert_eq!(gateway.mock.requests().len(), 5);
}

#[tokio::test]
async fn tokens_are_settled_by_what_the_answer_used() {
    // Estimated with max_tokens, five would not fit; what they use does.
    let models = "  m: {deployments: [{provider: mock, model: a, tpm: 3000}]}";
    let gateway = Gateway::start(models, "").await;
    let mut body = crate::gateway::chat("m", false);
    body["max_tokens"] = 2_000.into();
    for _ in 0..5 {
        assert_eq!(gateway.post("/v1/chat/completions", body.to_string()).await.status(), 200);
    }
}
