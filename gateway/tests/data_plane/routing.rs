//! Virtual models: who answers which prompt, and what happens when the classifier cannot be asked.

use serde_json::{Value, json};

use crate::gateway::Gateway;

/// Two public models that the mock tells apart by name, and a route over them.
fn models(route: &str) -> String {
    let large = "{provider: mock, model: large-upstream}";
    let small = "{provider: mock, model: small-upstream}";
    format!(
        "  large:\n    deployments: [{large}]\n  small:\n    deployments: [{small}]\n  auto:\n    route: {{strong: large, weak: small, {route}}}\n"
    )
}

const COLOURS: &str = "Name three colours of the rainbow.";
const GROUPS: &str = "Let G be a finite group of order 231 = 3 * 7 * 11. Prove that every Sylow 11-subgroup is contained \
                    in the centre of G.\nA. 0\nB. 1\nC. 3\nD. 7\nAnswer:";

async fn ask(gateway: &Gateway, model: &str, prompt: &str) -> (u16, String) {
    let body = json!({"model": model, "messages": [
        {"role": "system", "content": "Be brief."}, {"role": "user", "content": prompt}]});
    let answer = gateway.post("/v1/chat/completions", body.to_string()).await;
    let header = answer.headers().get("x-signalbox-route").map(|value| value.to_str().unwrap().to_owned());
    (answer.status().as_u16(), header.unwrap_or_default())
}

/// The two prompts by what the shipped model makes of them, the lower score first, and a threshold between. Which of the two
/// that is, is the model's matter: a prompt that both models fail at gains nothing from the strong one.
fn low_high_threshold() -> (&'static str, &'static str, f32) {
    let model = router_model::score::RouteModel::shipped().unwrap();
    let [one, other] = [COLOURS, GROUPS].map(|prompt| model.score(prompt).unwrap().strong_win());
    let threshold = f32::midpoint(one, other);
    assert_ne!(one, other, "the model does not tell them apart");
    if one < other { (COLOURS, GROUPS, threshold) } else { (GROUPS, COLOURS, threshold) }
}

#[tokio::test]
async fn a_prompt_above_the_threshold_goes_to_the_strong_model_and_one_below_to_the_weak() {
    let (low, high, threshold) = low_high_threshold();
    let gateway = Gateway::start(&models(&format!("threshold: {threshold}")), "").await;
    for (prompt, chosen) in [(low, "small"), (high, "large"), (low, "small")] {
        let (status, route) = ask(&gateway, "auto", prompt).await;
        assert_eq!(status, 200);
        assert!(route.starts_with(&format!("{chosen}; reason=classifier; win=0.")), "{prompt}: {route}");
    }
    let seen: Vec<String> = gateway
        .mock
        .requests()
        .iter()
        .map(|request| serde_json::from_slice::<Value>(&request.body).unwrap()["model"].to_string())
        .collect();
    assert_eq!(seen, ["\"small-upstream\"", "\"large-upstream\"", "\"small-upstream\""]);
    let (status, route) = ask(&gateway, "large", COLOURS).await;
    assert_eq!((status, route.as_str()), (200, ""), "only routes carry the header");
    let metrics = gateway.metrics().await;
    let line = "signalbox_route_decisions_total{chosen=\"small\",model=\"auto\",reason=\"classifier\"} 2";
    assert!(metrics.contains(line), "{metrics}");
}

#[tokio::test]
async fn a_name_of_routellm_is_the_only_route_with_its_threshold() {
    let gateway = Gateway::start(&models("share: 0.5"), "").await;
    for (name, chosen) in [("router-mf-0", "large"), ("router-bert-1.0", "small")] {
        let (status, route) = ask(&gateway, name, GROUPS).await;
        assert_eq!(status, 200);
        assert!(route.starts_with(chosen), "{name}: {route}");
    }
    let (status, _) = ask(&gateway, "router-mf-7", GROUPS).await;
    assert_eq!(status, 404);
}

#[tokio::test]
async fn a_corrupt_classifier_costs_no_request_and_is_a_metric() {
    let path = std::env::temp_dir().join(format!("signalbox-corrupt-{}.sbm", std::process::id()));
    std::fs::write(&path, b"this is no model").unwrap();
    let route = format!("threshold: 0.5, classifier: {}", path.display());
    let gateway = Gateway::start(&models(&route), "").await;
    let (status, route) = ask(&gateway, "auto", COLOURS).await;
    std::fs::remove_file(&path).unwrap();
    assert_eq!(status, 200);
    assert!(route.starts_with("large; reason=no_classifier"), "{route}");
    let up = format!("signalbox_route_classifier_up{{classifier=\"{}\"}} 0", path.display());
    assert!(gateway.metrics().await.contains(&up));
}
