//! What the ledger says is what the provider served, also after a kill.

use std::time::{Duration, Instant};

use domain::Micros;
use serde_json::Value;
use store::{LedgerEntry, LedgerFilter, Owner, Store};

use crate::gateway::{Gateway, KEY, chat};

/// A million tokens a dollar on either side: a token is a micro-dollar.
pub(super) const PRICED: &str =
    "  priced: {deployments: [{provider: mock, model: m, price: {input: 1, output: 1}}]}";
pub(super) const STORE: &str = "store: sqlite:data/signalbox.db";
const DAY_MS: i64 = 86_400_000;

fn now_ms() -> i64 {
    let since = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap();
    i64::try_from(since.as_millis()).unwrap()
}

pub(super) async fn store(gateway: &Gateway) -> Store {
    Store::open(&format!("sqlite:{}", gateway.folder.join("data/signalbox.db").display())).await.unwrap()
}

/// All attempts that the ledger knows.
pub(super) async fn entries(store: &Store) -> Vec<LedgerEntry> {
    let mut export = store.ledger().export(LedgerFilter::default());
    let mut all = Vec::new();
    while let Some(page) = export.next_page().await.unwrap() {
        all.extend(page);
    }
    all
}

/// Waits until the key has settled so many requests; what it spent.
pub(super) async fn spend(store: &Store, key: &str, requests: u64) -> store::Spend {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let now = now_ms();
        let spend = store.ledger().spend(Owner::Key(key), now - DAY_MS, now + DAY_MS).await.unwrap();
        if spend.requests >= requests {
            return spend;
        }
        assert!(Instant::now() < deadline, "{spend:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn an_answer_costs_what_the_provider_counted() {
    let gateway = Gateway::start(PRICED, STORE).await;
    let answer: Value = gateway.chat("priced").await.json().await.unwrap();
    let first = answer["usage"]["total_tokens"].as_u64().unwrap();
    let mut body = chat("priced", true);
    body["stream_options"] = serde_json::json!({"include_usage": true});
    let stream = gateway.post("/v1/chat/completions", body.to_string()).await.text().await.unwrap();
    let usage = stream.lines().rev().find(|line| line.contains("total_tokens")).unwrap();
    let usage: Value = serde_json::from_str(usage.trim_start_matches("data: ")).unwrap();
    let second = usage["usage"]["total_tokens"].as_u64().unwrap();
    let cost = usage["usage"]["cost"].as_f64().unwrap();
    assert!((cost * 1e6 - second as f64).abs() < 0.5, "{usage}");
    let spent = spend(&store(&gateway).await, "test", 2).await;
    assert!(first > 0 && second > 0);
    assert_eq!((spent.cost, spent.unsettled), (Micros(first + second), Micros(0)));
    let url = format!("http://{}/api/v1/spend?key=test", gateway.admin);
    let told: Value = gateway.client.get(url).send().await.unwrap().json().await.unwrap();
    assert_eq!(
        (told["micros"].as_u64(), told["requests"].as_u64()),
        (Some(first + second), Some(2)),
        "{told}"
    );
}

#[tokio::test]
async fn answers_say_what_they_cost_also_when_they_are_translated() {
    let models = format!(
        "{PRICED}\n  claude: {{deployments: [{{provider: claude, model: c, price: {{input: 1, output: 1}}}}]}}"
    );
    let gateway = Gateway::start(&models, "").await;
    for model in ["priced", "claude"] {
        let answer = gateway.chat(model).await;
        let told: f64 = answer.headers()["x-signalbox-cost-usd"].to_str().unwrap().parse().unwrap();
        let body: Value = answer.json().await.unwrap();
        let tokens = body["usage"]["total_tokens"].as_u64().unwrap();
        assert!(tokens > 0 && (told * 1e6 - tokens as f64).abs() < 0.5, "{model}: {told} {body}");
        let mut body = chat(model, true);
        body["stream_options"] = serde_json::json!({"include_usage": true});
        let stream = gateway.post("/v1/chat/completions", body.to_string()).await.text().await.unwrap();
        let usage = stream.lines().rev().find(|line| line.contains("total_tokens")).unwrap();
        let usage: Value = serde_json::from_str(usage.trim_start_matches("data: ")).unwrap();
        let (cost, tokens) = (&usage["usage"]["cost"], usage["usage"]["total_tokens"].as_u64().unwrap());
        assert!((cost.as_f64().unwrap() * 1e6 - tokens as f64).abs() < 0.5, "{model}: {usage}");
    }
}

#[tokio::test]
async fn a_failed_attempt_costs_nothing_and_its_fallback_counts_once() {
    let models = "  bad:
    deployments: [{provider: mock, model: 'm;status=500', price: {input: 1, output: 1}}]
    retries: {attempts: 2, backoff: {initial: 1ms, max: 1ms}}
    fallbacks: [priced]
";
    let gateway = Gateway::start(&format!("{models}{PRICED}"), STORE).await;
    assert_eq!(gateway.chat("bad").await.status(), 200);
    let store = store(&gateway).await;
    assert_eq!(spend(&store, "test", 1).await.requests, 1);
    let entries = entries(&store).await;
    let states: Vec<_> = entries.iter().map(|entry| entry.state).collect();
    assert_eq!(states.iter().filter(|state| **state == store::State::Aborted).count(), 2, "{entries:?}");
    assert_eq!(states.len(), 3);
}

/// A token is a tenth of a cent, so that a dollar is gone after about a hundred answers.
pub(super) const DEAR: &str =
    "  dear: {deployments: [{provider: mock, model: 'm;ttft=20ms', price: {input: 1000, output: 1000}}]}";
pub(super) const POOR: &str = "  - {name: poor, key: sk-poor-key, budget: {usd: 1, per: 1d}}";
pub(super) const DOLLAR: Micros = Micros(1_000_000);

/// One request for the model `dear` with the key `poor`: its status, and whether it is told not to come back.
pub(super) async fn ask_poor(gateway: &Gateway, body: &str) -> (u16, bool) {
    let request = gateway.client.post(gateway.url("/v1/chat/completions")).bearer_auth("sk-poor-key");
    let answer = request.body(body.to_owned()).send().await.unwrap();
    let (status, is_final) = (answer.status().as_u16(), answer.headers().contains_key("x-should-retry"));
    let body: Value = answer.json().await.unwrap();
    let code = body["error"]["code"].as_str().unwrap_or_default();
    assert!(
        status == 200 || status == 429 && (code == "budget_held" || code == "insufficient_quota" && is_final),
        "{status} {body}"
    );
    (status, is_final)
}

/// What [`ask_poor`] sends, and what is reserved for it in micro-dollars.
pub(super) fn dear_body() -> (String, u64) {
    let mut body = chat("dear", false);
    body["max_tokens"] = 20.into();
    let body = body.to_string();
    let reservation = ((body.len() as u64).div_ceil(3) + 20) * 1000;
    (body, reservation)
}

/// Spends the dollar of the key `poor` with so many requests at once, at all gateways in turn; how many were served.
pub(super) async fn spend_the_dollar(gateways: &[Gateway], at_once: usize) -> u64 {
    let (body, _) = dear_body();
    let (mut served, deadline) = (0, Instant::now() + Duration::from_secs(60));
    // Refusals while the rest is held, or while gateways tell a new Redis what they have, take no time at all.
    while Instant::now() < deadline {
        let asked = (0..at_once).map(|turn| ask_poor(&gateways[turn % gateways.len()], &body));
        let answers = futures_util::future::join_all(asked).await;
        served += answers.iter().filter(|(status, _)| *status == 200).count() as u64;
        if answers.iter().all(|(_, is_final)| *is_final) {
            return served;
        }
    }
    panic!("the dollar is never spent");
}

/// Of the key `poor`, once so many requests are settled.
pub(super) async fn spent_of_poor(store: &Store, served: u64, reservations: u64) {
    let (_, reservation) = dear_body();
    let spent = spend(store, "poor", served).await;
    println!("{served} served, {} of a dollar spent, a reservation is {reservation}", spent.cost.0);
    assert_eq!(spent.requests, served);
    let most = DOLLAR.0 + reservations * reservation;
    assert!(spent.cost >= DOLLAR && spent.cost.0 <= most, "{spent:?}, {most}");
}

#[tokio::test]
async fn five_hundred_at_once_exceed_a_dollar_by_one_reservation_at_most() {
    let gateway = Gateway::start(DEAR, &format!("{POOR}\n{STORE}")).await;
    let store = store(&gateway).await;
    let gateways = [gateway];
    let served = spend_the_dollar(&gateways, 500).await;
    spent_of_poor(&store, served, 1).await;
}

#[tokio::test]
async fn what_was_answered_before_a_kill_is_in_the_ledger_and_what_was_not_is_unsettled() {
    let slow = "  slow: {deployments: [{provider: mock, model: 'm;gap=1s;chunks=60', price: {input: 1, output: 1}}]}\n";
    let mut gateway = Gateway::start(&format!("{slow}{PRICED}"), STORE).await;
    let mut tokens = 0;
    for _ in 0..20 {
        let answer: Value = gateway.chat("priced").await.json().await.unwrap();
        tokens += answer["usage"]["total_tokens"].as_u64().unwrap();
    }
    let running = gateway.client.post(gateway.url("/v1/chat/completions")).bearer_auth(KEY);
    let mut running = running.body(chat("slow", true).to_string()).send().await.unwrap();
    running.chunk().await.unwrap();
    gateway.restart_after_kill().await;
    let spent = spend(&store(&gateway).await, "test", 20).await;
    assert_eq!((spent.cost, spent.requests), (Micros(tokens), 20));
    assert!(spent.unsettled.0 > 0);
}

#[tokio::test]
async fn a_key_that_comes_back_has_spent_what_it_had_spent() {
    let dear =
        "  dear: {deployments: [{provider: mock, model: m, price: {input: 1000000, output: 1000000}}]}";
    let with = format!("  - {{name: poor, key: sk-poor-key, budget: {{usd: 1, per: 1d}}}}\n{STORE}");
    let gateway = Gateway::start(dear, &with).await;
    let ask = || async { crate::operator::chat(&gateway, "sk-poor-key", "dear").await };
    assert_eq!(ask().await.0, 200);
    assert_eq!(ask().await, (429, "insufficient_quota".to_owned()));
    spend(&store(&gateway).await, "poor", 1).await;
    gateway.reconfigure(dear, STORE);
    gateway.reloaded(1).await;
    assert_eq!(ask().await.0, 401);
    gateway.reconfigure(dear, &with);
    gateway.reloaded(2).await;
    assert_eq!(ask().await, (429, "insufficient_quota".to_owned()));
}
