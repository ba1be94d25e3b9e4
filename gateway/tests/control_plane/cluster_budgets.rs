//! Budgets on two gateways that share a Redis and a PostgreSQL: the cap is one, whoever is asked, whatever Redis forgets and
//! whoever dies.

use std::time::{Duration, Instant};

use domain::Micros;
use serde_json::json;
use store::{Owner, Store};

use crate::cluster::{Nodes, PATIENT, send};
use crate::gateway::chat;
use crate::ledger::{DEAR, POOR, ask_poor, dear_body, spend_the_dollar, spent_of_poor};

/// A stream that holds a reservation of more than a dollar for as long as it is read.
const LONG: &str = "  long: {deployments: [{provider: mock, model: 'm;gap=500ms;chunks=600', price: {input: 1000, output: 1000}}]}";

#[tokio::test]
async fn five_hundred_at_once_on_two_gateways_exceed_a_dollar_by_one_reservation_at_most() {
    let nodes = Nodes::two(DEAR, POOR, PATIENT).await;
    let served = spend_the_dollar(&nodes.gateways, 500).await;
    let store = Store::open(&nodes.database).await.unwrap();
    spent_of_poor(&store, served, 1).await;
    nodes.never_degraded().await;
}

#[tokio::test]
async fn a_redis_that_is_flushed_forgets_no_spending() {
    let mut nodes = Nodes::two(DEAR, POOR, PATIENT).await;
    let (body, _) = dear_body();
    let mut served = 0;
    for turn in 0..20 {
        assert_eq!(ask_poor(nodes.gateway(turn), &body).await.0, 200);
        served += 1;
    }
    assert_eq!(nodes.redis().ask("FLUSHALL").await, "+OK\r\n");
    // Until Redis knows everything again each gateway has half of what is left: one reservation more.
    served += spend_the_dollar(&nodes.gateways, 20).await;
    let store = Store::open(&nodes.database).await.unwrap();
    spent_of_poor(&store, served, 2).await;

    // Once it does, what was spent before is spent.
    nodes.until_together().await;
    for turn in 0..2 {
        assert_eq!(ask_poor(nodes.gateway(turn), &body).await, (429, true));
    }
}

#[tokio::test]
async fn a_gateway_divides_by_those_it_knew_until_a_flushed_redis_has_heard_of_them() {
    let mut nodes = Nodes::two(DEAR, POOR, PATIENT).await;
    // Like one that is too busy to say that it is alive.
    nodes.gateways[1].kill();
    assert_eq!(nodes.redis().ask("FLUSHALL").await, "+OK\r\n");
    let gateway = nodes.gateway(0);
    gateway.until_metric("signalbox_cluster_up 0").await;
    let mut looks = 0;
    loop {
        let metrics = gateway.metrics().await;
        let says = |line: &str| metrics.lines().any(|known| known == line);
        if says("signalbox_cluster_up 1") {
            break;
        }
        assert!(says("signalbox_cluster_gateways 2"), "after {looks} looks it has the other one's part");
        looks += 1;
    }
    assert!(looks > 3, "{looks} looks prove nothing");
    gateway.until_metric("signalbox_cluster_gateways 1").await;
}

#[tokio::test]
async fn what_a_killed_gateway_holds_is_free_until_the_store_lists_it() {
    let models = format!("{DEAR}\n{LONG}");
    let mut nodes = Nodes::two(&models, POOR, PATIENT).await;
    let mut body = chat("long", true);
    body["max_tokens"] = json!(2_000);
    let mut running = send(nodes.gateway(1), "sk-poor-key", body).await;
    assert_eq!(running.status(), 200);
    running.chunk().await.unwrap();
    let (cheap, _) = dear_body();
    // All of the dollar is held, and none of it is spent.
    assert_eq!(ask_poor(nodes.gateway(0), &cheap).await, (429, false));

    // Killed for good, as far as the other one can tell.
    nodes.gateways[1].kill();
    let killed = Instant::now();
    while ask_poor(nodes.gateway(0), &cheap).await.0 != 200 {
        assert!(killed.elapsed() < Duration::from_secs(5), "the hold is never free");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    println!("what a killed gateway held is free after {:?}", killed.elapsed());

    // Back again it reads its log, and what it held is unsettled: counted by both gateways, and once.
    nodes.gateways[1].restart_after_kill().await;
    let store = Store::open(&nodes.database).await.unwrap();
    let spend = store.ledger().spend(Owner::Key("poor"), 0, i64::MAX / 2).await.unwrap();
    assert!(spend.unsettled > Micros(1_000_000), "{spend:?}");
    for turn in 0..2 {
        let deadline = Instant::now() + Duration::from_secs(10);
        while ask_poor(nodes.gateway(turn), &cheap).await != (429, true) {
            assert!(Instant::now() < deadline, "what is unsettled does not count");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}
