//! Answers that two gateways share over a real Redis: found by both, encrypted there, purged at both, and no request
//! minds when Redis is stopped.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::cluster::{KEYS, Nodes, send};
use crate::gateway::{Gateway, chat};
use crate::operator::{authorize, call, done};

const MODELS: &str = "  kept: {deployments: [{provider: mock, model: 'm;chunks=5'}]}
  other: {deployments: [{provider: mock, model: 'm;chunks=5'}]}";
const PURGE: &str = "/api/v1/cache/purge";
const KEY: &str = "sk-test-key-0001";

/// The deadline of answers is long, but for where it is looked at: machines may be busy.
fn sharing(cache: &str) -> String {
    format!("deadline: 1s}}\ncache: {{{cache}, shared: {{deadline: 1s}}")
}

impl Nodes {
    async fn caching(cache: &str) -> Self {
        let nodes = Self::two(MODELS, KEYS, &sharing(cache)).await;
        nodes.until_shared().await;
        nodes.authorized().await
    }

    async fn authorized(self) -> Self {
        for gateway in &self.gateways {
            authorize(gateway).await;
        }
        self
    }

    async fn until_shared(&self) {
        for gateway in &self.gateways {
            gateway.until_metric("signalbox_cache_shared_up 1").await;
        }
    }

    fn calls(&self) -> usize {
        self.gateways.iter().map(|gateway| gateway.mock.requests().len()).sum()
    }

    /// Asks gateway 1 until Redis has what gateway 0 has kept: it is written beside the request.
    async fn until_found(&self, body: &Value) -> String {
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            let (mark, text) = asked(self.gateway(1), KEY, &only_if_cached(body)).await;
            if mark == "hit" {
                return text;
            }
            assert!(Instant::now() < deadline, "the other gateway never finds it");
        }
    }
}

fn only_if_cached(body: &Value) -> (Value, bool) {
    (body.clone(), true)
}

async fn asked(gateway: &Gateway, key: &str, (body, cached): &(Value, bool)) -> (String, String) {
    let mut request = gateway.client.post(gateway.url("/v1/chat/completions")).bearer_auth(key);
    if *cached {
        request = request.header("cache-control", "only-if-cached");
    }
    let answer = request.body(body.to_string()).send().await.unwrap();
    let mark = answer.headers().get("x-signalbox-cache").map(|mark| mark.to_str().unwrap().to_owned());
    (mark.unwrap_or_default(), answer.text().await.unwrap())
}

fn question(model: &str, seed: u32) -> Value {
    let mut body = chat(model, false);
    body["seed"] = json!(seed);
    body
}

async fn failures(gateway: &Gateway) -> u64 {
    let metrics = gateway.metrics().await;
    let line = metrics.lines().find(|line| line.starts_with("signalbox_cache_shared_failures_total "));
    line.map_or(0, |line| line.rsplit_once(' ').unwrap().1.parse().unwrap())
}

#[tokio::test]
async fn two_gateways_share_answers_and_purges() {
    let nodes = Nodes::caching("exact: {ttl: 1h}").await;
    let (first, other) = (question("kept", 1), question("other", 1));
    let (mark, text) = asked(nodes.gateway(0), KEY, &(first.clone(), false)).await;
    assert_eq!(mark, "miss");
    assert_eq!(nodes.until_found(&first).await, text);
    nodes.gateway(1).until_metric("signalbox_cache_hits_total{tier=\"shared\"} 1").await;
    // As a stream too, and in memory from now on.
    let mut stream = first.clone();
    stream["stream"] = json!(true);
    let (mark, streamed) = asked(nodes.gateway(1), KEY, &(stream, false)).await;
    assert!(mark == "hit" && streamed.ends_with("data: [DONE]\n\n"), "{streamed}");
    asked(nodes.gateway(0), KEY, &(other.clone(), false)).await;
    nodes.until_found(&other).await;
    assert_eq!(nodes.calls(), 2);

    // A purge at one of them reaches both, and nothing comes back from Redis.
    assert_eq!(call(nodes.gateway(0), "POST", PURGE, json!({"model": "kept"})).await.0, 200);
    assert_eq!(asked(nodes.gateway(0), KEY, &only_if_cached(&first)).await.0, "miss");
    let deadline = Instant::now() + Duration::from_secs(10);
    while asked(nodes.gateway(1), KEY, &only_if_cached(&first)).await.0 != "miss" {
        assert!(Instant::now() < deadline, "the purge never reaches the other gateway");
    }
    for turn in 0..2 {
        assert_eq!(asked(nodes.gateway(turn), KEY, &only_if_cached(&other)).await.0, "hit");
        assert_eq!(asked(nodes.gateway(turn), KEY, &only_if_cached(&first)).await.0, "miss");
    }

    // So does the removal of one entry; its key is the same at both.
    let answer = send(nodes.gateway(1), KEY, other.clone()).await;
    let status = answer.headers()["cache-status"].to_str().unwrap().to_owned();
    let key = status.split_once("key=\"").unwrap().1.trim_end_matches('"').to_owned();
    done(nodes.gateway(0), "DELETE", &format!("/api/v1/cache/{key}"), Value::Null).await;
    for turn in 0..2 {
        let deadline = Instant::now() + Duration::from_secs(10);
        while asked(nodes.gateway(turn), KEY, &only_if_cached(&other)).await.0 != "miss" {
            assert!(Instant::now() < deadline, "the removal never reaches the other gateway");
        }
    }
}

