//! Answers to other wordings: when they begin to be served, to whom, and what makes them stop. The mock answers with the
//! question, so that two wordings agree when nothing but chat differs.

use serde_json::{Value, json};

use crate::gateway::{Gateway, eventually};

pub(crate) const MODELS: &str = "
  kept: {deployments: [{provider: mock, model: m}]}
  other: {deployments: [{provider: mock, model: m}]}
";
const PATH: &str = "/v1/chat/completions";
/// Of hits four in ten may be wrong, which twenty right answers in a row make sure.
pub(crate) const EASY: &str = "cache: {semantic: {max_error: 0.4, audit_share: 0}}";

pub(crate) fn plain(at: usize) -> Value {
    chat(&format!("How do I bake cake {at}?"))
}

pub(crate) fn reworded(at: usize) -> Value {
    chat(&format!("hi, how do I bake cake {at}? thanks"))
}

fn chat(text: &str) -> Value {
    json!({"model": "kept", "messages": [{"role": "user", "content": text}]})
}

pub(crate) struct Answer {
    pub(crate) mark: String,
    status: String,
    request_id: String,
    body: String,
}

pub(crate) async fn ask(gateway: &Gateway, body: &Value) -> Answer {
    let answer = gateway.post(PATH, body.to_string()).await;
    assert_eq!(answer.status(), 200, "{body}");
    let header = |name: &str| {
        answer.headers().get(name).map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default()
    };
    let (mark, status) = (header("x-signalbox-cache"), header("cache-status"));
    let request_id = header("x-request-id");
    Answer { mark, status, request_id, body: answer.text().await.unwrap() }
}

/// Asks one thing after another in two wordings until the second one is served; which one that was, and its answer.
pub(crate) async fn until_served(gateway: &Gateway) -> (usize, Answer) {
    for at in 1000..1300 {
        assert_eq!(ask(gateway, &plain(at)).await.mark, "miss");
        let answer = ask(gateway, &reworded(at)).await;
        if answer.mark == "semantic" {
            assert!(at >= 1008, "with so little evidence nothing may be served");
            return (at, answer);
        }
    }
    panic!("nothing was served");
}

#[tokio::test]
async fn another_wording_is_answered_once_there_is_evidence_and_says_why() {
    let gateway = Gateway::start(MODELS, EASY).await;
    let (at, answer) = until_served(&gateway).await;
    assert!(answer.body.contains(&format!("How do I bake cake {at}?")), "{}", answer.body);
    for part in ["signalbox; hit; ttl=", "key=\"", "detail=\"semantic similarity=", "score=0.99", "bound=0."]
    {
        assert!(answer.status.contains(part), "{}", answer.status);
    }
    let calls = gateway.mock.requests().len();
    let streamed = gateway.post(PATH, with(reworded(at), "stream", true).to_string()).await;
    assert_eq!(streamed.headers()["x-signalbox-cache"], "semantic");
    let text = streamed.text().await.unwrap();
    assert!(text.contains("data: [DONE]") && text.contains("bake"), "{text}");
    assert_eq!(gateway.mock.requests().len(), calls);
    gateway.until_metric("signalbox_cache_semantic_hits_total 2").await;
    let metrics = gateway.metrics().await;
    assert!(metrics.contains("signalbox_cache_semantic_false_hit_ratio{kind=\"bound\"} 0."), "{metrics}");
}

fn with(mut body: Value, field: &str, value: impl Into<Value>) -> Value {
    body[field] = value.into();
    body
}

