//! Who may call what, walked over the OpenAPI document: a new route is covered by being in the table. One that takes a body
//! needs an example in `example` below.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::gateway::Gateway;
use crate::operations::{Target, operations};
use crate::operator::{TOKEN, done, start};

const STORE: &str = "store: sqlite:data/signalbox.db\ncache: {memory: 16MiB}";
const ROUTE: &str = "  other: {deployments: [{provider: mock, model: other}]}\n  auto: {route: {strong: plain, weak: other, share: 0.5}}\n";
const PASSWORD: &str = "correct horse battery";

async fn send(
    gateway: &Gateway,
    bearer: Option<&str>,
    method: &str,
    path: &str,
    body: &Value,
) -> (u16, String) {
    let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
    let mut request = gateway.client.request(method, format!("http://{}{path}", gateway.admin));
    if let Some(bearer) = bearer {
        request = request.bearer_auth(bearer);
    }
    if !body.is_null() {
        request = request.json(body);
    }
    let answer = request.send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

/// One of each, named after `word`.
async fn make(gateway: &Gateway, word: &str) -> (Target, String) {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let word = format!("{word}-{}", NUMBER.fetch_add(1, Ordering::Relaxed));
    let id = |value: &Value| value["id"].as_str().unwrap().to_owned();
    let (team, user) = (format!("{word}-team"), format!("{word}-user"));
    let post = async |path: &str, body: Value| done(gateway, "POST", path, body).await;
    post("/api/v1/teams", json!({"id": team, "name": team})).await;
    post("/api/v1/users", json!({"id": user, "name": user, "team_id": team})).await;
    let key = post("/api/v1/keys", json!({"name": format!("{word}-key"), "team_id": team})).await;
    let account =
        json!({"name": format!("{word}-account"), "role": "admin", "password": PASSWORD, "team_id": team});
    let admin = id(&post("/api/v1/admins", account).await);
    let token = post(&format!("/api/v1/admins/{admin}/tokens"), json!({"name": "ci"})).await;
    let secret = token["token"].as_str().unwrap().to_owned();
    // Drained, so that no request meets it, and nobody's: whoever sees a deployment sees its name.
    let name = format!("credential-{}", NUMBER.fetch_add(1, Ordering::Relaxed));
    let credential = json!({"provider": "mock", "name": name, "secret": "sk-example", "weight": 0});
    let credential = id(&post("/api/v1/credentials", credential).await);
    let newest = done(gateway, "GET", "/api/v1/requests?limit=1", Value::Null).await;
    let request = newest["data"][0]["request_id"].as_str().unwrap_or("none").to_owned();
    let kept = loop {
        let answer = gateway.chat("plain").await;
        let status = answer.headers()["cache-status"].to_str().unwrap();
        // A hit is proof that it is there.
        if status.contains("hit") {
            break status.split_once("key=\"").unwrap().1.trim_end_matches('"').to_owned();
        }
        answer.bytes().await.unwrap();
    };
    (Target { key: id(&key), team, user, admin, token: id(&token), credential, request, kept }, secret)
}

/// What is not there, with ids as long as those of what is.
fn ghost(target: &Target) -> Target {
    let other = |text: &str| text.chars().map(|it| if it == '-' { it } else { '0' }).collect::<String>();
    Target {
        key: other(&target.key),
        team: other(&target.team),
        user: other(&target.user),
        admin: other(&target.admin),
        token: other(&target.token),
        credential: other(&target.credential),
        request: other(&target.request),
        kept: other(&target.kept),
    }
}

fn without_ids(text: &str, target: &Target) -> String {
    let Target { key, team, user, admin, token, credential, request, kept } = target;
    [key, team, user, admin, token, credential, request, kept]
        .iter()
        .fold(text.to_owned(), |text, id| text.replace(*id, "ID"))
}

#[tokio::test]
async fn every_route_refuses_without_a_token_and_with_one_that_nobody_has() {
    let gateway = start("", &format!("{STORE}\nlimits: {{failed_auth: 100000}}")).await;
    let (target, _) = make(&gateway, "own").await;
    for operation in operations().iter().filter(|it| it.access != "anyone") {
        for bearer in [None, Some("wrong"), Some("sb-admin-00"), Some("sk-sb-00")] {
            let path = operation.path_of(&target);
            let (status, text) = send(&gateway, bearer, &operation.method, &path, &json!({})).await;
            assert_eq!(status, 401, "{} with {bearer:?}: {text}", operation.name);
        }
        let url = format!("http://{}{}", gateway.admin, operation.path_of(&target));
        let method = reqwest::Method::from_bytes(operation.method.as_bytes()).unwrap();
        let request = gateway.client.request(method, url).header("cookie", "signalbox_session=00");
        assert_eq!(request.send().await.unwrap().status(), 401, "{} with a cookie", operation.name);
    }
}

#[tokio::test]
async fn a_viewer_reads_everything_and_changes_nothing() {
    let gateway = start("", STORE).await;
    let (target, _) = make(&gateway, "own").await;
    let account = done(&gateway, "POST", "/api/v1/admins", json!({"name": "eva", "role": "viewer"})).await;
    let path = format!("/api/v1/admins/{}/tokens", account["id"].as_str().unwrap());
    let token = done(&gateway, "POST", &path, json!({"name": "ci"})).await;
    let token = token["token"].as_str().unwrap();
    for operation in operations() {
        let path = operation.path_of(&target);
        if operation.is_write() {
            if !matches!(operation.access.as_str(), "anyone" | "account") {
                let (status, text) = send(&gateway, Some(token), &operation.method, &path, &json!({})).await;
                assert_eq!(status, 403, "{}: {text}", operation.name);
            }
            continue;
        }
        let needs_key = matches!(operation.path.as_str(), "/api/v1/spend" | "/key/info");
        let path = if needs_key { format!("{path}?key={}", target.key) } else { path };
        let (status, text) = send(&gateway, Some(token), "GET", &path, &Value::Null).await;
        let expected = match operation.path.as_str() {
            // No request has this id, as the log is off.
            "/api/v1/requests/{id}" => 404,
            _ if operation.access == "contents" => 403,
            _ => 200,
        };
        assert_eq!(status, expected, "{}: {text}", operation.name);
    }
}

/// Whatever a confined caller names of others answers as if it were not there, and nothing of it is ever shown.
async fn sees_nothing_of_others(gateway: &Gateway, bearer: &str, own: &Target, closed: &[&str]) {
    let (foreign, _) = make(gateway, "zulu").await;
    let ghost = ghost(&foreign);
    let mut compared = 0;
    for operation in operations() {
        let access = operation.access.as_str();
        let ask =
            async |path: &str, body: &Value| send(gateway, Some(bearer), &operation.method, path, body).await;
        if closed.contains(&access) {
            let (status, text) = ask(&operation.path_of(own), &json!({})).await;
            assert_eq!(status, 403, "{}: {text}", operation.name);
            continue;
        }
        if matches!(access, "anyone" | "account") {
            continue;
        }
        if !operation.is_write() && !operation.is_of_one() {
            let (_, text) = ask(&operation.path, &Value::Null).await;
            assert!(!text.contains("zulu") && !text.contains(&foreign.key), "{}: {text}", operation.name);
        }
        let there = operation.calls(own, &foreign);
        for ((path, body), (ghost_path, ghost_body)) in there.iter().zip(operation.calls(own, &ghost)) {
            let (status, text) = ask(path, body).await;
            let (ghost_status, ghost_text) = ask(&ghost_path, &ghost_body).await;
            let what = format!("{} {path} {body}", operation.name);
            assert_eq!(status, ghost_status, "{what}: {text} {ghost_text}");
            let (text, ghost_text) = (without_ids(&text, &foreign), without_ids(&ghost_text, &ghost));
            assert_eq!(text, ghost_text, "{what}");
            let is_empty = operation.method == "GET" && status == 200;
            assert!(is_empty || matches!(status, 400 | 403 | 404), "{what}: {status} {text}");
            assert!(!text.contains("zulu"), "{what}: {text}");
            compared += 1;
        }
    }
    assert!(compared > 8, "{compared}");
    let read = async |path: String| done(gateway, "GET", &path, Value::Null).await;
    assert_eq!(read(format!("/api/v1/keys/{}", foreign.key)).await["version"], 1);
    assert_eq!(read(format!("/api/v1/users/{}", foreign.user)).await["version"], 1);
    assert_eq!(read(format!("/api/v1/keys/{}", own.key)).await["team_id"], own.team.as_str());
}

#[tokio::test]
async fn an_account_of_one_team_neither_sees_nor_changes_what_is_another_teams() {
    let gateway = start("", STORE).await;
    let (own, token) = make(&gateway, "own").await;
    sees_nothing_of_others(&gateway, &token, &own, &["open", "installation"]).await;
    let own_key = format!("/api/v1/keys/{}", own.key);
    let (status, text) = send(&gateway, Some(&token), "PATCH", &own_key, &json!({"rpm": 5})).await;
    assert_eq!(status, 200, "{text}");
    let (_, text) = send(&gateway, Some(&token), "GET", "/api/v1/audit", &Value::Null).await;
    let audit: Value = serde_json::from_str(&text).unwrap();
    let account = own.team.replace("-team", "-account");
    assert_eq!(
        (&audit["data"][0]["object_id"], &audit["data"][0]["actor"]),
        (&json!(own.key), &json!(account))
    );
    let (status, text) =
        send(&gateway, Some(&token), "POST", "/api/v1/keys", &json!({"name": "mine", "user_id": own.user}))
            .await;
    let made: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((status, &made["team_id"]), (201, &json!(own.team)), "{text}");
}

#[tokio::test]
async fn a_virtual_key_sees_itself_only_and_may_exchange_itself() {
    let gateway = start("", STORE).await;
    let (own, _) = make(&gateway, "own").await;
    let rotated = done(&gateway, "POST", &format!("/api/v1/keys/{}/rotate", own.key), json!({})).await;
    let key = rotated["key"].as_str().unwrap().to_owned();
    until_known(&gateway, &key).await;
    sees_nothing_of_others(&gateway, &key, &own, &["open", "installation", "team", "account"]).await;
    let get = async |path: &str| {
        let (status, text) = send(&gateway, Some(&key), "GET", path, &Value::Null).await;
        assert_eq!(status, 200, "{path}: {text}");
        serde_json::from_str::<Value>(&text).unwrap()
    };
    assert_eq!(get("/key/info").await["info"]["token"], own.key.as_str());
    assert_eq!(get("/api/v1/spend").await["micros"], 0);
    assert_eq!(get("/api/v1/session").await["kind"], "virtual_key");
    assert_eq!(get("/api/v1/reports").await["data"][0]["requests"], 0);
    let path = format!("/api/v1/keys/{}/rotate", own.key);
    let (status, text) = send(&gateway, Some(&key), "POST", &path, &json!({})).await;
    assert_eq!(status, 200, "{text}");
    let audit = done(&gateway, "GET", "/api/v1/audit?limit=1", Value::Null).await;
    assert_eq!(audit["data"][0]["actor"], own.key.as_str());
    // A key of the configuration has no row, and sees itself too.
    let (status, text) = send(&gateway, Some("sk-limited-key"), "GET", "/key/info", &Value::Null).await;
    let info: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((status, &info["info"]["rpm_limit"]), (200, &json!(2)), "{text}");
    let (_, text) = send(&gateway, Some("sk-narrow-key"), "GET", "/model/info", &Value::Null).await;
    let models: Value = serde_json::from_str(&text).unwrap();
    let names: Vec<&Value> = models["data"].as_array().unwrap().iter().map(|it| &it["model_name"]).collect();
    // One for each credential.
    assert!(!names.is_empty() && names.iter().all(|name| **name == "plain"), "{names:?}");
}

/// A gateway learns of a new key a moment later.
async fn until_known(gateway: &Gateway, key: &str) {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while send(gateway, Some(key), "GET", "/api/v1/session", &Value::Null).await.0 != 200 {
        assert!(std::time::Instant::now() < deadline, "the key is never known");
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
}

/// What was said is stored a moment after it was.
async fn until_kept(gateway: &Gateway, path: &str) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while send(gateway, Some(TOKEN), "GET", path, &Value::Null).await.0 != 200 {
        assert!(Instant::now() < deadline, "nothing is kept under {path}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A body that the route takes.
fn example(name: &str, target: &Target) -> Value {
    let free = format!("{}-free", target.team);
    match name {
        "post_api_v1_keys" | "post_api_v1_teams" | "post_api_v1_users" => json!({"name": free}),
        "patch_api_v1_keys_id" => json!({"rpm": 7, "tags": ["web"]}),
        "patch_api_v1_teams_id" | "patch_api_v1_users_id" => json!({"metadata": {"note": 1}}),
        "post_api_v1_keys_id_rotate" => json!({"grace": "1h"}),
        "post_api_v1_admins" => json!({"name": free, "role": "viewer"}),
        "patch_api_v1_admins_id" => json!({"role": "viewer"}),
        "post_api_v1_admins_id_password" => json!({}),
        "post_api_v1_admins_id_tokens" => json!({"name": "another"}),
        "post_api_v1_credentials" => {
            json!({"provider": "mock", "name": free, "secret": "sk-example", "weight": 0})
        }
        "post_api_v1_erase" => json!({"key": target.key, "before": "2026-01-01"}),
        "post_api_v1_route_explain" => {
            json!({"model": "auto", "messages": [{"role": "user", "content": "hi"}]})
        }
        "post_api_v1_cache_purge" => json!({"model": "unknown"}),
        "post_api_v1_cache_warm" => json!({"entries": []}),
        "patch_api_v1_credentials_id" => json!({"priority": 1}),
        "post_api_v1_session" => json!({"name": account(target), "password": PASSWORD}),
        "post_api_v1_session_password" => json!({"current": PASSWORD, "password": "another horse battery"}),
        "post_key_generate" => json!({"key_alias": free, "max_budget": 5, "budget_duration": "30d"}),
        "post_key_update" => json!({"key": target.key, "rpm_limit": 9}),
        "post_key_delete" => json!({"keys": [target.key]}),
        "post_key_block" | "post_key_unblock" | "post_key_regenerate" => json!({"key": target.key}),
        "post_key_id_regenerate" => json!({"grace_period": "24h"}),
        other => panic!("{other} takes a body: give an example of one here"),
    }
}

fn account(target: &Target) -> String {
    target.team.replace("-team", "-account")
}

/// A browser that has signed in: its cookie and csrf.
async fn browser(gateway: &Gateway, name: &str) -> (String, String) {
    let url = format!("http://{}/api/v1/session", gateway.admin);
    let body = json!({"name": name, "password": PASSWORD});
    let answer = gateway.client.post(url).json(&body).send().await.unwrap();
    let cookie = answer.headers()["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
    let view: Value = answer.json().await.unwrap();
    (cookie, view["csrf"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn every_answer_is_as_documented_and_every_change_is_in_the_audit_log_with_who_and_from_where() {
    let log = format!("{STORE}\nlog: {{access: 'off', level: error, requests: {{enabled: true}}}}");
    let gateway = start(ROUTE, &log).await;
    let path = gateway.folder.join("signalbox.yaml");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replacen("models: ['*']}", "models: ['*'], store_prompts: true}", 1)).unwrap();
    gateway.reloaded(2).await;
    assert_eq!(gateway.chat("unknown").await.status(), 404);
    let newest_request = async || done(&gateway, "GET", "/api/v1/requests?limit=1", Value::Null).await;
    let deadline = Instant::now() + Duration::from_secs(30);
    while newest_request().await["data"].as_array().unwrap().is_empty() {
        assert!(Instant::now() < deadline, "the request is not in the log");
    }
    let newest =
        async || done(&gateway, "GET", "/api/v1/audit?limit=1", Value::Null).await["data"][0].clone();
    for operation in operations() {
        let (target, _) = make(&gateway, "own").await;
        if operation.method == "DELETE" && operation.path.contains("/team") {
            done(&gateway, "DELETE", &format!("/api/v1/keys/{}", target.key), Value::Null).await;
            done(&gateway, "DELETE", &format!("/api/v1/admins/{}", target.admin), Value::Null).await;
            done(&gateway, "DELETE", &format!("/api/v1/users/{}", target.user), Value::Null).await;
        }
        let needs_key = operation.parameters.iter().any(|it| it == "key");
        let query = if needs_key { format!("?key={}", target.key) } else { String::new() };
        let url = format!("http://{}{}{query}", gateway.admin, operation.path_of(&target));
        let method = reqwest::Method::from_bytes(operation.method.as_bytes()).unwrap();
        let mut request = gateway.client.request(method, url);
        let mut actor = "admin.token".to_owned();
        match operation.access.as_str() {
            "account" => {
                actor = account(&target);
                let (cookie, csrf) = browser(&gateway, &actor).await;
                request = request.header("cookie", cookie).header("x-csrf-token", csrf);
                request = request.header("sec-fetch-site", "same-origin");
            }
            "anyone" => actor = account(&target),
            _ => request = request.bearer_auth(TOKEN),
        }
        if operation.takes_body {
            request = request.json(&example(&operation.name, &target));
        }
        if operation.access == "contents" {
            until_kept(&gateway, &operation.path_of(&target)).await;
        }
        let before = newest().await;
        let answer = request.send().await.unwrap();
        let (status, text) = (answer.status().as_u16(), answer.text().await.unwrap());
        assert_eq!(status, operation.status, "{}: {text}", operation.name);
        if let Some(schema) = &operation.schema {
            let validator = jsonschema::validator_for(schema).unwrap();
            let value: Value = serde_json::from_str(&text).unwrap();
            let faults: Vec<String> = validator.iter_errors(&value).map(|it| it.to_string()).collect();
            assert!(faults.is_empty(), "{}: {faults:?} in {text}", operation.name);
        }
        let after = newest().await;
        if operation.changes() || operation.access == "contents" {
            assert_ne!(before["id"], after["id"], "{} is not in the audit log", operation.name);
            assert_eq!(
                (&after["actor"], &after["address"]),
                (&json!(actor), &json!("127.0.0.1")),
                "{}",
                operation.name
            );
        } else {
            assert_eq!(before["id"], after["id"], "{} reads only", operation.name);
        }
    }
}
