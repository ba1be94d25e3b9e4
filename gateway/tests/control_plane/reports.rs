//! Reports of what was spent, as JSON and CSV, and their reconciliation with the single attempts.

use serde_json::Value;

use crate::gateway::Gateway;
use crate::ledger::{PRICED, STORE};
use crate::operator::{self, get, json};

/// A gateway whose admin API has a token, after three requests for one model and two for another.
async fn used() -> (Gateway, u64) {
    let models = format!(
        "{PRICED}\n  other: {{deployments: [{{provider: mock, model: m, price: {{input: 1, output: 1}}}}]}}"
    );
    let gateway = operator::start(&models, STORE).await;
    let mut tokens = 0;
    for model in ["priced", "priced", "priced", "other", "other"] {
        let answer: Value = gateway.chat(model).await.json().await.unwrap();
        tokens += answer["usage"]["total_tokens"].as_u64().unwrap();
    }
    (gateway, tokens)
}

#[tokio::test]
async fn a_report_adds_up_by_what_is_asked_for() {
    let (gateway, tokens) = used().await;
    let report = json(&gateway, "/api/v1/reports?by=model,day").await;
    let rows = report["data"].as_array().unwrap();
    let micros: u64 = rows.iter().map(|row| row["micros"].as_u64().unwrap()).sum();
    assert_eq!(micros, tokens, "{report}");
    let of = |model: &str| -> u64 {
        let rows = rows.iter().filter(|row| row["model"] == model);
        rows.map(|row| row["requests"].as_u64().unwrap()).sum()
    };
    assert_eq!((of("priced"), of("other")), (3, 2));
    assert!(rows.iter().all(|row| row["day"].as_str().unwrap().len() == 10), "{report}");
    let narrow = json(&gateway, "/api/v1/reports?by=key&model=other").await;
    assert_eq!((&narrow["data"][0]["key"], &narrow["data"][0]["requests"]), (&"test".into(), &2.into()));
    let past = json(&gateway, "/api/v1/reports?by=key&from=2020-01-01&to=2020-02-01").await;
    assert_eq!(past["data"].as_array().unwrap().len(), 0);
}

#[tokio::test]
async fn a_report_as_csv_has_a_head_and_the_same_figures() {
    let (gateway, tokens) = used().await;
    let (status, text) = get(&gateway, "/api/v1/reports?by=provider&format=csv").await;
    assert_eq!(status, 200);
    let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split(',').collect()).collect();
    let column = |name: &str| lines[0].iter().position(|head| *head == name).unwrap();
    assert_eq!((lines[1][column("provider")], lines[1][column("requests")]), ("mock", "5"), "{text}");
    assert_eq!(lines[1][column("micros")], tokens.to_string());
    assert_eq!(lines.len(), 2);
}

#[tokio::test]
async fn sums_and_attempts_agree_and_wrong_questions_are_told_why() {
    let (gateway, _) = used().await;
    let hour = |hours: u64| {
        let at = std::time::SystemTime::now() + std::time::Duration::from_secs(hours * 3_600);
        humantime::format_rfc3339_seconds(at)
    };
    let checked = json(&gateway, &format!("/api/v1/reconcile?to={}", hour(1))).await;
    assert_eq!((&checked["agree"], checked["differences"].as_array().unwrap().len()), (&true.into(), 0));
    let wrong = [
        ("/api/v1/reports?by=colour", "key, team, user"),
        ("/api/v1/reports?from=yesterday", "2026-11-24"),
        ("/api/v1/reports?from=2026-02-01&to=2026-01-01", "not after"),
        ("/api/v1/reports?format=xml", "json or csv"),
        ("/api/v1/reconcile?from=2020-01-01", "32 days"),
    ];
    for (path, said) in wrong {
        let (status, body) = get(&gateway, path).await;
        assert!(status == 400 && body.contains(said), "{path}: {status} {body}");
    }
    let url = format!("http://{}/api/v1/reports", gateway.admin);
    assert_eq!(gateway.client.get(url).send().await.unwrap().status(), 401);
}
