//! `kill -9` under mixed traffic: what a client was told and what the provider served is in the ledger, to the
//! micro-dollar and once.
//!
//! `KILL_RUNS` and `KILL_REQUESTS` set how often and how much.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use domain::Micros;
use futures_util::StreamExt;
use serde_json::{Value, json};
use store::{LedgerEntry, Owner, State};

use crate::gateway::{Gateway, KEY, chat};
use crate::ledger::{PRICED, STORE, entries, store};

/// Beside `priced`; a token is a micro-dollar here too.
const MODELS: &str = "  retried:
    deployments: [{provider: mock, model: 'r;every=3;status=500', price: {input: 1, output: 1}}]
    retries: {attempts: 3, backoff: {initial: 1ms, max: 1ms}}
    fallbacks: [priced]
  failing:
    deployments: [{provider: mock, model: 'f;status=503', price: {input: 1, output: 1}}]
    fallbacks: [priced]
  slow: {deployments: [{provider: mock, model: 's;gap=3ms;chunks=40', price: {input: 1, output: 1}}]}";
const CONCURRENT: usize = 32;

/// What a client knows of an answer it has received to its end.
struct Acknowledged {
    request_id: String,
    tokens: u64,
}

/// None when the answer was not received to its end. The provider sees the request's id as its `user`.
async fn ask(client: reqwest::Client, url: String, id: String, kind: u64) -> Option<Acknowledged> {
    let model = match kind % 6 {
        0 | 1 => "priced",
        2 => "retried",
        3 => "failing",
        _ => "slow",
    };
    let (stream, leaves) = (kind % 2 == 1 || model == "slow", kind % 6 == 5);
    let mut body = chat(model, stream);
    body["user"] = id.as_str().into();
    if stream {
        body["stream_options"] = json!({"include_usage": true});
    }
    let request = client.post(url).bearer_auth(KEY).header("x-request-id", &id);
    let answer = request.body(body.to_string()).send().await.ok()?;
    if answer.status() != 200 {
        return None;
    }
    assert_eq!(answer.headers()["x-request-id"], id);
    if leaves {
        answer.bytes_stream().next().await;
        return None;
    }
    let text = answer.text().await.ok()?;
    let usage = if stream {
        assert!(text.contains("data: [DONE]"), "an answer ended early without an error: {text}");
        text.lines()
            .rev()
            .find(|line| line.contains("total_tokens"))
            .unwrap()
            .trim_start_matches("data: ")
            .to_owned()
    } else {
        text
    };
    let usage: Value = serde_json::from_str(&usage).unwrap();
    Some(Acknowledged { request_id: id, tokens: usage["usage"]["total_tokens"].as_u64().unwrap() })
}

/// Each request's settled entries.
fn settled(entries: &[LedgerEntry]) -> HashMap<&str, Vec<&LedgerEntry>> {
    let mut by_request: HashMap<&str, Vec<&LedgerEntry>> = HashMap::new();
    for entry in entries.iter().filter(|entry| entry.state == State::Settled) {
        by_request.entry(&entry.request_id).or_default().push(entry);
    }
    by_request
}

/// What entries of this state cost, or hold, in micro-dollars.
fn sum(entries: &[LedgerEntry], state: State) -> u64 {
    let amount = |entry: &LedgerEntry| if state == State::Settled { entry.cost.0 } else { entry.reserved.0 };
    entries.iter().filter(|entry| entry.state == state).map(amount).sum()
}

fn has_all(settled: &HashMap<&str, Vec<&LedgerEntry>>, acknowledged: &[Acknowledged]) -> bool {
    acknowledged.iter().all(|told| settled.contains_key(told.request_id.as_str()))
}

#[allow(clippy::disallowed_methods, reason = "a test's size, not the gateway's configuration")]
pub(super) fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().map_or(default, |text| text.parse().unwrap())
}

