//! What the catalogue knows of a model keeps requests away that it cannot take, and the decision tells which of that it was.

use serde_json::{Value, json};

use crate::gateway::{Gateway, eventually};

/// By the catalogue `chatty` calls no tools, `blind` sees no pictures and has a short context; Anthropic's format has nothing
/// for JSON without a schema. Each is cheaper than `able`.
const MODELS: &str =
    "  chatty: {deployments: [{provider: mock, model: gpt-5-chat, price: {input: 1, output: 1}}]}
  blind: {deployments: [{provider: mock, model: gpt-4, price: {input: 2, output: 2}}]}
  formless: {deployments: [{provider: claude, model: claude-sonnet-4-5, price: {input: 3, output: 3}}]}
  able: {deployments: [{provider: mock, model: gpt-4.1, price: {input: 40, output: 40}}]}
  declared: {deployments: [{provider: mock, model: own, price: {input: 1, output: 1}}]}
";

fn chat(content: &Value) -> Value {
    // Few tokens, so that what is learnt of the length of answers does not turn the order of the costs.
    json!({"model": "auto", "max_tokens": 4, "messages": [{"role": "user", "content": content}]})
}

fn with_tools() -> Value {
    let mut body = chat(&json!("hello"));
    body["tools"] = json!([{"type": "function", "function": {"name": "f", "parameters": {}}}]);
    body
}

fn with_picture() -> Value {
    chat(&json!([{"type": "text", "text": "what is this?"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}]))
}

fn with_form(form: &Value) -> Value {
    let mut body = chat(&json!("hello"));
    body["response_format"] = form.clone();
    body
}

fn schema() -> Value {
    json!({"type": "json_schema", "json_schema": {"name": "s", "schema": {"type": "object", "properties": {},
        "additionalProperties": false}}})
}

/// Who answers, and what the log's decision says of the first candidate.
async fn decided(gateway: &Gateway, body: &Value) -> (String, Value) {
    let path = gateway.folder.join("access.log");
    let decisions = || {
        let log = std::fs::read_to_string(&path).unwrap_or_default();
        let lines = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        lines.filter(|line| !line["decision"].is_null()).collect::<Vec<_>>()
    };
    let before = decisions().len();
    let answer = gateway.post("/v1/chat/completions", body.to_string()).await;
    let status = answer.status();
    let header = answer.headers().get("x-signalbox-route").map(|it| it.to_str().unwrap().to_owned());
    assert_eq!(status, 200, "{}", answer.text().await.unwrap());
    eventually("the log has the decision", || decisions().len() > before).await;
    let decision = decisions().pop().unwrap()["decision"].clone();
    (header.unwrap(), decision["evidence"]["candidates"][0].clone())
}

/// A route over the model that lacks something and the one that does not. With the thing it lacks the request goes to the
/// other, without it to the cheaper one.
async fn is_kept_away(candidate: &str, excluded: &str, body: &Value) {
    let models = format!(
        "{MODELS}  auto: {{route: {{candidates: [{candidate}, {{model: able, quality: 0.9}}], target_quality: 0.5}}}}\n"
    );
    let gateway = Gateway::start(&models, "\nlog: {access: access.log, level: error}").await;
    let (header, told) = decided(&gateway, body).await;
    assert!(header.starts_with("able; reason=constraint"), "{header}");
    assert_eq!(told["excluded"], excluded, "{told}");
    let (header, told) = decided(&gateway, &chat(&json!("hello"))).await;
    let name = told["model"].as_str().unwrap();
    assert!(header.starts_with(name) && told.get("excluded").is_none(), "{header} {told}");
}

#[tokio::test]
async fn a_model_that_calls_no_tools_is_not_asked_to() {
    is_kept_away("{model: chatty, quality: 0.8}", "tools", &with_tools()).await;
    is_kept_away("{model: declared, quality: 0.8, tools: false}", "tools", &with_tools()).await;
}

#[tokio::test]
async fn a_model_that_sees_no_pictures_is_shown_none() {
    is_kept_away("{model: blind, quality: 0.8}", "vision", &with_picture()).await;
    is_kept_away("{model: declared, quality: 0.8, vision: false}", "vision", &with_picture()).await;
}

#[tokio::test]
async fn a_prompt_longer_than_a_models_context_goes_elsewhere() {
    let long = chat(&json!("word ".repeat(8_000)));
    is_kept_away("{model: blind, quality: 0.8}", "context", &long).await;
    is_kept_away("{model: declared, quality: 0.8, context: 4000}", "context", &long).await;
}

#[tokio::test]
async fn an_answer_in_json_is_asked_of_who_can_give_it() {
    let plain = with_form(&json!({"type": "json_object"}));
    is_kept_away("{model: formless, quality: 0.8}", "json", &plain).await;
    is_kept_away("{model: declared, quality: 0.8, json: false}", "json", &plain).await;
    is_kept_away("{model: declared, quality: 0.8, json: false}", "json", &with_form(&schema())).await;
}

#[tokio::test]
async fn the_configuration_knows_better_than_the_catalogue() {
    let candidate = "{model: blind, quality: 0.8, vision: true}";
    let models = format!(
        "{MODELS}  auto: {{route: {{candidates: [{candidate}, {{model: able, quality: 0.9}}], target_quality: 0.5}}}}\n"
    );
    let gateway = Gateway::start(&models, "\nlog: {access: access.log, level: error}").await;
    assert!(decided(&gateway, &with_picture()).await.0.starts_with("blind"));
}

#[tokio::test]
async fn a_limit_of_the_route_that_a_model_is_beyond_is_in_the_log() {
    let models = format!(
        "{MODELS}  auto: {{route: {{candidates: [{{model: able, quality: 0.9}}, {{model: chatty, quality: 0.8}}], \
         max_cost: 0.0001}}}}\n"
    );
    let gateway = Gateway::start(&models, "\nlog: {access: access.log, level: error}").await;
    let (header, told) = decided(&gateway, &chat(&json!("hello"))).await;
    assert!(header.starts_with("chatty; reason=constraint"), "{header}");
    assert_eq!((&told["beyond"], told.get("excluded")), (&json!("cost"), None), "{told}");
}
