//! An operator of one gateway: calls of its admin API with the token.

use serde_json::Value;

use crate::gateway::Gateway;

pub(super) const TOKEN: &str = "admin-token-1";

/// A gateway with these models and settings whose admin API has a token.
pub(super) async fn start(models: &str, extra: &str) -> Gateway {
    with_token(Gateway::start(models, extra).await).await
}

/// The gateway, once its admin API has a token.
pub(super) async fn with_token(gateway: Gateway) -> Gateway {
    let path = gateway.folder.join("signalbox.yaml");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replacen("admin: {", &format!("admin: {{token: {TOKEN}, "), 1)).unwrap();
    gateway.reloaded(1).await;
    gateway
}

/// Status and JSON of a call.
pub(super) async fn call(gateway: &Gateway, method: &str, path: &str, body: Value) -> (u16, Value) {
    let url = format!("http://{}{path}", gateway.admin);
    let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
    let request = gateway.client.request(method, url).bearer_auth(TOKEN);
    let request = if body.is_null() { request } else { request.json(&body) };
    let answer = request.send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap_or_default())
}

/// The same, which must succeed.
pub(super) async fn done(gateway: &Gateway, method: &str, path: &str, body: Value) -> Value {
    let (status, answer) = call(gateway, method, path, body).await;
    assert!((200..300).contains(&status), "{method} {path}: {status} {answer}");
    answer
}

/// Status and text of what is read.
pub(super) async fn get(gateway: &Gateway, path: &str) -> (u16, String) {
    let request = gateway.client.get(format!("http://{}{path}", gateway.admin)).bearer_auth(TOKEN);
    let answer = request.send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

/// JSON that is read, which must succeed.
pub(super) async fn json(gateway: &Gateway, path: &str) -> Value {
    let (status, body) = get(gateway, path).await;
    assert_eq!(status, 200, "{path}: {body}");
    serde_json::from_str(&body).unwrap()
}

/// Status and error code of a chat with this key.
pub(super) async fn chat(gateway: &Gateway, key: &str, model: &str) -> (u16, String) {
    let request = gateway.client.post(gateway.url("/v1/chat/completions")).bearer_auth(key);
    let answer = request.body(crate::gateway::chat(model, false).to_string()).send().await.unwrap();
    let status = answer.status().as_u16();
    let body: Value = answer.json().await.unwrap();
    (status, body["error"]["code"].as_str().unwrap_or_default().to_owned())
}
