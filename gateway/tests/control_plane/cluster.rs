//! The same limits of a key on one gateway and on two that share a Redis: the suite is written once. What a limit is worth
//! does not depend on the gateway that is asked.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::Value;

use crate::gateway::{Gateway, chat};
use crate::ledger::PRICED;
use crate::postgres_server::server;
use crate::redis_server::Redis;

/// The deadline is long: these tests are about counting, on machines that may be busy.
pub(super) const PATIENT: &str = "deadline: 1s";

pub(super) const SLOW: &str = "  slow: {deployments: [{provider: mock, model: 'm;gap=500ms;chunks=600', price: {input: 1, output: 1}}]}";

pub(super) const KEYS: &str = "  - {name: sixty, key: sk-sixty, rpm: 60}
  - {name: thousand, key: sk-thousand, tpm: 1000}
  - {name: three, key: sk-three, max_parallel: 3}
  - {name: pair, key: sk-pair, max_parallel: 2}";

/// Gateways that are asked in turn.
pub(super) struct Nodes {
    pub(super) gateways: Vec<Gateway>,
    pub(super) redis: Option<Redis>,
    /// The address of their database.
    pub(super) database: String,
}

impl Nodes {
    /// One gateway that counts for itself.
    async fn one(models: &str, keys: &str) -> Self {
        let gateways = vec![Gateway::start(models, keys).await];
        Self { gateways, redis: None, database: String::new() }
    }

    /// Two gateways on one PostgreSQL and one Redis. They shed nothing: hundreds of requests at once are the point of some
    /// tests, and a busy machine is not.
    pub(super) async fn two(models: &str, keys: &str, cluster: &str) -> Self {
        let redis = Redis::start().await;
        let database = server().url(&server().database());
        let extra = format!(
            "{keys}\nstore: '{database}'\nkey_hash: a-secret-of-this-installation\nlimits: {{shed_lag: 0ms}}\ncluster: {{url: '{}', {cluster}}}",
            redis.url()
        );
        let gateways = vec![Gateway::start(models, &extra).await, Gateway::start(models, &extra).await];
        let nodes = Self { gateways, redis: Some(redis), database };
        nodes.until_together().await;
        nodes
    }

    pub(super) async fn until_together(&self) {
        for gateway in &self.gateways {
            gateway.until_metric("signalbox_cluster_up 1").await;
            gateway.until_metric(&format!("signalbox_cluster_gateways {}", self.gateways.len())).await;
        }
    }

    pub(super) fn gateway(&self, turn: usize) -> &Gateway {
        &self.gateways[turn % self.gateways.len()]
    }

    pub(super) fn redis(&mut self) -> &mut Redis {
        self.redis.as_mut().unwrap()
    }

    /// Nobody had to decide alone.
    pub(super) async fn never_degraded(&self) {
        for gateway in self.gateways.iter().filter(|_| self.redis.is_some()) {
            let metrics = gateway.metrics().await;
            let alone: Vec<_> =
                metrics.lines().filter(|line| line.starts_with("signalbox_cluster_degraded_total")).collect();
            assert!(alone.is_empty(), "{alone:?}");
        }
    }
}

pub(super) async fn send(gateway: &Gateway, key: &str, body: Value) -> reqwest::Response {
    let request = gateway.client.post(gateway.url("/v1/chat/completions")).bearer_auth(key);
    request.body(body.to_string()).send().await.unwrap()
}

pub(super) fn number(answer: &reqwest::Response, header: &str) -> u64 {
    let value = answer.headers().get(header).unwrap_or_else(|| panic!("no {header}: {answer:?}"));
    value.to_str().unwrap().parse().unwrap()
}

pub(super) async fn the_61st_request_of_a_minute_is_refused(nodes: &Nodes) {
    let started = Instant::now();
    let ask = |turn| async move {
        let answer = send(nodes.gateway(turn), "sk-sixty", chat("plain", false)).await;
        assert_eq!(
            (answer.status(), number(&answer, "x-ratelimit-limit-requests")),
            (200.try_into().unwrap(), 60)
        );
    };
    // A few at a time: sixty at once would be late for Redis on a busy machine, and be counted alone.
    for turn in (0..60).step_by(6) {
        join_all((turn..turn + 6).map(ask)).await;
    }
    for turn in 0..4 {
        let answer = send(nodes.gateway(turn), "sk-sixty", chat("plain", false)).await;
        assert_eq!(answer.status(), 429);
        assert_eq!(number(&answer, "x-ratelimit-remaining-requests"), 0);
        // The first of them leaves the window a minute after it came, to the second.
        let wait = number(&answer, "retry-after");
        let passed = started.elapsed().as_secs();
        assert!((59 - passed..=60).contains(&wait), "{wait} s after {passed} s");
        let body: Value = answer.json().await.unwrap();
        assert_eq!(body["error"]["code"], "rate_limit_exceeded", "{body}");
    }
}

