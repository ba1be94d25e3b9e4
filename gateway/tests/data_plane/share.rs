//! A share of the strong model among a route's own prompts, whatever they are like.

use router_model::score::RouteModel;
use serde_json::json;

use crate::gateway::Gateway;

const SHARE: f64 = 0.25;

/// Plain questions: the calibration's harder ones leave none of them to the strong model.
fn prompt(at: usize) -> String {
    let word = ["moon", "river", "candle", "garden", "letter", "bridge", "winter", "salt"][at % 8];
    match at / 8 % 5 {
        0 => format!("What is {} plus {}?", at % 97, at % 31),
        1 => format!("Translate {word} into French."),
        2 => format!("Give me {} names for a cat that likes the {word}.", at % 9 + 2),
        3 => format!("Hi! What colour is a {word}, and who says so?"),
        _ => format!("Write a line about the {word} and the number {at}."),
    }
}

#[tokio::test]
async fn a_share_of_the_traffic_is_met_where_one_of_the_calibration_is_not() {
    let models = format!(
        "  large: {{deployments: [{{provider: mock, model: l}}]}}
  small: {{deployments: [{{provider: mock, model: s}}]}}
  auto:
    route: {{strong: large, weak: small, share: {SHARE}, share_of: traffic, sticky: off}}
"
    );
    let gateway = Gateway::start(&models, "").await;
    let model = RouteModel::shipped().unwrap();
    let (mut strong, mut usual) = (0, 0);
    let (skipped, counted) = (400, 800);
    for at in 0..skipped + counted {
        let prompt = prompt(at);
        let body = json!({"model": "auto", "messages": [{"role": "user", "content": prompt}]});
        let answer = gateway.post("/v1/chat/completions", body.to_string()).await;
        let route = answer.headers()["x-signalbox-route"].to_str().unwrap();
        assert!(route.contains("reason=classifier"), "{route}");
        if at >= skipped {
            strong += usize::from(route.starts_with("large"));
            usual += usize::from(f64::from(model.score(&prompt).unwrap().quantile()) >= 1.0 - SHARE);
        }
    }
    let share = |count| count as f64 / counted as f64;
    assert!((share(usual) - SHARE).abs() > 0.1, "these prompts prove nothing: {}", share(usual));
    assert!((share(strong) - SHARE).abs() < 0.06, "{}", share(strong));
}
