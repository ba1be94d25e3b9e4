//! Requests that the same kept answer would serve, at the same time: one upstream call for all of them, whole and streamed.

use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::gateway::{Gateway, KEY, eventually};

const MODELS: &str = "
  slow: {deployments: [{provider: mock, model: 'm;ttft=1500ms;gap=5ms;chunks=30'}]}
  long: {deployments: [{provider: mock, model: 'm;gap=100ms;chunks=40'}]}
  priced: {deployments: [{provider: mock, model: 'm;ttft=1s', price: {input: 1, output: 1}}]}
  endless: {deployments: [{provider: mock, model: 'm;gap=20ms;chunks=10000'}]}
  broken: {deployments: [{provider: mock, model: 'm;ttft=1s;status=500'}], retries: {attempts: 1}}
  alone: {deployments: [{provider: mock, model: 'm;ttft=300ms'}], coalesce: off}
";
const CACHE: &str = "cache: {exact: {ttl: 1h, outlives: 1s}}
limits: {shed_lag: 0ms}";
const KEYS: &str = "  - {name: poor, key: sk-poor, budget: {usd: 0.0000001, per: 1d}}
  - {name: other, key: sk-other}";

fn request(model: &str, stream: bool) -> Value {
    json!({"model": model, "stream": stream, "messages": [{"role": "user", "content": "one two three four"}]})
}

struct Told {
    status: u16,
    mark: String,
    coalesced: bool,
    text: String,
}

async fn ask(gateway: &Gateway, key: &str, body: &Value) -> Told {
    let request = gateway.client.post(gateway.url("/v1/chat/completions")).bearer_auth(key);
    let answer = request.body(body.to_string()).send().await.unwrap();
    let header = |name: &str| answer.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
    let (status, mark) = (answer.status().as_u16(), header("cache-status").unwrap_or_default());
    let coalesced = header("x-signalbox-coalesced").is_some();
    Told { status, mark, coalesced, text: answer.text().await.unwrap() }
}