/// Sends so many requests and kills the gateway after a while; what was acknowledged.
async fn run(gateway: &mut Gateway, run: u64, requests: u64, life: Duration) -> Vec<Acknowledged> {
    let (client, url) = (reqwest::Client::new(), gateway.url("/v1/chat/completions"));
    let traffic = tokio::spawn(
        futures_util::stream::iter(0..requests)
            .map(move |kind| ask(client.clone(), url.clone(), format!("req_{run}-{kind}"), kind))
            .buffer_unordered(CONCURRENT)
            .filter_map(std::future::ready)
            .collect::<Vec<_>>(),
    );
    tokio::time::sleep(life).await;
    gateway.restart_after_kill().await;
    traffic.await.unwrap()
}

/// The requests that the provider has answered to the end.
fn served(gateway: &Gateway) -> HashSet<String> {
    let is_answer = |body: &Value| matches!(body["model"].as_str(), Some(model) if model == "m" || model.starts_with("s;"));
    let requests = gateway.mock.requests().into_iter().filter(|request| request.completed);
    let bodies = requests.filter_map(|request| serde_json::from_slice(&request.body).ok());
    bodies.filter(is_answer).filter_map(|body| Some(body["user"].as_str()?.to_owned())).collect()
}

#[tokio::test]
async fn the_ledger_agrees_with_every_client_and_the_provider_after_each_kill() {
    let (runs, requests) = (number("KILL_RUNS", 3), number("KILL_REQUESTS", 500));
    // A request is at most four calls.
    let record = usize::try_from(runs * requests * 4).unwrap();
    let mut gateway = Gateway::start_recorded(&format!("{PRICED}\n{MODELS}"), STORE, record).await;
    let store = store(&gateway).await;
    let mut acknowledged = Vec::new();
    for number in 0..runs {
        let nanos = u64::from(std::time::UNIX_EPOCH.elapsed().unwrap().subsec_nanos());
        let life = Duration::from_millis(50 + nanos % requests);
        acknowledged.extend(run(&mut gateway, number, requests, life).await);
    }
    let deadline = Instant::now() + Duration::from_secs(60);
    // Clients that left are settled a moment later, so the two readings are repeated until nothing comes between them.
    let all = loop {
        let spend = store.ledger().spend(Owner::Key("test"), 0, i64::MAX / 2).await.unwrap();
        let all = entries(&store).await;
        let totals = (Micros(sum(&all, State::Settled)), Micros(sum(&all, State::Reserved)));
        if has_all(&settled(&all), &acknowledged) && (spend.cost, spend.unsettled) == totals {
            break all;
        }
        assert!(
            Instant::now() < deadline,
            "acknowledged and not in the ledger, or {spend:?} is not {totals:?}"
        );
        tokio::time::sleep(Duration::from_millis(200)).await;
    };
    let by_request = settled(&all);
    for told in &acknowledged {
        let known = &by_request[told.request_id.as_str()];
        assert_eq!(known.iter().map(|entry| entry.cost.0).sum::<u64>(), told.tokens, "{known:?}");
        assert_eq!(known.iter().filter(|entry| entry.counts_request).count(), 1, "{known:?}");
    }
    let known: HashSet<&str> = all
        .iter()
        .filter(|entry| entry.state != State::Aborted)
        .map(|entry| entry.request_id.as_str())
        .collect();
    let served = served(&gateway);
    let missing: Vec<_> = served.iter().filter(|id| !known.contains(id.as_str())).collect();
    assert!(missing.is_empty(), "served and neither settled nor unsettled: {missing:?}");
    let open = all.iter().filter(|entry| entry.state == State::Reserved).count();
    println!(
        "{} served to the end, {} acknowledged, {} settled, {open} unsettled",
        served.len(),
        acknowledged.len(),
        by_request.len()
    );
    assert!(!acknowledged.is_empty() && !served.is_empty());
}

#[tokio::test]
async fn a_client_that_leaves_a_stream_pays_for_what_it_was_sent() {
    let gateway =
        Gateway::start(&format!("{PRICED}\n{MODELS}"), &format!("{STORE}\nlimits: {{shed_lag: 0ms}}")).await;
    let store = store(&gateway).await;
    assert!(
        ask(gateway.client.clone(), gateway.url("/v1/chat/completions"), "req_0-5".to_owned(), 5)
            .await
            .is_none()
    );
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let all = entries(&store).await;
        if all.len() == 1 && all[0].state == State::Settled {
            assert!(all[0].cost.0 > 0);
            break;
        }
        assert!(Instant::now() < deadline, "{all:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
