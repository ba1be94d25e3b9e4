//! The raw pass-through is in the books: nothing passes with a spent budget, and what the provider counts is settled.

use domain::Micros;
use serde_json::{Value, json};
use store::{Counted, Kind, LedgerEntry, State};

use crate::abandoned::until_ended;
use crate::gateway::{Gateway, KEY, chat, eventually};
use crate::ledger::{STORE, entries, spend, store};

/// Their prices hold for the pass-through to the same models too.
const MODELS: &str = "  priced: {deployments: [{provider: mock, model: m, price: {input: 1, output: 1}}]}
  claude: {deployments: [{provider: claude, model: c, price: {input: 1, output: 1}}]}
  slow: {deployments: [{provider: mock, model: 'm;gap=20ms;chunks=1000', price: {input: 1, output: 1}}]}
  uncounted: {deployments: [{provider: mock, model: 'm;no_usage=1', price: {input: 1, output: 1}}]}
  failing: {deployments: [{provider: mock, model: 'm;status=500', price: {input: 1, output: 1}}]}";

async fn pass(gateway: &Gateway, path: &str, body: &Value) -> reqwest::Response {
    let request = gateway.client.post(gateway.url(path)).bearer_auth(KEY);
    request.header("content-type", "application/json").body(body.to_string()).send().await.unwrap()
}

/// The only entry, once it has ended.
async fn only(gateway: &Gateway, outcome: &str) -> LedgerEntry {
    let (all, entry) = until_ended(&store(gateway).await, outcome).await;
    assert_eq!(all.len(), 1, "{all:?}");
    entry
}

#[tokio::test]
async fn what_the_provider_counts_is_settled_whole_and_streamed_in_each_format() {
    let mut with_usage = chat("m", true);
    with_usage["stream_options"] = json!({"include_usage": true});
    let messages = |stream| json!({"model": "c", "stream": stream, "max_tokens": 50, "messages": [{"role": "user", "content": "one two"}]});
    for (path, body) in [
        ("/mock/v1/chat/completions", chat("m", false)),
        ("/mock/v1/chat/completions", with_usage),
        ("/claude/v1/messages", messages(false)),
        ("/claude/v1/messages", messages(true)),
    ] {
        let gateway = Gateway::start(MODELS, STORE).await;
        let answer = pass(&gateway, path, &body).await;
        assert_eq!(answer.status(), 200);
        let text = answer.text().await.unwrap();
        let entry = only(&gateway, "ok").await;
        assert_eq!((entry.kind, entry.counted), (Kind::PassThrough, Counted::Provider), "{path} {entry:?}");
        let total = entry.usage.total();
        assert!(total > 0 && entry.cost == Micros(total) && entry.reserved == Micros(0), "{path} {entry:?}");
        assert!(entry.counts_request && entry.subject.model.ends_with("/*"), "{entry:?}");
        for tokens in [entry.usage.prompt, entry.usage.completion] {
            assert!(text.contains(&format!("_tokens\":{tokens}")), "{path}: {tokens} in {text}");
        }
    }
}

#[tokio::test]
async fn a_stream_that_nobody_counts_or_that_its_client_leaves_is_counted_by_us() {
    let gateway = Gateway::start(MODELS, STORE).await;
    let text =
        pass(&gateway, "/mock/v1/chat/completions", &chat("m;no_usage=1", true)).await.text().await.unwrap();
    assert!(text.ends_with("data: [DONE]\n\n"));
    let whole = only(&gateway, "ok").await;
    assert_eq!((whole.state, whole.counted), (State::Settled, Counted::Estimate));
    assert!(
        whole.usage.prompt > 0 && whole.usage.completion > 0 && whole.cost == Micros(whole.usage.total())
    );

    let gateway = Gateway::start(MODELS, STORE).await;
    let mut answer = pass(&gateway, "/mock/v1/chat/completions", &chat("m;gap=20ms;chunks=1000", true)).await;
    for _ in 0..3 {
        answer.chunk().await.unwrap();
    }
    drop(answer);
    let left = only(&gateway, "client_gone").await;
    assert_eq!((left.state, left.counted), (State::Settled, Counted::Estimate));
    assert!((1..500).contains(&left.usage.completion), "{left:?}");
}

