//! What feedback has taught a route outlives the process.

use serde_json::json;

use crate::gateway::{Gateway, KEY, eventually};
use crate::postgres_server::server;

const OTHER: &str = "sk-other-key";
const MODELS: &str = "  large: {deployments: [{provider: mock, model: l, price: {input: 100, output: 100}}]}
  small: {deployments: [{provider: mock, model: s, price: {input: 1, output: 1}}]}
  auto:
    route:
      candidates: [{model: large, quality: 0.95}, {model: small, quality: 0.85}]
      target_quality: 0.8
      sticky: off
";

/// Who answers a request with this key, and the request's id.
async fn ask(gateway: &Gateway, key: &str) -> (String, String) {
    // Few tokens, so that what is learnt of the length of answers does not turn the order of the costs.
    let body =
        json!({"model": "auto", "max_tokens": 4, "messages": [{"role": "user", "content": "What is 2+2?"}]});
    let request = gateway.client.post(gateway.url("/v1/chat/completions")).bearer_auth(key);
    let answer = request.body(body.to_string()).send().await.unwrap();
    let header = |name: &str| answer.headers()[name].to_str().unwrap().to_owned();
    let route = header("x-signalbox-route");
    (route.split(';').next().unwrap().to_owned(), header("x-request-id"))
}

async fn judge(gateway: &Gateway, id: &str, score: f64) {
    let body = json!({"request_id": id, "score": score}).to_string();
    let request = gateway.client.post(gateway.url("/v1/feedback")).bearer_auth(KEY).body(body);
    assert_eq!(request.send().await.unwrap().status(), 200);
}

/// Of a gateway on a store of this place.
async fn outlives_a_kill(place: &str) {
    let extra = format!(
        "  - {{name: other, key: {OTHER}, models: ['*']}}\nstore: '{place}'\nkey_hash: a-secret-of-this-test"
    );
    let mut gateway = Gateway::start(MODELS, &extra).await;
    let mut judged = 0;
    // The small model is bad at this tenant's work.
    loop {
        let (model, id) = ask(&gateway, KEY).await;
        if model == "large" {
            break;
        }
        judge(&gateway, &id, 0.0).await;
        judged += 1;
        assert!(judged < 50, "feedback changes nothing");
    }
    let path = place.replace("sqlite:", &format!("sqlite:{}/", gateway.folder.display()));
    let store = store::Store::open(&path).await.unwrap();
    eventually("the store has all judgements", || {
        let store = store.clone();
        let read = async move { store.route_feedback().newest("", 100).await.unwrap().len() };
        tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(read)) == judged
    })
    .await;
    gateway.restart_after_kill().await;
    assert_eq!(ask(&gateway, KEY).await.0, "large", "the correction is there with the first request");
    assert_eq!(ask(&gateway, OTHER).await.0, "small", "it is another tenant's");
    // And it goes on from there: what the large one is praised for brings nothing of that back.
    let (_, id) = ask(&gateway, KEY).await;
    judge(&gateway, &id, 1.0).await;
    assert_eq!(ask(&gateway, KEY).await.0, "large");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_correction_by_feedback_is_kept_by_sqlite_when_the_gateway_is_killed() {
    outlives_a_kill("sqlite:data/signalbox.db").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_correction_by_feedback_is_kept_by_postgres_when_the_gateway_is_killed() {
    outlives_a_kill(&server().url(&server().database())).await;
}
