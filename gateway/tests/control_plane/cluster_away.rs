//! Redis is away for a while under load: no request fails or waits for it, each gateway counts alone up to its share, and
//! afterwards they count together again, with what was counted meanwhile.

use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::task::JoinSet;

use crate::cluster::{Nodes, PATIENT, number, send, the_61st_request_of_a_minute_is_refused};
use crate::gateway::{Gateway, chat};
use crate::ledger::PRICED;

const RATE: u32 = 100;
/// Under load before, while and after Redis is away.
const EACH: Duration = Duration::from_secs(2);

const KEYS: &str = "  - {name: busy, key: sk-busy, rpm: 1000000, tpm: 1000000000, max_parallel: 10000, budget: {usd: 1000, per: 1d}}
  - {name: forty, key: sk-forty, rpm: 40}
  - {name: sixty, key: sk-sixty, rpm: 60}";

/// Our own time for a request, in which a wait for Redis is.
async fn overhead(client: reqwest::Client, url: String) -> Duration {
    let answer =
        client.post(url).bearer_auth("sk-busy").body(chat("priced", false).to_string()).send().await.unwrap();
    assert_eq!(answer.status(), 200, "a request failed");
    let micros = number(&answer, "x-signalbox-overhead-us");
    let _: Value = answer.json().await.unwrap();
    Duration::from_micros(micros)
}

async fn metric(gateway: &Gateway, line: &str) -> bool {
    gateway.metrics().await.lines().any(|known| known == line)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_is_away_fails_no_request_and_holds_none_up() {
    // The deadline as it is by default.
    let mut nodes = Nodes::two(PRICED, KEYS, "deadline: 25ms").await;
    let (started, mut asked, mut was_down, mut turn) = (Instant::now(), JoinSet::new(), false, 0);
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / RATE);
    while started.elapsed() < EACH * 2 {
        ticks.tick().await;
        if !was_down && started.elapsed() > EACH {
            nodes.redis().kill();
            was_down = true;
        }
        let gateway = nodes.gateway(turn);
        asked.spawn(overhead(gateway.client.clone(), gateway.url("/v1/chat/completions")));
        turn += 1;
    }
    for gateway in &nodes.gateways {
        gateway.until_metric("signalbox_cluster_up 0").await;
        assert!(gateway.metrics().await.contains("signalbox_cluster_degraded_total{what=\"budgets\"}"));
    }

    // Half of a limit each, and the wait is right. A key that nobody has used is where that can be seen.
    for gateway in 0..2 {
        for _ in 0..20 {
            assert_eq!(send(nodes.gateway(gateway), "sk-forty", chat("plain", false)).await.status(), 200);
        }
        let refused = send(nodes.gateway(gateway), "sk-forty", chat("plain", false)).await;
        assert_eq!((refused.status().as_u16(), number(&refused, "x-ratelimit-limit-requests")), (429, 40));
        assert!((50..=60).contains(&number(&refused, "retry-after")));
    }

    nodes.redis().restart().await;
    let back = Instant::now();
    while back.elapsed() < EACH {
        ticks.tick().await;
        let gateway = nodes.gateway(turn);
        asked.spawn(overhead(gateway.client.clone(), gateway.url("/v1/chat/completions")));
        turn += 1;
    }
    nodes.until_together().await;
    println!("together again {:?} after Redis was back", back.elapsed());
    let mut overheads = asked.join_all().await;
    overheads.sort();
    let at = |percent: usize| overheads[(overheads.len() - 1) * percent / 100];
    println!(
        "{} answered, our own time: median {:?}, p99 {:?}, most {:?}",
        overheads.len(),
        at(50),
        at(99),
        at(100)
    );
    assert!(at(50) < Duration::from_millis(25), "requests wait for a Redis that is away");
    // Three decisions a request, and a machine that may be busy.
    assert!(at(100) < Duration::from_secs(1), "a request waited for {:?}", at(100));

    // What was counted meanwhile is not lost, although this Redis has lost everything.
    for turn in 0..2 {
        let refused = send(nodes.gateway(turn), "sk-forty", chat("plain", false)).await;
        assert_eq!(refused.status(), 429);
    }
    the_61st_request_of_a_minute_is_refused(&nodes).await;
}

#[tokio::test]
async fn the_policy_to_refuse_refuses_only_what_has_limits() {
    let mut nodes = Nodes::two("", KEYS, &format!("{PATIENT}, when_away: refuse")).await;
    nodes.redis().kill();
    nodes.gateway(0).until_metric("signalbox_cluster_up 0").await;
    let refused = send(nodes.gateway(0), "sk-sixty", chat("plain", false)).await;
    assert_eq!((refused.status().as_u16(), number(&refused, "retry-after")), (503, 1));
    let body: Value = refused.json().await.unwrap();
    assert_eq!(body["error"]["code"], "cluster_away", "{body}");
    assert_eq!(nodes.gateway(0).chat("plain").await.status(), 200);
    assert!(metric(nodes.gateway(0), "signalbox_cluster_degraded_total{what=\"requests\"} 1").await);
    nodes.gateway(0).until_metric("signalbox_alerts_total{kind=\"cluster_away\"} 1").await;
}
