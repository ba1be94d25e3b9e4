//! What `Cache-Status` (RFC 9211) says of each way past the cache.

use serde_json::Value;

use crate::gateway::{Gateway, KEY, chat};

const MODELS: &str = "
  kept: {deployments: [{provider: mock, model: m}]}
  never: {deployments: [{provider: mock, model: m}], cache: off}
";

/// Status, `x-signalbox-cache` and `cache-status` of an answer, whose key is cut out, and its error's code.
async fn told(gateway: &Gateway, model: &str, headers: &[(&str, &str)]) -> (u16, String, String, Value) {
    let mut request = gateway.client.post(gateway.url("/v1/chat/completions")).bearer_auth(KEY);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let answer = request.body(chat(model, false).to_string()).send().await.unwrap();
    let header = |name: &str| answer.headers()[name].to_str().unwrap().to_owned();
    let (status, mark, told) =
        (answer.status().as_u16(), header("x-signalbox-cache"), header("cache-status"));
    let body: Value = answer.json().await.unwrap();
    // An answer is kept right after its last byte was sent.
    gateway.until_metric("signalbox_requests_in_flight 0").await;
    let parts: Vec<&str> =
        told.split("; ").map(|it| if it.starts_with("key=") { "key" } else { it }).collect();
    (status, mark, parts.join("; "), body["error"]["code"].clone())
}

fn said(mark: &str, status: &str) -> (u16, String, String, Value) {
    (200, mark.to_owned(), status.to_owned(), Value::Null)
}

#[tokio::test]
async fn each_way_past_the_cache_has_the_words_of_the_standard() {
    let gateway = Gateway::start(MODELS, "cache: {exact: {ttl: 1h}}").await;
    let no_cache = [("cache-control", "no-cache")];
    // Nothing is kept that the request could have declined.
    assert_eq!(told(&gateway, "kept", &no_cache).await, said("bypass", "signalbox; fwd=miss; key"));
    // Now there is.
    assert_eq!(told(&gateway, "kept", &no_cache).await, said("bypass", "signalbox; fwd=request; key"));
    let (status, mark, hit, _) = told(&gateway, "kept", &[]).await;
    assert_eq!((status, mark.as_str()), (200, "hit"));
    assert!(hit.starts_with("signalbox; hit; ttl=3") && hit.ends_with("; key"), "{hit}");
    // Too old for this request, though fresh. One that is just made is older than no time at all only a moment later.
    tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    let young = [("cache-control", "max-age=0")];
    assert_eq!(told(&gateway, "kept", &young).await, said("miss", "signalbox; fwd=request; key"));
    // The configuration, or the request in so many words, leaves the cache out.
    assert_eq!(told(&gateway, "never", &[]).await, said("bypass", "signalbox; fwd=bypass"));
    let off = [("x-signalbox-cache", "off")];
    assert_eq!(told(&gateway, "kept", &off).await, said("bypass", "signalbox; fwd=bypass"));
    assert_eq!(told(&gateway, "never", &no_cache).await, said("bypass", "signalbox; fwd=bypass"));
}

#[tokio::test]
async fn what_is_past_its_time_is_stale_also_for_whom_declines_it() {
    let cache = "cache: {exact: {ttl: 1ms, stale_if_error: 1h}}";
    let gateway = Gateway::start(MODELS, cache).await;
    assert_eq!(told(&gateway, "kept", &[]).await, said("miss", "signalbox; fwd=miss; key"));
    tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    assert_eq!(told(&gateway, "kept", &[]).await, said("miss", "signalbox; fwd=stale; key"));
    let no_cache = [("cache-control", "no-cache")];
    assert_eq!(told(&gateway, "kept", &no_cache).await, said("bypass", "signalbox; fwd=stale; key"));
}

#[tokio::test]
async fn a_request_that_takes_a_kept_answer_only_goes_nowhere() {
    let gateway = Gateway::start(MODELS, "cache: {exact: {ttl: 1h}}").await;
    let only = [("cache-control", "only-if-cached")];
    let refused =
        |mark: &str, status: &str| (504, mark.to_owned(), status.to_owned(), Value::from("not_kept"));
    let nothing = refused("miss", "signalbox; key; detail=\"only-if-cached\"");
    assert_eq!(told(&gateway, "kept", &only).await, nothing);
    let never = refused("bypass", "signalbox; detail=\"only-if-cached\"");
    assert_eq!(told(&gateway, "never", &only).await, never);
    told(&gateway, "kept", &[]).await;
    // What contradicts itself gets no answer either.
    let both = [("cache-control", "only-if-cached, no-cache")];
    assert_eq!(told(&gateway, "kept", &both).await, nothing);
    assert_eq!(told(&gateway, "kept", &only).await.1, "hit");
    assert_eq!(gateway.mock.requests().len(), 1);
    gateway.until_metric("signalbox_requests_total{model=\"kept\",outcome=\"not_kept\"} 2").await;
}
