//! The request log: what happened to each request, in the store.

use std::process::Command;

use serde_json::Value;

use crate::gateway::Gateway;
use crate::ledger::{PRICED, STORE};
use crate::operator::{self, get, json};

/// The log's requests, once there are so many.
async fn logged(gateway: &Gateway, query: &str, count: usize) -> Vec<Value> {
    for _ in 0..200 {
        let page = json(gateway, &format!("/api/v1/requests{query}")).await;
        let rows = page["data"].as_array().unwrap();
        if rows.len() >= count {
            return rows.clone();
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("the log never had {count} requests");
}

#[tokio::test]
async fn the_log_tells_what_happened_to_each_request_and_nothing_of_what_was_said() {
    let gateway = operator::start(PRICED, STORE).await;
    let answer: Value = gateway.chat("priced").await.json().await.unwrap();
    let tokens = answer["usage"]["total_tokens"].as_u64();
    assert_eq!(gateway.chat("unknown").await.status(), 404);
    let rows = logged(&gateway, "", 2).await;
    let with = |status: u16| rows.iter().find(|row| row["status"] == status).unwrap();
    let (good, bad) = (with(200), with(404));
    assert_eq!((bad["cost_micros"].as_u64(), bad["error"].as_str()), (Some(0), Some("unknown_model")));
    assert_eq!((good["model"].as_str(), good["key_name"].as_str()), (Some("priced"), Some("test")));
    assert_eq!((good["cost_micros"].as_u64(), good["attempts"].as_u64()), (tokens, Some(1)));
    let said = answer["choices"][0]["message"]["content"].as_str().unwrap();
    assert!(!said.is_empty() && !rows.iter().any(|row| row.to_string().contains(said)), "{rows:?}");
    assert_eq!(logged(&gateway, "?status=404", 1).await, std::slice::from_ref(bad));
}

#[tokio::test]
async fn the_log_is_read_page_by_page_and_by_request() {
    let gateway = operator::start(PRICED, STORE).await;
    for _ in 0..3 {
        assert_eq!(gateway.chat("priced").await.status(), 200);
    }
    let rows = logged(&gateway, "", 3).await;
    let first = json(&gateway, "/api/v1/requests?limit=2").await;
    let next = format!("/api/v1/requests?limit=2&before={}", first["next"].as_str().unwrap());
    let last = json(&gateway, &next).await;
    assert_eq!((&first["data"][0], &first["data"][1], &last["data"][0]), (&rows[0], &rows[1], &rows[2]));
    assert!(last["next"].is_null() && last["data"].as_array().unwrap().len() == 1, "{last}");
    let one = format!("/api/v1/requests/{}", rows[1]["request_id"].as_str().unwrap());
    assert_eq!(json(&gateway, &one).await, rows[1]);
    assert_eq!(get(&gateway, "/api/v1/requests/never-there").await.0, 404);
    assert_eq!(get(&gateway, "/api/v1/requests?before=never").await.0, 400);
}

#[tokio::test]
async fn requests_that_wait_for_the_store_at_the_end_of_the_process_are_in_the_log() {
    let mut gateway = operator::start(PRICED, STORE).await;
    for _ in 0..5 {
        assert_eq!(gateway.chat("priced").await.status(), 200);
    }
    assert!(Command::new("kill").args(["-TERM", &gateway.pid().to_string()]).status().unwrap().success());
    crate::gateway::eventually("it has ended", || gateway.has_ended()).await;
    gateway.restart_after_kill().await;
    assert_eq!(logged(&gateway, "?key=test", 5).await.len(), 5);
}

#[tokio::test]
async fn a_request_is_found_by_an_id_of_its_client_too_and_nothing_is_logged_when_that_is_not_wanted() {
    let gateway = operator::start(PRICED, STORE).await;
    let request = gateway.client.post(gateway.url("/v1/chat/completions")).bearer_auth(crate::gateway::KEY);
    let request = request.header("x-request-id", "req_00000000000000000000my-own");
    let answer = request.body(crate::gateway::chat("priced", false).to_string()).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    logged(&gateway, "", 1).await;
    let path = "/api/v1/requests/req_00000000000000000000my-own";
    assert_eq!(json(&gateway, path).await["status"], 200);

    let off = format!("{STORE}\nlog: {{access: 'off', level: error, requests: {{enabled: false}}}}");
    let quiet = operator::start(PRICED, &off).await;
    assert_eq!(quiet.chat("priced").await.status(), 200);
    assert!(Command::new("kill").args(["-TERM", &quiet.pid().to_string()]).status().unwrap().success());
    let mut quiet = quiet;
    crate::gateway::eventually("it has ended", || quiet.has_ended()).await;
    quiet.restart_after_kill().await;
    assert_eq!(json(&quiet, "/api/v1/requests").await["data"].as_array().unwrap().len(), 0);
}
