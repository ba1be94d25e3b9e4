//! The request log: what happened to each request, in the store.

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
    let log = format!("{STORE}\nlog: {{access: 'off', level: error, requests: {{enabled: true}}}}");
    let gateway = operator::start(PRICED, &log).await;
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
    let log = format!("{STORE}\nlog: {{access: 'off', level: error, requests: {{enabled: true}}}}");
    let gateway = operator::start(PRICED, &log).await;
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
