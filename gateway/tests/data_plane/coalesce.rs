//! Identical requests that run at the same time share one upstream call.

use futures_util::StreamExt;
use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::gateway::{Gateway, KEY, eventually};

const MODELS: &str = "
  slow: {deployments: [{provider: mock, model: 'm;ttft=300ms;gap=5ms;chunks=30'}]}
  long: {deployments: [{provider: mock, model: 'm;gap=20ms;chunks=150'}]}
  endless: {deployments: [{provider: mock, model: 'm;gap=20ms;chunks=10000'}]}
  huge: {deployments: [{provider: mock, model: 'm;ttft=100ms;size=60000'}]}
  broken: {deployments: [{provider: mock, model: 'm;ttft=300ms;status=500'}], retries: {attempts: 1}}
  cut: {deployments: [{provider: mock, model: 'm;ttft=300ms;chunks=30;fault=close;after=5'}], resume: off}
  never: {deployments: [{provider: mock, model: 'm;ttft=300ms'}], coalesce: off}
  always: {deployments: [{provider: mock, model: 'm;ttft=300ms'}], coalesce: all}
";

fn request(model: &str, stream: bool) -> Value {
    json!({
        "model": model, "stream": stream, "temperature": 0,
        "messages": [{"role": "user", "content": "one two three four"}],
    })
}

impl Gateway {
    async fn ask(&self, body: &Value) -> reqwest::Response {
        self.post("/v1/chat/completions", body.to_string()).await
    }
}

#[tokio::test]
async fn a_herd_of_streams_makes_one_upstream_call_and_everyone_gets_all_of_it() {
    let gateway = Gateway::start(MODELS, "").await;
    let body = request("slow", true);
    let herd = join_all((0..200).map(|_| async {
        let answer = gateway.ask(&body).await;
        let coalesced = answer.headers().contains_key("x-signalbox-coalesced");
        (answer.headers()["x-request-id"].clone(), coalesced, answer.text().await.unwrap())
    }))
    .await;
    assert_eq!(gateway.mock.requests().len(), 1);
    let (_, _, first) = &herd[0];
    assert!(first.ends_with("data: [DONE]\n\n"), "{first}");
    assert!(herd.iter().all(|(_, _, text)| text == first));
    assert_eq!(herd.iter().filter(|(_, coalesced, _)| *coalesced).count(), 199);
    let ids: std::collections::HashSet<_> = herd.iter().map(|(id, ..)| id).collect();
    assert_eq!(ids.len(), 200);
    gateway.until_metric("signalbox_requests_in_flight 0").await;
    gateway.until_metric("signalbox_coalesced_total 199").await;
    gateway.until_metric("signalbox_requests_total{model=\"slow\",outcome=\"ok\"} 200").await;
}

#[tokio::test]
async fn whole_answers_are_shared_and_paid_for_once() {
    let gateway = Gateway::start(MODELS, "").await;
    let body = request("slow", false);
    let herd = join_all((0..50).map(|_| async { gateway.ask(&body).await.text().await.unwrap() })).await;
    let answer: Value = serde_json::from_str(&herd[0]).unwrap();
    assert!(herd.iter().all(|text| *text == herd[0]));
    assert_eq!(gateway.mock.requests().len(), 1);
    gateway.until_metric("signalbox_requests_in_flight 0").await;
    let completion = answer["usage"]["completion_tokens"].as_u64().unwrap();
    let metrics = gateway.metrics().await;
    let line = metrics
        .lines()
        .find(|line| line.contains("model=\"slow\"") && line.contains("type=\"completion\""))
        .unwrap();
    assert!(line.ends_with(&format!(" {completion}")), "{line}");
}

#[tokio::test]
async fn the_others_get_their_answer_when_the_first_client_leaves() {
    let gateway = Gateway::start(MODELS, "").await;
    let body = request("long", true);
    let mut first = gateway.ask(&body).await.bytes_stream();
    let others = async {
        let others = (0..20).map(|_| async { gateway.ask(&body).await.text().await.unwrap() });
        join_all(others).await
    };
    let leave = async {
        for _ in 0..3 {
            first.next().await.unwrap().unwrap();
        }
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        drop(first);
    };
    let (texts, ()) = tokio::join!(others, leave);
    for text in &texts {
        assert!(text.ends_with("data: [DONE]\n\n"));
        assert_eq!(text.matches("\"content\":\"").count(), texts[0].matches("\"content\":\"").count());
    }
    assert_eq!(gateway.mock.requests().len(), 1);
}

