//! Routers of others: a stand-in that is as strict as Not Diamond's API, and one like RouteLLM's server. Whatever they do, the
//! request is served.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::gateway::Gateway;

/// What the stand-in does with a sound question.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Does {
    Picks(&'static str),
    Hangs,
    SaysNonsense,
    PicksWhatWasNotOffered,
    Refuses,
    Fails,
    HangsUp,
}

/// A router of others, over a real socket.
#[derive(Clone)]
struct Double {
    address: SocketAddr,
    does: Arc<Mutex<Does>>,
    asked: Arc<Mutex<Vec<Value>>>,
}

impl Double {
    async fn start(answer: fn(&str, &Value, Does) -> (u16, String)) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let double = Self { address, does: Arc::new(Mutex::new(Does::Hangs)), asked: Arc::default() };
        let served = double.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(served.clone().serve(stream, answer));
            }
        });
        double
    }

    async fn serve(self, mut stream: TcpStream, answer: fn(&str, &Value, Does) -> (u16, String)) {
        let mut text = Vec::new();
        loop {
            let (head, body) = loop {
                let whole = String::from_utf8_lossy(&text).into_owned();
                if let Some((head, body)) = whole.split_once("\r\n\r\n") {
                    let length = head
                        .to_lowercase()
                        .split("content-length: ")
                        .nth(1)
                        .map_or(0, |rest| rest.split("\r\n").next().unwrap().trim().parse().unwrap());
                    if body.len() >= length {
                        break (head.to_owned(), body.to_owned());
                    }
                }
                if stream.read_buf(&mut text).await.unwrap_or(0) == 0 {
                    return;
                }
            };
            text.clear();
            let body: Value = serde_json::from_str(&body).unwrap_or_default();
            self.asked.lock().unwrap().push(body.clone());
            let does = *self.does.lock().unwrap();
            match does {
                Does::Hangs => std::future::pending().await,
                Does::HangsUp => return,
                _ => {}
            }
            let (status, said) = answer(&head, &body, does);
            let answer = format!(
                "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{said}",
                said.len()
            );
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    }

    fn does(&self, does: Does) {
        *self.does.lock().unwrap() = does;
    }

    fn asked(&self) -> usize {
        self.asked.lock().unwrap().len()
    }
}

/// `POST /v2/modelRouter/modelSelect`: refuses what the real one refuses.
fn not_diamond(head: &str, body: &Value, does: Does) -> (u16, String) {
    let detail = |status, detail: &str| (status, json!({"detail": detail}).to_string());
    if !head.starts_with("POST /v2/modelRouter/modelSelect ") {
        return detail(404, "Not Found");
    }
    if !head.to_lowercase().contains("authorization: bearer nd-key") || does == Does::Refuses {
        return detail(401, "Invalid API key");
    }
    let is_pair = |offer: &Value| offer["provider"].is_string() && offer["model"].is_string();
    let offers = body["llm_providers"].as_array().filter(|offers| !offers.is_empty());
    let (Some(offers), Some(messages)) = (offers, body["messages"].as_array()) else {
        return detail(422, "Field required");
    };
    let is_message = |message: &Value| message["role"].is_string() && !message["content"].is_null();
    if !offers.iter().all(is_pair) || !messages.iter().all(is_message) {
        return detail(422, "Input should be a valid dictionary");
    }
    let (provider, model) = match does {
        Does::Picks(label) => label.split_once('/').unwrap(),
        Does::PicksWhatWasNotOffered => ("openai", "gpt-9"),
        Does::SaysNonsense => return (200, "{\"providers\": [".to_owned()),
        _ => return detail(500, "Internal Server Error"),
    };
    let picked = json!({"providers": [{"provider": provider, "model": model}], "session_id": "s-1"});
    (200, picked.to_string())
}

/// RouteLLM's server: an OpenAI-compatible answer by the model that it picked.
fn routellm(head: &str, body: &Value, does: Does) -> (u16, String) {
    let is_routed = body["model"].as_str().is_some_and(|model| model.starts_with("router-mf-"));
    if !head.starts_with("POST /v1/chat/completions ") || !is_routed || body["max_tokens"] != 1 {
        return (400, json!({"detail": "Invalid model"}).to_string());
    }
    let Does::Picks(model) = does else { return (500, "Internal Server Error".to_owned()) };
    let message = json!({"role": "assistant", "content": "I"});
    let choice = json!({"index": 0, "message": message, "finish_reason": "length"});
    (200, json!({"id": "c", "object": "chat.completion", "model": model, "choices": [choice]}).to_string())
}

fn models(external: &str) -> String {
    format!(
        "  large: {{deployments: [{{provider: mock, model: large-upstream}}]}}\n  small: {{deployments: [{{provider: mock, \
         model: small-upstream}}]}}\n  auto:\n    route: {{candidates: [{{model: large, quality: 0.9, external: \
         anthropic/claude-x}}, {{model: small, quality: 0.5}}], external: {{{external}}}}}\n"
    )
}

async fn ask(gateway: &Gateway, path: &str) -> String {
    let body = json!({"model": "auto", "max_tokens": 5, "messages": [{"role": "user", "content": "hello"}]});
    let answer = gateway.post(path, body.to_string()).await;
    let route = answer.headers().get("x-signalbox-route").map(|it| it.to_str().unwrap().to_owned());
    assert_eq!(answer.status(), 200, "{}", answer.text().await.unwrap());
    route.unwrap()
}

