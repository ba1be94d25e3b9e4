//! The single entries of the ledger leave the gateway in pages, as sheets, in LiteLLM's words and by command.

use std::process::Command;

use serde_json::Value;

use crate::gateway::{Gateway, KEY};
use crate::ledger::{PRICED, STORE, spend, store};
use crate::operator::{self, get, json};

/// A gateway after seven requests, and their tokens, which are micro-dollars.
async fn used() -> (Gateway, u64) {
    let gateway = operator::start(PRICED, STORE).await;
    let mut tokens = 0;
    for _ in 0..7 {
        let answer: Value = gateway.chat("priced").await.json().await.unwrap();
        tokens += answer["usage"]["total_tokens"].as_u64().unwrap();
    }
    spend(&store(&gateway).await, "test", 7).await;
    (gateway, tokens)
}

fn micros(rows: &[Value]) -> u64 {
    rows.iter().map(|row| row["micros"].as_u64().unwrap()).sum()
}

#[tokio::test]
async fn entries_come_in_pages_and_by_what_is_asked_for() {
    let (gateway, tokens) = used().await;
    let (mut rows, mut path) = (Vec::new(), "/api/v1/ledger?key=test&limit=3".to_owned());
    let mut pages = 0;
    loop {
        let page = json(&gateway, &path).await;
        rows.extend(page["data"].as_array().unwrap().clone());
        pages += 1;
        let Some(next) = page["next"].as_str() else { break };
        path = format!("/api/v1/ledger?key=test&limit=3&after={next}");
    }
    assert_eq!((rows.len(), micros(&rows), pages), (7, tokens, 3), "{rows:?}");
    assert_eq!(
        (&rows[0]["state"], &rows[0]["counted"], &rows[0]["model"]),
        (&"settled".into(), &"provider".into(), &"priced".into())
    );
    for nothing in
        ["key=other", "model=other", "provider=other", "team=t", "user=u", "request=r", "to=2020-01-01"]
    {
        let page = json(&gateway, &format!("/api/v1/ledger?{nothing}")).await;
        assert_eq!((page["data"].as_array().unwrap().len(), &page["next"]), (0, &Value::Null), "{nothing}");
    }
    let id = rows[4]["request_id"].as_str().unwrap();
    assert_eq!(
        json(&gateway, &format!("/api/v1/ledger?request={id}")).await["data"].as_array().unwrap().len(),
        1
    );
    for (wrong, said) in [
        ("after=7", "after"),
        ("limit=0", "1 to 10000"),
        ("format=xml", "json, jsonl or csv"),
        ("from=yesterday", "2026-11-24"),
    ] {
        let (status, body) = get(&gateway, &format!("/api/v1/ledger?{wrong}")).await;
        assert!(status == 400 && body.contains(said), "{wrong}: {status} {body}");
    }
}

#[tokio::test]
async fn sheets_of_the_api_and_of_the_command_have_the_same_rows() {
    let (gateway, tokens) = used().await;
    let config = gateway.folder.join("signalbox.yaml");
    let command = |format: &str| {
        let run = Command::new(env!("CARGO_BIN_EXE_signalbox"))
            .args(["ledger", "export", "--from", "2020-01-01", "--format", format, "--config"])
            .arg(&config)
            .current_dir(&gateway.folder)
            .output()
            .unwrap();
        assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
        String::from_utf8(run.stdout).unwrap()
    };
    let csv = command("csv");
    assert_eq!(get(&gateway, "/api/v1/ledger?format=csv").await, (200, csv.clone()));
    let lines: Vec<Vec<&str>> = csv.lines().map(|line| line.split(',').collect()).collect();
    let column = lines[0].iter().position(|name| *name == "micros").unwrap();
    assert_eq!(lines[1..].iter().map(|line| line[column].parse::<u64>().unwrap()).sum::<u64>(), tokens);
    let jsonl = command("jsonl");
    assert_eq!(get(&gateway, "/api/v1/ledger?format=jsonl").await, (200, jsonl.clone()));
    let rows: Vec<Value> = jsonl.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(rows, serde_json::from_str::<Vec<Value>>(&command("json")).unwrap());
    assert_eq!((rows.len(), micros(&rows)), (7, tokens));
    let (status, body) = get(&gateway, "/api/v1/ledger?format=csv&limit=2").await;
    assert_eq!((status, body.lines().count()), (200, 3));
}

