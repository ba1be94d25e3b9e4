//! A share of the answers of routes is looked at a second time: what a better model says is feedback.

use serde_json::json;

use crate::gateway::Gateway;

/// Three models that the weak one is compared with: one agrees, one does not, one cannot be reached. A judge tells of long answers.
fn models(shadow: &str, small: &str, large: &str) -> String {
    format!(
        "  large: {{deployments: [{{provider: mock, model: '{large}', price: {{input: 10, output: 10}}}}], retries: {{attempts: 1}}}}
  small: {{deployments: [{{provider: mock, model: '{small}', price: {{input: 1, output: 1}}}}]}}
  judge: {{deployments: [{{provider: mock, model: 'j;say={{\"score\": 3}}', price: {{input: 10, output: 10}}}}]}}
  vague: {{deployments: [{{provider: mock, model: 'j;say=quite good'}}]}}
  auto:
    route: {{strong: large, weak: small, threshold: 1, sticky: off, shadow: {{share: 1{shadow}}}}}
"
    )
}

const LONG: &str = "The sky looks blue since short waves of sunlight are scattered far more strongly by molecules of air than \
    long red ones, so that blue light reaches our eyes from everywhere above";

async fn ask(gateway: &Gateway, stream: bool) -> String {
    let turns = json!([{"role": "user", "content": "Why is the sky blue?"}]);
    let body = json!({"model": "auto", "stream": stream, "messages": turns}).to_string();
    let answer = gateway.post("/v1/chat/completions", body).await;
    assert_eq!(answer.status(), 200);
    let id = answer.headers()["x-request-id"].to_str().unwrap().to_owned();
    answer.bytes().await.unwrap();
    id
}

fn seen(outcome: &str, count: usize) -> String {
    format!("signalbox_route_shadow_total{{model=\"auto\",outcome=\"{outcome}\"}} {count}")
}

#[tokio::test]
async fn short_answers_are_compared_with_the_references() {
    for (large, outcome) in [("l;say=It is 42.", "agreed"), ("l;say=41", "differed")] {
        let gateway = Gateway::start(&models("", "s;say=42", large), "").await;
        let id = ask(&gateway, false).await;
        gateway.until_metric(&seen(outcome, 1)).await;
        gateway.until_metric("signalbox_route_feedback_total{chosen=\"small\",model=\"auto\"} 1").await;
        let feedback = json!({"request_id": id, "score": 1}).to_string();
        let again = gateway.post("/v1/feedback", feedback).await;
        assert_eq!(again.status(), 200, "its client still can judge");
        ask(&gateway, true).await;
        gateway.until_metric(&seen(outcome, 2)).await;
        let asked = gateway.mock.requests();
        let streamed =
            asked.iter().filter(|it| String::from_utf8_lossy(&it.body).contains("\"stream\":true"));
        assert_eq!(
            (asked.len(), streamed.count()),
            (4, 2),
            "each was asked of both, in the client's own form"
        );
    }
}

#[tokio::test]
async fn of_long_answers_a_judge_tells_where_there_is_one() {
    let small = format!("s;say={LONG}");
    let large = "l;say=Nitrogen and oxygen scatter wavelengths by the inverse fourth power, named after Lord Rayleigh, hence \
        violet and blue dominate the diffuse daylight";
    for (shadow, outcome, judged) in
        [("", "unclear", false), (", judge: judge", "judged", true), (", judge: vague", "unclear", false)]
    {
        let gateway = Gateway::start(&models(shadow, &small, large), "").await;
        ask(&gateway, false).await;
        gateway.until_metric(&seen(outcome, 1)).await;
        let metrics = gateway.metrics().await;
        let feedback = "signalbox_route_feedback_total{chosen=\"small\",model=\"auto\"} 1";
        assert_eq!(metrics.contains(feedback), judged, "{metrics}");
        assert!(!metrics.contains("aborted"), "whatever was begun came to its end: {metrics}");
        let asked = gateway.mock.requests();
        let bodies: Vec<_> = asked.iter().map(|it| String::from_utf8_lossy(&it.body).into_owned()).collect();
        let to_judge = bodies.iter().find(|body| body.contains("You grade answers"));
        assert_eq!(to_judge.is_some(), !shadow.is_empty());
        assert!(to_judge.is_none_or(|body| body.contains("Rayleigh") && body.contains("short waves")));
    }
}

#[tokio::test]
async fn a_reference_that_fails_costs_no_client_anything_and_judges_nobody() {
    let gateway = Gateway::start(&models("", "s;say=42", "l;status=500"), "").await;
    ask(&gateway, false).await;
    gateway.until_metric(&seen("failed", 1)).await;
    assert!(!gateway.metrics().await.contains("signalbox_route_feedback_total{"));
}

#[tokio::test]
async fn a_key_that_has_spent_its_day_is_not_looked_at() {
    // The first look costs some hundreds of millionths.
    let gateway = Gateway::start(&models(", usd: 0.000001", "s;say=42", "l;say=42"), "").await;
    ask(&gateway, false).await;
    gateway.until_metric(&seen("agreed", 1)).await;
    for _ in 0..5 {
        ask(&gateway, false).await;
    }
    assert_eq!(gateway.mock.requests().len(), 7);
    assert!(gateway.metrics().await.contains(&seen("agreed", 1)));
}

#[tokio::test]
async fn answers_of_the_reference_and_of_requests_with_tools_are_left_alone() {
    let gateway = Gateway::start(&models("", "s;say=42", "l;say=42"), "").await;
    let tool = json!({"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}});
    let turns = json!([{"role": "user", "content": "Why is the sky blue?"}]);
    let with_tools = json!({"model": "auto", "messages": turns, "tools": [tool]});
    let several = json!({"model": "auto", "messages": turns, "n": 2});
    for body in [with_tools, several, json!({"model": "large", "messages": turns})] {
        assert_eq!(gateway.post("/v1/chat/completions", body.to_string()).await.status(), 200);
    }
    // Whatever came would have come by then.
    ask(&gateway, false).await;
    gateway.until_metric(&seen("agreed", 1)).await;
    assert_eq!(gateway.mock.requests().len(), 5);
}
