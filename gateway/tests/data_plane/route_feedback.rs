//! Feedback on routed answers: who may judge what, and that a tenant whose work gets harder gets its quality back.

use futures_util::StreamExt;
use router_model::score::RouteModel;
use serde_json::{Value, json};

use crate::gateway::Gateway;

const MODELS: &str = "  large: {deployments: [{provider: mock, model: large-upstream, price: {input: 10, output: 10}}]}
  small: {deployments: [{provider: mock, model: small-upstream, price: {input: 1, output: 1}}]}
  auto:
    route: {candidates: [{model: large, head: strong}, {model: small, head: weak}], target_quality: 0.6, sticky: off}
";

async fn judge(gateway: &Gateway, key: &str, body: Value) -> (u16, String) {
    let request = gateway.client.post(gateway.url("/v1/feedback")).bearer_auth(key).body(body.to_string());
    let answer = request.send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

#[tokio::test]
async fn a_routed_answer_is_judged_once_by_who_got_it() {
    let gateway = Gateway::start(MODELS, "  - {name: other, key: sk-other-key, models: ['*']}\n").await;
    let body = json!({"model": "auto", "messages": [{"role": "user", "content": "What is 2+2?"}]});
    let answer = gateway.post("/v1/chat/completions", body.to_string()).await;
    let id = answer.headers()["x-request-id"].to_str().unwrap().to_owned();
    let key = crate::gateway::KEY;
    for wrong in [
        json!({"request_id": id}),
        json!({"request_id": id, "score": 1.5}),
        json!({"request_id": id, "score": 1, "correct": true}),
        json!({"request_id": "unknown", "score": 1}),
    ] {
        assert_eq!(judge(&gateway, key, wrong.clone()).await.0, 400, "{wrong}");
    }
    assert_eq!(judge(&gateway, "sk-other-key", json!({"request_id": id, "score": 0})).await.0, 400);
    let (status, said) = judge(&gateway, key, json!({"request_id": id, "score": 0.25})).await;
    assert_eq!(status, 200, "{said}");
    let (status, said) = judge(&gateway, key, json!({"request_id": id, "score": 0.25})).await;
    assert!(status == 400 && said.contains("x-signalbox-route"), "{said}");
    let metrics = gateway.metrics().await;
    assert!(metrics.contains("signalbox_route_feedback_total{chosen=\""), "{metrics}");
    assert!(metrics.contains("signalbox_route_feedback_surprise{chosen=\""), "{metrics}");
}

#[tokio::test]
async fn who_asks_the_same_again_judges_the_answer_before() {
    let broken = "  down: {deployments: [{provider: mock, model: 'm;status=400'}]}
  broken:
    route: {candidates: [{model: down, head: weak}], target_quality: 0.5, repeat_score: 0}
";
    let models = MODELS.replace("sticky: off", "sticky: off, repeat_score: 0.2") + broken;
    let gateway = Gateway::start(&models, "  - {name: other, key: sk-other-key, models: ['*']}\n").await;
    let ask = async |key: &str, model: &str, temperature: f64| {
        let turns = json!([{"role": "user", "content": "Why is the sky blue?"}]);
        let body = json!({"model": model, "temperature": temperature, "messages": turns});
        let request = gateway.client.post(gateway.url("/v1/chat/completions")).bearer_auth(key);
        let answer = request.body(body.to_string()).send().await.unwrap();
        let id = answer.headers()["x-request-id"].to_str().unwrap().to_owned();
        answer.bytes().await.unwrap();
        // It has come to its end here too.
        gateway.until_metric("signalbox_requests_in_flight 0").await;
        id
    };
    let judged = async || {
        let metrics = gateway.metrics().await;
        let line = metrics.lines().find(|line| line.starts_with("signalbox_route_repeats_total{"));
        line.map_or(0, |line| line.rsplit(' ').next().unwrap().parse().unwrap())
    };
    let key = crate::gateway::KEY;
    let first = ask(key, "auto", 0.1).await;
    ask("sk-other-key", "auto", 0.1).await;
    ask(key, "small", 0.1).await;
    assert_eq!(judged().await, 0, "other keys and other models repeat nothing");
    let second = ask(key, "auto", 0.9).await;
    assert_eq!(judged().await, 1);
    assert_eq!(
        judge(&gateway, key, json!({"request_id": first, "score": 1})).await.0,
        200,
        "its client still can"
    );
    assert_eq!(judge(&gateway, key, json!({"request_id": second, "score": 1})).await.0, 200);
    ask(key, "auto", 0.9).await;
    assert_eq!(judged().await, 1, "what the client has said counts");
    for _ in 0..3 {
        ask(key, "broken", 0.1).await;
    }
    let metrics = gateway.metrics().await;
    assert!(!metrics.contains("signalbox_route_repeats_total{model=\"broken\"}"), "no answer, no judgement");
}

#[tokio::test]
async fn a_request_that_the_cache_answers_repeats_nothing() {
    let models = MODELS.replace("sticky: off", "sticky: off, repeat_score: 0.2");
    let gateway = Gateway::start(&format!("{models}cache: {{memory: 64MiB, exact: {{ttl: 1h}}}}"), "").await;
    let body = json!({"model": "auto", "temperature": 0, "messages": [{"role": "user", "content": "Why?"}]});
    let ask = async |control: &str| {
        let request =
            gateway.client.post(gateway.url("/v1/chat/completions")).bearer_auth(crate::gateway::KEY);
        let answer = request.header("cache-control", control).body(body.to_string()).send().await.unwrap();
        let way = answer.headers()["x-signalbox-cache"].to_str().unwrap().to_owned();
        answer.bytes().await.unwrap();
        gateway.until_metric("signalbox_requests_in_flight 0").await;
        let is_judged = gateway.metrics().await.contains("signalbox_route_repeats_total{model=\"auto\"} 1");
        (way, is_judged)
    };
    assert_eq!(ask("max-age=60").await, ("miss".to_owned(), false));
    assert_eq!(ask("max-age=60").await, ("hit".to_owned(), false));
    assert!(ask("no-cache").await.1, "who asks for a new answer repeats it");
}

/// Questions of many kinds, for the classifier to tell apart.
fn question(at: u64) -> String {
    let topics =
        ["the tides", "prime numbers", "a contract", "photosynthesis", "the French revolution", "sorting"];
    let topic = topics[usize::try_from(at % 6).unwrap()];
    match at / 6 % 5 {
        0 => format!("Explain {topic} to a child in {} sentences.", at % 7 + 2),
        1 => format!(
            "Which statement about {topic} is NOT true?\nA. {at}\nB. none\nC. all\nD. {}\nAnswer:",
            at * 3
        ),
        2 => format!("Prove or refute: for all n > {at}, {topic} implies x^2 + {at} = y^3."),
        3 => format!("Write a Python function about {topic} that returns {at} items; give its complexity."),
        _ => format!("{topic}? {at}"),
    }
}

/// A tenant's traffic: what each answer is worth is drawn from what the classifier predicts, made harder.
struct Tenant<'g> {
    gateway: &'g Gateway,
    model: RouteModel,
    next: u64,
}