#[tokio::test]
async fn the_upstream_call_ends_when_everyone_has_left() {
    let gateway = Gateway::start(MODELS, "").await;
    let body = request("endless", true);
    let mut streams = Vec::new();
    for _ in 0..5 {
        let mut stream = gateway.ask(&body).await.bytes_stream();
        stream.next().await.unwrap().unwrap();
        streams.push(stream);
    }
    drop(streams);
    eventually("the upstream call ends", || gateway.mock.stats().aborted_streams == 1).await;
    assert_eq!(gateway.mock.requests().len(), 1);
    let again = gateway.ask(&body).await.bytes_stream().next().await;
    assert!(again.unwrap().is_ok());
    assert_eq!(gateway.mock.requests().len(), 2);
}

#[tokio::test]
async fn everyone_gets_the_error_in_an_envelope_or_in_the_stream() {
    let gateway = Gateway::start(MODELS, "").await;
    for (model, stream) in [("broken", false), ("broken", true)] {
        let body = request(model, stream);
        let before = gateway.mock.requests().len();
        for answer in join_all((0..10).map(|_| gateway.ask(&body))).await {
            assert_eq!(answer.status(), 502);
            let error: Value = answer.json().await.unwrap();
            assert!(error["error"]["message"].is_string(), "{error}");
        }
        assert_eq!(gateway.mock.requests().len(), before + 1);
    }
    let body = request("cut", true);
    for answer in join_all((0..10).map(|_| gateway.ask(&body))).await {
        let text = answer.text().await.unwrap();
        assert!(text.contains("\"error\"") && !text.contains("[DONE]"), "{text}");
    }
}

#[tokio::test]
async fn an_answer_too_long_to_keep_reaches_everyone_who_was_there() {
    let gateway = Gateway::start(MODELS, "").await;
    let body = request("huge", true);
    let herd = join_all((0..10).map(|_| async { gateway.ask(&body).await.bytes().await.unwrap() })).await;
    let tail = String::from_utf8_lossy(&herd[0][herd[0].len().saturating_sub(300)..]);
    assert!(herd[0].len() > 2 << 20 && tail.ends_with("data: [DONE]\n\n"), "{} {tail}", herd[0].len());
    assert!(herd.iter().all(|bytes| *bytes == herd[0]));
    assert_eq!(gateway.mock.requests().len(), 1);
}

#[tokio::test]
async fn only_identical_deterministic_requests_of_one_key_are_shared() {
    let gateway = Gateway::start(MODELS, "").await;
    let calls = |model: &'static str, change: fn(&mut Value)| {
        let gateway = &gateway;
        async move {
            let mut body = request(model, false);
            change(&mut body);
            let before = gateway.mock.requests().len();
            join_all((0..5).map(|_| gateway.ask(&body))).await;
            gateway.mock.requests().len() - before
        }
    };
    assert_eq!(calls("slow", |_| ()).await, 1);
    assert_eq!(calls("slow", |body| body["temperature"] = json!(0.2)).await, 5);
    assert_eq!(calls("slow", |body| drop(body.as_object_mut().unwrap().remove("temperature"))).await, 5);
    assert_eq!(calls("never", |_| ()).await, 5);
    assert_eq!(calls("always", |body| body["temperature"] = json!(0.7)).await, 1);

    let before = gateway.mock.requests().len();
    let url = gateway.url("/v1/chat/completions");
    let send = |seed: u32, key: &'static str, control: Option<&'static str>| {
        let mut body = request("slow", false);
        body["seed"] = json!(seed);
        let mut asked = gateway.client.post(&url).bearer_auth(key).body(body.to_string());
        if let Some(control) = control {
            asked = asked.header("cache-control", control);
        }
        async { asked.send().await.unwrap().status() }
    };
    join_all([send(1, KEY, None), send(2, KEY, None)]).await;
    assert_eq!(gateway.mock.requests().len(), before + 2, "another seed is another request");
    join_all([send(1, KEY, None), send(1, "sk-limited-key", None)]).await;
    assert_eq!(gateway.mock.requests().len(), before + 4, "another key has an answer of its own");
    join_all([send(1, KEY, None), send(1, KEY, Some("no-cache"))]).await;
    assert_eq!(gateway.mock.requests().len(), before + 6, "no-cache wants an answer of its own");
}
