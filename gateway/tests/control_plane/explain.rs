//! What a route would decide about a request, for operators.

use serde_json::{Value, json};

use crate::operator::{call, done, start};

const MODELS: &str = "  dear: {deployments: [{provider: mock, model: d, price: {input: 100, output: 100}}]}
  middle: {deployments: [{provider: mock, model: m, price: {input: 10, output: 10}}]}
  cheap: {deployments: [{provider: mock, model: c, price: {input: 1, output: 1}}]}
  auto:
    route:
      candidates: [{model: dear, head: strong}, {model: middle, head: weak}, {model: cheap, quality: 0.5}]
      target_quality: 0.3
      max_cost: 0.02
      respect_keys: true
      rules: [{name: sql, when: {keywords: [sql]}, use: middle}]
";
const PATH: &str = "/api/v1/route/explain";

fn chat(content: &str) -> Value {
    json!({"model": "auto", "messages": [{"role": "user", "content": content}]})
}

#[tokio::test]
async fn a_decision_is_explained_without_being_made() {
    let keys = "  - {name: few, key: sk-few-key, models: [auto, middle]}\nrouter: {stage1: {model: /nowhere/stage1}}\n";
    let gateway = start(MODELS, keys).await;
    let told = done(&gateway, "POST", PATH, chat("Name three colours of the rainbow.")).await;
    assert_eq!((&told["model"], &told["chosen"]), (&json!("auto"), &json!("cheap")), "{told}");
    assert_eq!(told["reason"], "classifier");
    assert_eq!(told["stage1"]["outcome"], "down", "{told}");
    assert!(told["classifier"].as_str().unwrap().contains('@'), "{told}");
    let of = |model: &str| {
        let all = told["candidates"].as_array().unwrap();
        all.iter().find(|it| it["model"] == model).unwrap_or_else(|| panic!("{model}: {told}"))
    };
    assert_eq!((&of("cheap")["rank"], &of("cheap")["quality"]), (&json!(1), &json!(0.5)));
    assert_eq!((&of("dear")["rank"], &of("dear")["excluded"]), (&json!(null), &json!("cost")), "{told}");
    let words = |side: &str| of("middle")[side].as_array().unwrap().len();
    assert!(words("raised") + words("lowered") > 3, "{told}");
    let ruled = done(&gateway, "POST", PATH, chat("some sql")).await;
    assert_eq!(
        (&ruled["rule"], &ruled["chosen"], &ruled["reason"]),
        (&json!("sql"), &json!("middle"), &json!("rule"))
    );
    let as_key = done(&gateway, "POST", &format!("{PATH}?as=few"), chat("hello")).await;
    assert_eq!((&as_key["chosen"], &as_key["reason"]), (&json!("middle"), &json!("constraint")), "{as_key}");
    assert_eq!(as_key["candidates"][1]["excluded"], "key", "{as_key}");
    let mut messages = chat("hello");
    messages["max_tokens"] = json!(1);
    let other = done(&gateway, "POST", &format!("{PATH}?path=/v1/messages"), messages).await;
    assert_eq!(other["chosen"], "cheap", "{other}");
    assert!(gateway.mock.requests().is_empty(), "nothing was sent");
    assert!(!gateway.metrics().await.contains("signalbox_route_decisions_total{"));
}

#[tokio::test]
async fn each_candidate_tells_what_keeps_it_away() {
    let models = "  chatty: {deployments: [{provider: mock, model: gpt-5-chat}]}
  blind: {deployments: [{provider: mock, model: gpt-4}]}
  formless: {deployments: [{provider: claude, model: claude-sonnet-4-5}]}
  able: {deployments: [{provider: mock, model: gpt-4.1}]}
  auto:
    route:
      candidates: [{model: able, quality: 0.9}, {model: chatty, quality: 0.8}, {model: blind, quality: 0.7}, {model: formless, quality: 0.6}]
";
    let gateway = start(models, "").await;
    let mut everything = chat("hello");
    everything["tools"] = json!([{"type": "function", "function": {"name": "f", "parameters": {}}}]);
    everything["response_format"] = json!({"type": "json_object"});
    everything["messages"][0]["content"] = json!([{"type": "text", "text": "what is this?"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}]);
    let excluded = async |body: Value| {
        let told = done(&gateway, "POST", PATH, body).await;
        let candidates = told["candidates"].as_array().unwrap().iter();
        let mut all: Vec<String> = candidates
            .filter(|it| !it["excluded"].is_null())
            .map(|it| format!("{} {}", it["model"].as_str().unwrap(), it["excluded"].as_str().unwrap()))
            .collect();
        all.sort();
        all
    };
    assert_eq!(excluded(everything).await, ["blind vision", "chatty tools", "formless json"]);
    assert_eq!(excluded(chat(&"word ".repeat(9_000))).await, ["blind context"]);
    assert_eq!(excluded(chat("hello")).await, [] as [&str; 0]);
}

#[tokio::test]
async fn what_cannot_be_explained_is_refused_with_what_is_wrong() {
    let gateway = start(MODELS, "").await;
    for (path, body, status, said) in [
        (PATH, json!({"model": "plain", "messages": []}), 400, "no route"),
        (PATH, json!({"model": "nothing", "messages": []}), 404, "`nothing`"),
        (PATH, json!({"messages": []}), 400, "model"),
        ("/api/v1/route/explain?path=/v1/dreams", chat("hello"), 400, "path"),
        ("/api/v1/route/explain?as=nobody", chat("hello"), 404, "nobody"),
    ] {
        let (told, answer) = call(&gateway, "POST", path, body).await;
        assert!(told == status && answer.to_string().contains(said), "{path}: {told} {answer}");
    }
}