#[tokio::test]
async fn what_lies_in_redis_is_encrypted_ends_and_is_of_one_scope() {
    let key = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    let mut nodes = Nodes::caching(&format!("key: '{key}', exact: {{ttl: 1h, scope: key}}")).await;
    let body = question("kept", 2);
    let (_, text) = asked(nodes.gateway(0), KEY, &(body.clone(), false)).await;
    assert_eq!(nodes.until_found(&body).await, text);
    assert_eq!(asked(nodes.gateway(1), "sk-sixty", &only_if_cached(&body)).await.0, "miss");
    let redis = nodes.redis();
    let name = redis.entries().await.remove(0);
    let bytes = redis.ask(&format!("GET {name}")).await;
    assert!(bytes.len() > 100 && !bytes.contains("chat.completion"), "{bytes}");
    let ttl: i64 = redis.ask(&format!("TTL {name}")).await.trim().trim_start_matches(':').parse().unwrap();
    assert!((3_000..=3_600).contains(&ttl), "{ttl}");

    // Damaged, it is nothing, and no failure either.
    let (mark, _) = asked(nodes.gateway(1), "sk-sixty", &(body.clone(), false)).await;
    assert_eq!(mark, "miss");
    let redis = nodes.redis();
    let others = async || redis.entries().await.into_iter().find(|other| *other != name);
    let deadline = Instant::now() + Duration::from_secs(10);
    let other = loop {
        assert!(Instant::now() < deadline, "what the other gateway keeps never reaches Redis");
        if let Some(other) = others().await {
            break other;
        }
    };
    redis.ask(&format!("SETRANGE {other} 300 xxxx")).await;
    assert_eq!(asked(nodes.gateway(0), "sk-sixty", &(body, false)).await.0, "miss");
}

#[tokio::test]
async fn a_redis_that_is_stopped_fails_no_request_and_holds_up_only_the_first() {
    let cluster = "deadline: 25ms}\ncache: {exact: {ttl: 1h}, shared: {deadline: 3ms}";
    let mut nodes = Nodes::two(MODELS, "", cluster).await.authorized().await;
    nodes.until_shared().await;
    let before = failures(nodes.gateway(0)).await;
    // It neither answers nor refuses: the worst that can be met.
    nodes.redis().signal("STOP");
    for seed in 100..200 {
        assert_eq!(send(nodes.gateway(0), KEY, question("kept", seed)).await.status(), 200);
    }
    assert_eq!(failures(nodes.gateway(0)).await, before + 1, "one request waited, and no other");
    nodes.gateway(0).until_metric("signalbox_cache_shared_up 0").await;
    // What it cannot be told, it is not told in secret.
    assert_eq!(call(nodes.gateway(0), "POST", PURGE, json!({"all": true})).await.0, 503);

    nodes.redis().signal("CONT");
    nodes.until_shared().await;
    nodes.redis().kill();
    nodes.gateway(0).until_metric("signalbox_cache_shared_up 0").await;
    for seed in 200..220 {
        assert_eq!(send(nodes.gateway(seed as usize), KEY, question("kept", seed)).await.status(), 200);
    }
    nodes.redis().restart().await;
    nodes.until_shared().await;
    let body = question("kept", 300);
    let (_, text) = asked(nodes.gateway(0), KEY, &(body.clone(), false)).await;
    assert_eq!(nodes.until_found(&body).await, text);
}