#[tokio::test]
async fn litellms_spend_logs_have_its_names_and_never_a_key() {
    let (gateway, tokens) = used().await;
    let (status, body) = get(&gateway, &format!("/spend/logs?api_key={KEY}")).await;
    assert!(status == 200 && !body.contains(KEY), "{status} {body}");
    let logs: Vec<Value> = serde_json::from_str(&body).unwrap();
    let usd: f64 = logs.iter().map(|log| log["spend"].as_f64().unwrap()).sum();
    assert!(logs.len() == 7 && (usd * 1e6 - tokens as f64).abs() < 0.5, "{usd} {tokens}");
    let total: u64 = logs.iter().map(|log| log["total_tokens"].as_u64().unwrap()).sum();
    assert_eq!(total, tokens);
    let first = &logs[0];
    for name in [
        "request_id",
        "api_key",
        "model",
        "startTime",
        "endTime",
        "user",
        "cache_hit",
        "prompt_tokens",
        "completion_tokens",
    ] {
        assert!(!first[name].is_null(), "{name} in {first}");
    }
    assert!(first["metadata"].is_object() && first["cache_hit"] == "False", "{first}");
    let id = first["request_id"].as_str().unwrap();
    assert_eq!(json(&gateway, &format!("/spend/logs?request_id={id}")).await.as_array().unwrap().len(), 1);
    assert_eq!(json(&gateway, "/spend/logs?user_id=nobody").await.as_array().unwrap().len(), 0);
    let today = humantime::format_rfc3339_seconds(std::time::SystemTime::now()).to_string()[..10].to_owned();
    let days = json(&gateway, &format!("/spend/logs?start_date={today}&end_date={today}")).await;
    assert_eq!((&days[0]["startTime"], days.as_array().unwrap().len()), (&today.clone().into(), 1), "{days}");
    assert!((days[0]["models"]["priced"].as_f64().unwrap() * 1e6 - tokens as f64).abs() < 0.5, "{days}");
    let single =
        json(&gateway, &format!("/spend/logs?start_date={today}&end_date={today}&summarize=false")).await;
    assert_eq!(single.as_array().unwrap().len(), 7);
    assert_eq!(get(&gateway, "/spend/logs?start_date=soon").await.0, 400);
}

#[tokio::test]
async fn a_reconciliation_tells_what_the_provider_counted_from_what_we_did() {
    let models = format!(
        "{PRICED}\n  mute: {{deployments: [{{provider: mock, model: 'm;no_usage=1', price: {{input: 1, output: 1}}}}]}}"
    );
    let gateway = operator::start(&models, STORE).await;
    for model in ["priced", "priced", "mute"] {
        assert_eq!(gateway.chat(model).await.status(), 200);
    }
    spend(&store(&gateway).await, "test", 3).await;
    let in_an_hour = std::time::SystemTime::now() + std::time::Duration::from_secs(3_600);
    let found =
        json(&gateway, &format!("/api/v1/reconcile?to={}", humantime::format_rfc3339_seconds(in_an_hour)))
            .await;
    assert_eq!(found["agree"], true, "{found}");
    let of =
        |model: &str| found["counted"].as_array().unwrap().iter().find(|row| row["model"] == model).unwrap();
    assert_eq!((&of("priced")["counted"], &of("priced")["attempts"]), (&"provider".into(), &2.into()));
    assert_eq!((&of("mute")["counted"], &of("mute")["attempts"]), (&"estimate".into(), &1.into()));
    assert!(of("mute")["input_tokens"].as_u64() > Some(0) && of("mute")["output_tokens"].as_u64() > Some(0));
}