/// The text of a complete answer of either form.
fn content(told: &Told, stream: bool) -> String {
    if !stream {
        let answer: Value = serde_json::from_str(&told.text).unwrap_or_else(|_| panic!("{}", told.text));
        assert_eq!(answer["choices"][0]["finish_reason"], "stop");
        return answer["choices"][0]["message"]["content"].as_str().unwrap().to_owned();
    }
    assert!(told.text.ends_with("data: [DONE]\n\n"), "{}", told.text);
    let chunks = told.text.lines().filter_map(|line| line.strip_prefix("data: "));
    let chunks: Vec<Value> = chunks.filter_map(|chunk| serde_json::from_str(chunk).ok()).collect();
    assert!(chunks.iter().any(|chunk| chunk["choices"][0]["finish_reason"] == "stop"));
    chunks.iter().filter_map(|chunk| chunk["choices"][0]["delta"]["content"].as_str()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_whole_and_streamed_make_one_call_whoever_is_first() {
    for stream_first in [true, false] {
        let gateway = Gateway::start(MODELS, CACHE).await;
        let is_stream = |turn: usize| turn.is_multiple_of(2) == stream_first;
        let herd = join_all((0..1000).map(|turn| {
            let (gateway, stream) = (&gateway, is_stream(turn));
            async move {
                if turn > 0 {
                    eventually("the first one asks", || gateway.mock.requests().len() == 1).await;
                }
                ask(gateway, KEY, &request("slow", stream)).await
            }
        }))
        .await;
        assert_eq!(gateway.mock.requests().len(), 1);
        let text = content(&herd[0], stream_first);
        assert!(text.len() > 20, "{text}");
        for (turn, told) in herd.iter().enumerate() {
            assert_eq!((told.status, content(told, is_stream(turn))), (200, text.clone()));
            // Those who came when the answer was there already were given it.
            let is_hit = told.mark.starts_with("signalbox; hit;");
            let is_collapsed = told.mark.starts_with("signalbox; fwd=miss; collapsed; key=");
            assert_eq!((is_hit || is_collapsed, is_collapsed), (turn > 0, told.coalesced), "{}", told.mark);
        }
        assert!(herd.iter().filter(|told| told.coalesced).count() > 100);
        gateway.until_metric("signalbox_requests_in_flight 0").await;
        gateway.until_metric("signalbox_requests_total{model=\"slow\",outcome=\"ok\"} 1000").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_get_their_answer_when_the_first_client_leaves_after_three_chunks() {
    let gateway = Gateway::start(MODELS, CACHE).await;
    let mut first =
        gateway.post("/v1/chat/completions", request("long", true).to_string()).await.bytes_stream();
    for _ in 0..3 {
        first.next().await.unwrap().unwrap();
    }
    let others = join_all((1..1000).map(|turn| {
        let (gateway, stream) = (&gateway, turn % 2 == 0);
        async move { (stream, ask(gateway, KEY, &request("long", stream)).await) }
    }));
    // It leaves while some have come and others have not.
    let leave = async {
        gateway.until_metric("signalbox_requests_total{model=\"long\",outcome=\"ok\"} 0").await;
        drop(first);
    };
    let leave = async { drop(timeout(Duration::from_millis(50), leave).await) };
    let (others, ()) = tokio::join!(others, leave);
    assert_eq!(gateway.mock.requests().len(), 1);
    let text = content(&others[0].1, others[0].0);
    for (stream, told) in &others {
        assert_eq!((told.status, content(told, *stream)), (200, text.clone()));
    }
}

#[tokio::test]
async fn an_answer_outlives_its_only_client_for_a_while_and_is_kept() {
    let gateway = Gateway::start(MODELS, "cache: {exact: {outlives: 30s}}").await;
    let body = request("long", true);
    let mut first = gateway.post("/v1/chat/completions", body.to_string()).await.bytes_stream();
    first.next().await.unwrap().unwrap();
    drop(first);
    gateway.until_metric("signalbox_cache_stores_total 1").await;
    let told = ask(&gateway, KEY, &request("long", false)).await;
    assert!(told.mark.starts_with("signalbox; hit;"), "{}", told.mark);
    assert_eq!(gateway.mock.requests().len(), 1);

    let gateway = Gateway::start(MODELS, "cache: {exact: {outlives: 300ms}}").await;
    let mut first =
        gateway.post("/v1/chat/completions", request("endless", true).to_string()).await.bytes_stream();
    first.next().await.unwrap().unwrap();
    drop(first);
    eventually("the upstream call ends", || gateway.mock.stats().aborted_streams == 1).await;
}

#[tokio::test]
async fn a_failure_is_everyones_and_a_spent_budget_is_its_keys() {
    let gateway = Gateway::start(MODELS, &format!("{KEYS}\ncache: {{exact: {{scope: global}}}}")).await;
    let herd = join_all((0..20).map(|turn| {
        let gateway = &gateway;
        async move { ask(gateway, KEY, &request("broken", turn % 2 == 0)).await }
    }));
    for told in herd.await {
        assert_eq!(told.status, 502);
        assert!(serde_json::from_str::<Value>(&told.text).unwrap()["error"]["message"].is_string());
    }
    assert_eq!(gateway.mock.requests().len(), 1);

    // Whoever is first: the one that cannot pay is refused, and the others are not.
    let herd = join_all((0..20).map(|turn| {
        let gateway = &gateway;
        async move {
            let key = if turn % 2 == 0 { "sk-poor" } else { KEY };
            (key, ask(gateway, key, &request("priced", turn % 4 < 2)).await)
        }
    }));
    for (key, told) in herd.await {
        // One that cannot pay may follow somebody who can.
        assert!(told.status == 200 || (key == "sk-poor" && told.status == 429), "{key}: {}", told.status);
    }
    assert_eq!(gateway.mock.requests().len(), 2);
}

#[tokio::test]
async fn scopes_questions_and_models_that_want_no_sharing_have_calls_of_their_own() {
    let gateway = Gateway::start(MODELS, &format!("{KEYS}\n{CACHE}")).await;
    let calls = async |asked: Vec<(&'static str, Value)>| {
        let before = gateway.mock.requests().len();
        let all = join_all(asked.iter().map(|(key, body)| ask(&gateway, key, body))).await;
        assert!(all.iter().all(|told| told.status == 200));
        gateway.mock.requests().len() - before
    };
    let mut user = request("slow", false);
    user["user"] = json!("somebody");
    assert_eq!(calls(vec![(KEY, request("slow", false)), (KEY, user)]).await, 1);
    let mut seed = request("slow", true);
    seed["seed"] = json!(1);
    let mut uncached = seed.clone();
    uncached["cache"] = json!({"no-cache": true});
    assert_eq!(calls(vec![(KEY, seed), (KEY, uncached), ("sk-other", request("slow", true))]).await, 3);
    assert_eq!(calls(vec![(KEY, request("alone", false)), (KEY, request("alone", false))]).await, 2);
}