#[tokio::test]
async fn nothing_but_the_wording_may_differ() {
    let gateway = Gateway::start(MODELS, EASY).await;
    let (at, _) = until_served(&gateway).await;
    let system = json!({"role": "system", "content": "be brief"});
    let earlier = json!({"role": "assistant", "content": "yes"});
    let question = reworded(at)["messages"][0].clone();
    for other in [
        with(reworded(at), "messages", json!([system, question])),
        with(reworded(at), "messages", json!([question, earlier, question])),
        with(reworded(at), "temperature", 0.1),
        with(reworded(at), "model", "other"),
        with(reworded(at), "cache", json!({"namespace": "n"})),
        chat(&format!("hi, how do I bake cake {}? thanks", at + 50_000)),
        chat(&format!("hi, how do I not bake cake {at}? thanks")),
        chat(&format!("hi, how do I bake cake {at} in Oslo? thanks")),
    ] {
        let answer = ask(&gateway, &other).await;
        assert_ne!(answer.mark, "semantic", "{other}: {}", answer.status);
    }
    let tools = json!([{"type": "function", "function": {"name": "f"}}]);
    let tools = with(with(reworded(at), "tools", tools), "cache", json!({"use-cache": true}));
    assert_eq!(ask(&gateway, &tools).await.mark, "miss");
    assert_eq!(ask(&gateway, &reworded(at)).await.mark, "semantic");
    assert_eq!(ask(&gateway, &with(reworded(at), "cache", json!({"no-cache": true}))).await.mark, "bypass");
}

#[tokio::test]
async fn who_got_a_wrong_answer_says_so_once_and_does_not_get_it_again() {
    let gateway = Gateway::start(MODELS, EASY).await;
    let (at, answer) = until_served(&gateway).await;
    let wrong = json!({"request_id": answer.request_id, "correct": false});
    let said = gateway.post("/v1/feedback", wrong.to_string()).await;
    assert_eq!(said.status(), 200);
    let again = gateway.post("/v1/feedback", wrong.to_string()).await;
    assert_eq!(again.status(), 400);
    let text = again.text().await.unwrap();
    assert!(text.contains("x-request-id") && text.contains("request_id"), "{text}");
    for nonsense in ["", "{}", "{\"request_id\": 3, \"correct\": false}"] {
        assert_eq!(gateway.post("/v1/feedback", nonsense.to_owned()).await.status(), 400, "{nonsense}");
    }
    assert_eq!(ask(&gateway, &reworded(at)).await.mark, "miss");
    gateway.until_metric("signalbox_cache_semantic_objections_total 1").await;
}

#[tokio::test]
async fn an_audited_hit_is_served_at_once_and_asked_upstream_beside_it() {
    let gateway = Gateway::start(MODELS, &EASY.replace("audit_share: 0", "audit_share: 1")).await;
    let (at, answer) = until_served(&gateway).await;
    assert!(answer.body.contains(&format!("How do I bake cake {at}?")));
    let audited = format!("hi, how do I bake cake {at}? thanks");
    let is_asked = || {
        gateway.mock.requests().iter().any(|asked| String::from_utf8_lossy(&asked.body).contains(&audited))
    };
    eventually("the provider is asked too", is_asked).await;
    gateway.until_metric("signalbox_cache_semantic_audits_total{verdict=\"right\"} 1").await;
    // The fresh answer was kept under its own key.
    assert_eq!(ask(&gateway, &reworded(at)).await.mark, "hit");
}

#[tokio::test]
async fn feedback_without_a_semantic_cache_says_what_is_missing() {
    let gateway = Gateway::start(MODELS, "").await;
    let said = gateway.post("/v1/feedback", json!({"request_id": "r", "correct": false}).to_string()).await;
    assert_eq!(said.status(), 400);
    assert!(said.text().await.unwrap().contains("cache.semantic"));
}

#[tokio::test]
async fn what_was_learnt_outlives_the_process() {
    for key in ["", ", key: '0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef'"] {
        learnt_outlives(key).await;
    }
}

async fn learnt_outlives(key: &str) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kept");
    let disk = format!("cache: {{disk: {{path: {}, size: 64MiB{key}}}, semantic:", path.display());
    let mut gateway = Gateway::start(MODELS, &EASY.replace("cache: {semantic:", &disk)).await;
    let (at, _) = until_served(&gateway).await;
    end(&mut gateway).await;
    gateway.restart_after_kill().await;
    let answer = ask(&gateway, &reworded(at)).await;
    assert_eq!(answer.mark, "semantic", "{}", answer.status);
}

/// Ends the process as systemd does, which writes what was learnt.
pub(crate) async fn end(gateway: &mut Gateway) {
    let ended =
        std::process::Command::new("kill").args(["-TERM", &gateway.pid().to_string()]).status().unwrap();
    assert!(ended.success());
    eventually("the gateway ends", || gateway.has_ended()).await;
}