#[tokio::test]
async fn not_diamond_picks_and_whatever_else_it_does_ours_decides() {
    let double = Double::start(not_diamond).await;
    let external = format!(
        "kind: not_diamond, base_url: 'http://{}', api_key: nd-key, timeout: 500ms, tradeoff: cost",
        double.address
    );
    let gateway = Gateway::start(&models(&external), "").await;
    double.does(Does::Picks("openai/small-upstream"));
    assert!(ask(&gateway, "/v1/chat/completions").await.starts_with("small; reason=external"));
    let question = double.asked.lock().unwrap()[0].clone();
    let offers = json!([{"provider": "anthropic", "model": "claude-x"}, {"provider": "openai", "model": "small-upstream"}]);
    assert_eq!(question["llm_providers"], offers);
    assert_eq!((&question["tradeoff"], &question["hash_content"]), (&json!("cost"), &json!(true)));
    assert_eq!(question["messages"], json!([{"role": "user", "content": "hello"}]));
    double.does(Does::Picks("anthropic/claude-x"));
    assert!(ask(&gateway, "/v1/messages").await.starts_with("large; reason=external"), "another format");
    for (does, outcome) in [
        (Does::Hangs, "late"),
        (Does::SaysNonsense, "malformed"),
        (Does::PicksWhatWasNotOffered, "malformed"),
        (Does::Fails, "failed"),
    ] {
        double.does(does);
        let route = ask(&gateway, "/v1/chat/completions").await;
        assert!(route.starts_with("large; reason=policy"), "{does:?}: {route}");
        let metrics = gateway.metrics().await;
        let line = format!("signalbox_route_external_total{{model=\"auto\",outcome=\"{outcome}\"}}");
        assert!(metrics.contains(&line), "{does:?}: {metrics}");
    }
    // It answers again before the fifth failure.
    double.does(Does::Picks("openai/small-upstream"));
    assert!(ask(&gateway, "/v1/chat/completions").await.starts_with("small; reason=external"));
}

#[tokio::test]
async fn a_refused_key_and_an_outage_cost_a_few_questions_and_no_request() {
    for (does, outcome, questions) in [(Does::Refuses, "refused", 1), (Does::HangsUp, "failed", 5)] {
        let double = Double::start(not_diamond).await;
        let external =
            format!("kind: not_diamond, base_url: 'http://{}', api_key: nd-key, timeout: 2s", double.address);
        let gateway = Gateway::start(&models(&external), "").await;
        double.does(does);
        for _ in 0..12 {
            assert!(ask(&gateway, "/v1/chat/completions").await.starts_with("large; reason=policy"));
        }
        // A client may ask once more when a connection is closed under it.
        assert!((questions..=questions + 1).contains(&double.asked()), "{does:?}: {}", double.asked());
        let metrics = gateway.metrics().await;
        let line =
            format!("signalbox_route_external_total{{model=\"auto\",outcome=\"{outcome}\"}} {questions}");
        assert!(metrics.contains(&line), "{metrics}");
        assert!(metrics.contains("outcome=\"out\"}"), "{metrics}");
    }
}

#[tokio::test]
async fn nobody_at_the_address_is_an_outage_like_any_other() {
    let external = "kind: not_diamond, base_url: 'http://127.0.0.1:9', api_key: nd-key";
    let gateway = Gateway::start(&models(external), "").await;
    for _ in 0..7 {
        assert!(ask(&gateway, "/v1/chat/completions").await.starts_with("large; reason=policy"));
    }
}

#[tokio::test]
async fn a_server_of_routellm_picks_by_the_name_of_the_model_that_answers() {
    let double = Double::start(routellm).await;
    let external =
        format!("kind: routellm, base_url: 'http://{}/v1', router: router-mf-0.116", double.address);
    let gateway = Gateway::start(&models(&external), "").await;
    for (says, chosen) in
        [("small-upstream", "small"), ("anthropic/claude-x", "large"), ("openai/small-upstream", "small")]
    {
        double.does(Does::Picks(says));
        let route = ask(&gateway, "/v1/chat/completions").await;
        assert!(route.starts_with(&format!("{chosen}; reason=external")), "{says}: {route}");
    }
    double.does(Does::Fails);
    assert!(ask(&gateway, "/v1/chat/completions").await.starts_with("large; reason=policy"));
}

#[tokio::test]
async fn a_rule_is_not_asked_about() {
    let double = Double::start(not_diamond).await;
    let external = format!("kind: not_diamond, base_url: 'http://{}', api_key: nd-key", double.address);
    let models = models(&external).replace(
        "external: {kind",
        "rules: [{name: hi, when: {keywords: [hello]}, use: small}], external: {kind",
    );
    let gateway = Gateway::start(&models, "").await;
    double.does(Does::Picks("anthropic/claude-x"));
    assert!(ask(&gateway, "/v1/chat/completions").await.starts_with("small; reason=rule"));
    assert_eq!(double.asked(), 0);
}

#[tokio::test]
async fn who_only_counts_a_prompt_asks_no_other_router() {
    let double = Double::start(not_diamond).await;
    let external = format!("kind: not_diamond, base_url: 'http://{}', api_key: nd-key", double.address);
    let gateway = Gateway::start(&models(&external), "").await;
    double.does(Does::Picks("openai/small-upstream"));
    let body = json!({"model": "auto", "messages": [{"role": "user", "content": "hello"}]});
    let counted = gateway.post("/v1/messages/count_tokens", body.to_string()).await;
    assert_eq!(counted.status(), 200);
    assert_eq!(double.asked(), 0);
}
