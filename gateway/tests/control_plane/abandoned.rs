//! Calls that were given up: the provider may bill their prompt, so the ledger counts it, by our own count.

use std::time::{Duration, Instant};

use domain::Micros;
use store::{Counted, LedgerEntry, State, Store};

use crate::gateway::{Gateway, KEY, chat};
use crate::ledger::{PRICED, STORE, entries, store};

/// The entries, once one of them ended like this.
pub(super) async fn until_ended(store: &Store, outcome: &str) -> (Vec<LedgerEntry>, LedgerEntry) {
    until(store, outcome, |_| true).await
}

async fn until(
    store: &Store,
    outcome: &str,
    is_it: impl Fn(&LedgerEntry) -> bool,
) -> (Vec<LedgerEntry>, LedgerEntry) {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let all = entries(store).await;
        if let Some(found) = all.iter().find(|entry| entry.outcome == outcome && is_it(entry)).cloned() {
            return (all, found);
        }
        assert!(Instant::now() < deadline, "no {outcome} in {all:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn is_prompt_alone(entry: &LedgerEntry) -> bool {
    let usage = entry.usage;
    entry.state == State::Settled
        && entry.counted == Counted::Estimate
        && usage.prompt > 0
        && usage.completion == 0
        && entry.cost == Micros(usage.prompt)
}

#[tokio::test]
async fn an_attempt_that_was_silent_too_long_pays_its_prompt_and_the_request_counts_once() {
    let silent = "  silent:
    deployments: [{provider: mock, model: 'm;ttft=30s', price: {input: 1, output: 1}}]
    timeouts: {first_token: 200ms, answer: 200ms}
    fallbacks: [priced]
";
    let gateway = Gateway::start(&format!("{silent}{PRICED}"), STORE).await;
    let store = store(&gateway).await;
    let answer = gateway.post("/v1/chat/completions", chat("silent", true).to_string()).await;
    assert!(answer.text().await.unwrap().ends_with("data: [DONE]\n\n"));
    let (all, silent) = until_ended(&store, "first_token_timeout").await;
    assert!(is_prompt_alone(&silent) && !silent.counts_request, "{silent:?}");
    let (_, fallback) = until_ended(&store, "ok").await;
    assert!(fallback.counts_request && fallback.request_id == silent.request_id, "{all:?}");
}

#[tokio::test]
async fn an_attempt_that_lost_a_race_pays_its_prompt() {
    let tail = "  tail: {deployments: [{provider: mock, model: 'm;ttft=2s;every=50', price: {input: 1, output: 1}}], hedge: {share: 0.04}}";
    let gateway = Gateway::start(tail, STORE).await;
    for _ in 0..200 {
        assert_eq!(gateway.chat("tail").await.status(), 200);
    }
    let store = store(&gateway).await;
    // On a busy machine the other one may answer before this one is sent, which then costs nothing.
    let (all, lost) = until(&store, "hedge_lost", |lost| lost.state == State::Settled).await;
    assert!(is_prompt_alone(&lost) && !lost.counts_request, "{lost:?}");
    let same = all.iter().filter(|entry| entry.request_id == lost.request_id);
    assert_eq!(same.filter(|entry| entry.counts_request).count(), 1);
}

#[tokio::test]
async fn a_client_that_leaves_before_the_answer_pays_its_prompt() {
    let slow = "  slow: {deployments: [{provider: mock, model: 'm;ttft=30s', price: {input: 1, output: 1}}]}";
    let gateway = Gateway::start(slow, STORE).await;
    let request = gateway.client.post(gateway.url("/v1/chat/completions")).bearer_auth(KEY);
    let asking = request.body(chat("slow", false).to_string()).send();
    // It leaves when the provider has the request.
    let has_request = crate::gateway::eventually("the call", || gateway.mock.stats().requests == 1);
    tokio::select! {
        answer = asking => panic!("{answer:?}"),
        () = has_request => {}
    }
    let (_, left) = until_ended(&store(&gateway).await, "client_gone").await;
    assert!(is_prompt_alone(&left) && left.counts_request, "{left:?}");
}

#[tokio::test]
async fn a_refused_call_costs_nothing() {
    let refused = "  refused:
    deployments: [{provider: mock, model: 'm;status=429', price: {input: 1, output: 1}}]
    fallbacks: [priced]
";
    let gateway = Gateway::start(&format!("{refused}{PRICED}"), STORE).await;
    assert_eq!(gateway.chat("refused").await.status(), 200);
    let (_, refused) = until_ended(&store(&gateway).await, "rate_limited").await;
    assert_eq!((refused.state, refused.cost, refused.usage.prompt), (State::Aborted, Micros(0), 0));
}