#[tokio::test]
async fn what_is_not_known_stands_as_zero_and_what_is_refused_costs_nothing() {
    let gateway = Gateway::start(MODELS, STORE).await;
    let get = gateway.client.get(gateway.url("/mock/v1/models")).bearer_auth(KEY).send().await.unwrap();
    assert_eq!(get.status(), 200);
    let files = only(&gateway, "ok").await;
    assert_eq!((files.state, files.counted, files.cost), (State::Settled, Counted::Nobody, Micros(0)));
    let refused = pass(&gateway, "/mock/v1/chat/completions", &chat("m;status=500", false)).await;
    assert_eq!(refused.status(), 500);
    let (_, refused) = until_ended(&store(&gateway).await, "rejected").await;
    assert_eq!((refused.state, refused.cost), (State::Aborted, Micros(0)));
}

#[tokio::test]
async fn a_spent_budget_and_used_up_tokens_refuse_it_before_anything_is_sent() {
    let dear =
        "  dear: {deployments: [{provider: mock, model: m, price: {input: 1000000, output: 1000000}}]}";
    let keys = format!(
        "  - {{name: poor, key: sk-poor-key, models: ['*'], budget: {{usd: 1, per: 1d}}}}
  - {{name: short, key: sk-short-key, models: ['*'], tpm: 10}}\n{STORE}"
    );
    let gateway = Gateway::start(dear, &keys).await;
    let ask = |key: &'static str| {
        let request = gateway.client.post(gateway.url("/mock/v1/chat/completions")).bearer_auth(key);
        request.body(chat("m", false).to_string()).send()
    };
    assert_eq!(ask("sk-poor-key").await.unwrap().status(), 200);
    spend(&store(&gateway).await, "poor", 1).await;
    let refused = ask("sk-poor-key").await.unwrap();
    assert_eq!(
        (refused.status().as_u16(), &refused.headers()["x-should-retry"]),
        (429, &"false".parse().unwrap())
    );
    let body: Value = refused.json().await.unwrap();
    assert_eq!(body["error"]["code"], "insufficient_quota", "{body}");
    assert_eq!(ask("sk-short-key").await.unwrap().status(), 200);
    let refused = ask("sk-short-key").await.unwrap();
    assert_eq!(refused.status(), 429);
    assert!(refused.headers().contains_key("retry-after"));
    assert_eq!(gateway.mock.stats().requests, 2);
}

#[tokio::test]
async fn a_running_pass_through_holds_what_it_may_cost() {
    let slow =
        "  slow: {deployments: [{provider: mock, model: 'm;ttft=30s', price: {input: 100, output: 100}}]}";
    let keys =
        format!("  - {{name: poor, key: sk-poor-key, models: ['*'], budget: {{usd: 1, per: 1d}}}}\n{STORE}");
    let gateway = Gateway::start(slow, &keys).await;
    let ask = || {
        let request =
            gateway.client.post(gateway.url("/mock/v1/chat/completions")).bearer_auth("sk-poor-key");
        request.body(chat("m;ttft=30s", false).to_string()).send()
    };
    let running = tokio::spawn(ask());
    eventually("the call", || gateway.mock.stats().requests == 1).await;
    let refused = ask().await.unwrap();
    let status = refused.status();
    let body: Value = refused.json().await.unwrap();
    assert_eq!((status.as_u16(), &body["error"]["code"]), (429, &"budget_held".into()), "{body}");
    running.abort();
    let (_, left) = until_ended(&store(&gateway).await, "client_gone").await;
    assert!(
        left.counted == Counted::Estimate && left.usage.prompt > 0 && left.usage.completion == 0,
        "{left:?}"
    );
    assert_eq!(entries(&store(&gateway).await).await.len(), 1);
}