impl Tenant<'_> {
    /// Sends requests, some of them judged; the mean quality that the answers really have.
    async fn send(&mut self, requests: u64, harder: f64, judges: bool) -> f64 {
        let (gateway, model) = (self.gateway, &self.model);
        let range = self.next..self.next + requests;
        self.next += requests;
        let answers = futures_util::stream::iter(range).map(async |at| {
            let prompt = question(at);
            let body = json!({"model": "auto", "messages": [{"role": "user", "content": prompt}]});
            let answer = gateway.post("/v1/chat/completions", body.to_string()).await;
            let route = answer.headers()["x-signalbox-route"].to_str().unwrap();
            let head = if route.starts_with("large") { "strong" } else { "weak" };
            let predicted = model.score(&prompt).unwrap().quality()[model.head(head).unwrap()];
            let truth = harder_by(harder, predicted);
            if judges && at % 20 == 7 {
                let id = answer.headers()["x-request-id"].to_str().unwrap().to_owned();
                let chance = at.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 11;
                let is_good = (chance as f64 / (1_u64 << 53) as f64) < truth;
                let said =
                    judge(gateway, crate::gateway::KEY, json!({"request_id": id, "correct": is_good})).await;
                assert_eq!(said.0, 200, "{}", said.1);
            }
            truth
        });
        let truths: Vec<f64> = answers.buffered(16).collect().await;
        truths.iter().sum::<f64>() / requests as f64
    }
}

/// What an answer is worth when the work is harder than what the classifier knows.
fn harder_by(shift: f64, predicted: f32) -> f64 {
    let odds = f64::from(predicted / (1.0 - predicted)) * f64::exp(-shift);
    odds / (1.0 + odds)
}

/// A target that is missed by so much without a correction, and met with the right one.
fn target(model: &RouteModel, harder: f64) -> f64 {
    let (weak, strong) = model.pair();
    let prompts: Vec<[f32; 2]> = (0..600)
        .map(|at| model.score(&question(at)).unwrap().quality().to_vec())
        .map(|quality| [quality[weak], quality[strong]])
        .collect();
    let mean = |target: f64, correction: f64| {
        let choose = |[weak, strong]: &[f32; 2]| {
            let suffices = |quality: f32| harder_by(correction, quality) >= target;
            let chosen = match (suffices(*weak), suffices(*strong)) {
                (true, _) => *weak,
                (false, true) => *strong,
                (false, false) => weak.max(*strong),
            };
            harder_by(harder, chosen)
        };
        prompts.iter().map(choose).sum::<f64>() / prompts.len() as f64
    };
    // As far from both as can be.
    let margin = |target: f64| (target - mean(target, 0.0)).min(mean(target, harder) - target);
    let targets = (200..900).map(|mille| f64::from(mille) / 1_000.0);
    let best = targets.max_by(|one, other| margin(*one).total_cmp(&margin(*other))).unwrap();
    assert!(margin(best) > 0.015, "{best} {}", margin(best));
    best
}

#[tokio::test]
async fn a_tenant_whose_work_gets_harder_has_its_quality_back_within_two_thousand_requests() {
    let model = RouteModel::shipped().unwrap();
    let harder = 1.2;
    let target = target(&model, harder);
    let gateway = Gateway::start(&MODELS.replace("0.6,", &format!("{target},")), "").await;
    let mut tenant = Tenant { gateway: &gateway, model, next: 0 };
    let before = tenant.send(300, 0.0, true).await;
    assert!(before >= target, "{before} {target}");
    let shifted = tenant.send(300, harder, false).await;
    assert!(shifted < target - 0.01, "the shift is not felt: {shifted} {target}");
    tenant.send(2_000, harder, true).await;
    let after = tenant.send(600, harder, false).await;
    assert!(after >= target, "{after} {target}");
}