async fn tokens_of_a_minute_are_reserved_and_settled(nodes: &Nodes) {
    let body = |max_tokens: u64| {
        let mut body = chat("plain", false);
        body["max_tokens"] = max_tokens.into();
        body
    };
    let first = send(nodes.gateway(0), "sk-thousand", body(600)).await;
    assert_eq!((first.status().as_u16(), number(&first, "x-ratelimit-limit-tokens")), (200, 1000));
    let used: Value = first.json().await.unwrap();
    let used = used["usage"]["total_tokens"].as_u64().unwrap();
    // What was reserved becomes what was used, a moment after the answer, also for the other gateway.
    let deadline = Instant::now() + Duration::from_secs(10);
    let (mut asked, mut accepted) = (1, 1);
    while accepted < 2 {
        let answer = send(nodes.gateway(asked), "sk-thousand", body(600)).await;
        assert!(answer.status() == 200 || answer.status() == 429, "{answer:?}");
        accepted += u64::from(answer.status() == 200);
        asked += 1;
        assert!(Instant::now() < deadline, "the reservation is never settled");
    }
    // More than what is left is refused on each gateway.
    for turn in 0..2 {
        let answer = send(nodes.gateway(turn), "sk-thousand", body(1000 - used)).await;
        assert_eq!(answer.status(), 429);
        let wait = number(&answer, "retry-after");
        assert!((49..=60).contains(&wait), "{wait}");
        assert!(number(&answer, "x-ratelimit-remaining-tokens") < 1000);
    }
}

async fn as_many_run_at_once_as_the_key_may(nodes: &Nodes) {
    let mut running = Vec::new();
    for turn in 0..3 {
        let mut answer = send(nodes.gateway(turn), "sk-three", chat("slow", true)).await;
        assert_eq!(answer.status(), 200);
        answer.chunk().await.unwrap();
        running.push(answer);
    }
    for turn in 0..2 {
        let answer = send(nodes.gateway(turn), "sk-three", chat("plain", false)).await;
        assert_eq!((answer.status().as_u16(), number(&answer, "retry-after")), (429, 1));
    }
    // A client that leaves frees its place for the others.
    running.pop();
    for turn in 0..2 {
        let deadline = Instant::now() + Duration::from_secs(10);
        while send(nodes.gateway(turn), "sk-three", chat("plain", false)).await.status() != 200 {
            assert!(Instant::now() < deadline, "the place is never free");
        }
    }
    drop(running);
}

async fn of_many_at_once_no_more_get_in(nodes: &Nodes) {
    let asked = (0..40).map(|turn| send(nodes.gateway(turn), "sk-pair", chat("slow", true)));
    let answers = join_all(asked).await;
    assert_eq!(answers.iter().filter(|answer| answer.status() == 200).count(), 2);
    drop(answers);
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let pair = (0..2).map(|turn| send(nodes.gateway(turn), "sk-pair", chat("slow", true)));
        if join_all(pair).await.iter().all(|answer| answer.status() == 200) {
            return;
        }
        assert!(Instant::now() < deadline, "a place is lost");
    }
}

async fn the_limits_hold(nodes: &Nodes) {
    the_61st_request_of_a_minute_is_refused(nodes).await;
    tokens_of_a_minute_are_reserved_and_settled(nodes).await;
    as_many_run_at_once_as_the_key_may(nodes).await;
    of_many_at_once_no_more_get_in(nodes).await;
    nodes.never_degraded().await;
}

#[tokio::test]
async fn the_limits_suite_on_one_node() {
    the_limits_hold(&Nodes::one(&format!("{PRICED}\n{SLOW}"), KEYS).await).await;
}

#[tokio::test]
async fn the_limits_suite_on_two_gateways_with_one_redis() {
    the_limits_hold(&Nodes::two(&format!("{PRICED}\n{SLOW}"), KEYS, PATIENT).await).await;
}

/// How long a gateway that is killed keeps its places, at most: `cluster::LEASE_MS`, and what it takes to notice.
const FREED: Duration = Duration::from_secs(5);

#[tokio::test]
async fn a_killed_gateway_frees_its_places() {
    let mut nodes = Nodes::two(&format!("{PRICED}\n{SLOW}"), KEYS, PATIENT).await;
    let mut running = Vec::new();
    for _ in 0..3 {
        let mut answer = send(nodes.gateway(1), "sk-three", chat("slow", true)).await;
        answer.chunk().await.unwrap();
        running.push(answer);
    }
    assert_eq!(send(nodes.gateway(0), "sk-three", chat("plain", false)).await.status(), 429);
    // Dropping it is a kill -9.
    drop(nodes.gateways.pop());
    let killed = Instant::now();
    while send(nodes.gateway(0), "sk-three", chat("plain", false)).await.status() != 200 {
        assert!(killed.elapsed() < FREED, "its places are never free");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    println!("the places of a killed gateway are free after {:?}", killed.elapsed());
    nodes.never_degraded().await;
}
