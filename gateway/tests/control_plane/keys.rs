//! Virtual keys of the store: what is changed over the API of one gateway holds on all of them, without a restart.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::gateway::Gateway;
use crate::ledger::{PRICED, STORE};
use crate::operator::{call, chat, done, start};
use crate::outage::Way;
use crate::postgres_server::server;

/// What the issue promises; a slow machine gets longer to fail.
const PATIENCE: Duration = Duration::from_secs(10);

/// Waits until the chat has this outcome; how long that took.
pub(super) async fn until(gateway: &Gateway, key: &str, model: &str, outcome: (u16, &str)) -> Duration {
    let started = Instant::now();
    loop {
        let (status, code) = chat(gateway, key, model).await;
        if (status, code.as_str()) == outcome {
            return started.elapsed();
        }
        assert!(started.elapsed() < PATIENCE, "{status} {code} instead of {outcome:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

pub(super) fn text<'a>(value: &'a Value, member: &str) -> &'a str {
    value[member].as_str().unwrap_or_else(|| panic!("no {member} in {value}"))
}

/// A second gateway on the SQLite store of the first.
async fn neighbour(first: &Gateway, models: &str) -> Gateway {
    let store = format!("store: 'sqlite:{}'", first.folder.join("data/signalbox.db").display());
    start(models, &store).await
}

async fn follows_on_both(one: &Gateway, two: &Gateway) {
    let made = done(one, "POST", "/api/v1/keys", json!({"name": "shop"})).await;
    let (key, id) = (text(&made, "key"), text(&made, "id"));
    let (first, second) =
        tokio::join!(until(one, key, "plain", (200, "")), until(two, key, "plain", (200, "")));
    println!("a new key works after {first:?} and {second:?}");

    done(two, "POST", &format!("/api/v1/keys/{id}/block"), Value::Null).await;
    let blocked = (401, "key_blocked");
    let (first, second) = tokio::join!(until(one, key, "plain", blocked), until(two, key, "plain", blocked));
    println!("a blocked key is refused after {first:?} and {second:?}");
    done(one, "POST", &format!("/api/v1/keys/{id}/unblock"), Value::Null).await;
    until(two, key, "plain", (200, "")).await;

    done(one, "DELETE", &format!("/api/v1/keys/{id}"), Value::Null).await;
    until(two, key, "plain", (401, "invalid_api_key")).await;
    let log = done(two, "GET", &format!("/api/v1/audit?object_id={id}"), Value::Null).await;
    let actions: Vec<&str> = log["data"].as_array().unwrap().iter().map(|it| text(it, "action")).collect();
    assert_eq!(actions, ["delete", "unblock", "block", "create"], "{log}");
}

#[tokio::test]
async fn a_key_made_on_one_gateway_works_and_is_blocked_on_both() {
    let one = start("", STORE).await;
    let two = neighbour(&one, "").await;
    follows_on_both(&one, &two).await;
}

#[tokio::test]
async fn the_same_on_postgresql() {
    let extra =
        format!("store: '{}'\nkey_hash: a-secret-of-this-installation", server().url(&server().database()));
    let one = start("", &extra).await;
    let two = start("", &extra).await;
    follows_on_both(&one, &two).await;
}

#[tokio::test]
async fn the_last_known_keys_stay_while_the_store_is_away() {
    let (way, database) = (Way::open().await, server().database());
    let store = format!("postgres://signalbox@{}/{database}", way.address);
    let extra = format!("store: '{store}'\nkey_hash: a-secret-of-this-installation");
    let gateway = start("", &extra).await;
    let made = done(&gateway, "POST", "/api/v1/keys", json!({"name": "shop"})).await;
    let key = text(&made, "key");
    until(&gateway, key, "plain", (200, "")).await;
    way.is_cut.store(true, Ordering::Relaxed);
    let failures = "signalbox_key_refresh_failures_total ";
    let deadline = Instant::now() + Duration::from_secs(30);
    while gateway.metrics().await.contains(&format!("{failures}0\n")) {
        assert!(Instant::now() < deadline, "nobody noticed");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(chat(&gateway, key, "plain").await.0, 200);
    let (status, fault) = call(&gateway, "POST", "/api/v1/keys", json!({"name": "later"})).await;
    assert!(status == 503 || status == 500, "{status} {fault}");
}

#[tokio::test]
async fn a_gateway_without_keys_is_open_until_its_store_has_had_one() {
    let gateway = start("", STORE).await;
    let path = gateway.folder.join("signalbox.yaml");
    let text_before = std::fs::read_to_string(&path).unwrap();
    let (head, _) = text_before.split_once("\nkeys:\n").unwrap();
    std::fs::write(&path, format!("{head}\n{STORE}\n")).unwrap();
    gateway.reloaded(2).await;
    assert_eq!(chat(&gateway, "sk-anything", "plain").await.0, 200);
    let made = done(&gateway, "POST", "/api/v1/keys", json!({"name": "first"})).await;
    until(&gateway, "sk-anything", "plain", (401, "invalid_api_key")).await;
    assert_eq!(chat(&gateway, text(&made, "key"), "plain").await.0, 200);
    done(&gateway, "DELETE", &format!("/api/v1/keys/{}", text(&made, "id")), Value::Null).await;
    until(&gateway, text(&made, "key"), "plain", (401, "invalid_api_key")).await;
    assert_eq!(chat(&gateway, "sk-anything", "plain").await.0, 401, "it does not open again");
}

/// How a gateway bears many keys: `MANY_KEYS=10000` for the figures.
#[tokio::test]
async fn a_change_among_many_keys_is_followed_as_fast() {
    let many = crate::kill::number("MANY_KEYS", 300);
    let mut gateway = start("", STORE).await;
    let store = crate::ledger::store(&gateway).await;
    let change = store::Change { at_ms: 1, actor: "test".to_owned(), address: String::new() };
    for index in 0..many {
        let id = store::new_id();
        let mut key_hash = vec![0; 32];
        key_hash[..8].copy_from_slice(&u64::to_be_bytes(index));
        let budgets = vec![store::Budget {
            limit: domain::Micros(1_000_000),
            period_ms: 86_400_000,
            alert_percent: None,
        }];
        let key =
            store::VirtualKey { name: id.clone(), id, key_hash, budgets, ..store::VirtualKey::default() };
        store.keys().insert(key, &change).await.unwrap();
    }
    let started = Instant::now();
    gateway.restart_after_kill().await;
    println!("a start with {many} keys that have budgets: {:?}", started.elapsed());
    let made = done(&gateway, "POST", "/api/v1/keys", json!({"name": "shop"})).await;
    let works = until(&gateway, text(&made, "key"), "plain", (200, "")).await;
    done(&gateway, "POST", &format!("/api/v1/keys/{}/block", text(&made, "id")), Value::Null).await;
    let blocked = until(&gateway, text(&made, "key"), "plain", (401, "key_blocked")).await;
    println!("among {many} keys a new one works after {works:?} and is blocked after {blocked:?}");
    gateway.until_metric(&format!("signalbox_stored_keys {}", many + 1)).await;
}

#[tokio::test]
async fn a_rotated_value_works_only_in_its_grace() {
    let gateway = start("", STORE).await;
    let made = done(&gateway, "POST", "/api/v1/keys", json!({"name": "rotated"})).await;
    let (old, rotate) = (text(&made, "key"), format!("/api/v1/keys/{}/rotate", text(&made, "id")));
    let next = done(&gateway, "POST", &rotate, json!({"grace": "4s"})).await;
    let new = text(&next, "key");
    until(&gateway, new, "plain", (200, "")).await;
    assert_eq!(chat(&gateway, old, "plain").await.0, 200, "in its grace");
    until(&gateway, old, "plain", (401, "key_rotated")).await;
    let last = done(&gateway, "POST", &rotate, Value::Null).await;
    until(&gateway, text(&last, "key"), "plain", (200, "")).await;
    assert_eq!(chat(&gateway, new, "plain").await, (401, "invalid_api_key".to_owned()));
}

#[tokio::test]
async fn expiry_models_and_limits_of_a_key_hold() {
    let gateway = start(PRICED, STORE).await;
    let settings = json!({"name": "narrow one", "models": ["plain"], "default_model": "plain", "rpm": 3});
    let made = done(&gateway, "POST", "/api/v1/keys", settings).await;
    let (key, path) = (text(&made, "key"), format!("/api/v1/keys/{}", text(&made, "id")));
    until(&gateway, key, "plain", (200, "")).await;
    assert_eq!(chat(&gateway, key, "priced").await, (403, "model_not_allowed".to_owned()));
    assert_eq!(chat(&gateway, key, "default").await.0, 200);
    assert_eq!(chat(&gateway, key, "plain").await, (429, "rate_limit_exceeded".to_owned()));

    done(&gateway, "PATCH", &path, json!({"rpm": null, "expires_at": "2020-01-01T00:00:00Z"})).await;
    until(&gateway, key, "plain", (401, "key_expired")).await;
    let shown = done(&gateway, "PATCH", &path, json!({"expires_at": null, "models": []})).await;
    assert!(shown["rpm"].is_null() && shown["key"].is_null(), "{shown}");
    until(&gateway, key, "priced", (200, "")).await;
}

#[tokio::test]
async fn two_keys_share_the_budget_of_their_team_and_a_blocked_team_has_none() {
    let dear = "  dear: {deployments: [{provider: mock, model: m, price: {input: 1000, output: 1000}}]}";
    let one = start(dear, STORE).await;
    let two = neighbour(&one, dear).await;
    let team = json!({"name": "poor", "id": "poor", "budgets": [{"usd": 0.05, "per": "1d"}]});
    done(&one, "POST", "/api/v1/teams", team).await;
    let mut keys = Vec::new();
    for name in ["first", "second"] {
        let made = done(&one, "POST", "/api/v1/keys", json!({"name": name, "team_id": "poor"})).await;
        keys.push(text(&made, "key").to_owned());
    }
    until(&one, &keys[1], "plain", (200, "")).await;
    until(&two, &keys[1], "plain", (200, "")).await;
    let spent = until(&one, &keys[0], "dear", (429, "insufficient_quota")).await;
    println!("the team's budget is spent after {spent:?}");
    assert_eq!(chat(&one, &keys[1], "dear").await, (429, "insufficient_quota".to_owned()));
    until(&two, &keys[1], "dear", (429, "insufficient_quota")).await;

    // A change keeps what is spent, and a raised cap lets the keys go on.
    let cap = json!({"budgets": [{"usd": 100, "per": "1d", "alert_percent": 80}]});
    done(&two, "PATCH", "/api/v1/teams/poor", cap).await;
    until(&one, &keys[1], "dear", (200, "")).await;

    done(&one, "POST", "/api/v1/teams/poor/block", Value::Null).await;
    until(&two, &keys[0], "plain", (401, "team_blocked")).await;
    assert_eq!(call(&one, "DELETE", "/api/v1/teams/poor", Value::Null).await.0, 409, "it is in use");
    done(&one, "POST", "/api/v1/users", json!({"name": "ada", "id": "ada", "team_id": "poor"})).await;
    let listed = done(&one, "GET", "/api/v1/users", Value::Null).await;
    assert_eq!(text(&listed["data"][0], "team_id"), "poor");
}

#[tokio::test]
async fn the_command_line_makes_and_ends_keys_of_a_running_gateway() {
    let gateway = Gateway::start("", STORE).await;
    let run = |arguments: &[&str]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_signalbox"));
        command.arg("keys").args(arguments).arg("--config").arg(gateway.folder.join("signalbox.yaml"));
        let done = command.current_dir(&gateway.folder).output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        serde_json::from_slice::<Value>(&done.stdout).unwrap()
    };
    let made = run(&["create", "--name", "cli", "--model", "plain", "--rpm", "1000", "--usd", "5"]);
    let key = text(&made, "key");
    until(&gateway, key, "plain", (200, "")).await;
    let listed = run(&["list"]);
    assert_eq!((text(&listed, "id"), &listed["rpm"]), (text(&made, "id"), &json!(1000)), "{listed}");
    assert!(!listed.to_string().contains(key), "{listed}");
    run(&["block", "cli"]);
    until(&gateway, key, "plain", (401, "key_blocked")).await;
    run(&["unblock", text(&made, "id")]);
    let next = run(&["rotate", "cli", "--grace", "1h"]);
    until(&gateway, text(&next, "key"), "plain", (200, "")).await;
    assert_eq!(chat(&gateway, key, "plain").await.0, 200, "in its grace");
    run(&["delete", "cli"]);
    until(&gateway, text(&next, "key"), "plain", (401, "invalid_api_key")).await;
}

#[tokio::test]
async fn keys_are_managed_in_litellms_words() {
    let gateway = start(PRICED, STORE).await;
    let wanted = json!({"key_alias": "tool", "models": ["plain"], "max_budget": 3.5, "soft_budget": 1.75,
        "budget_duration": "30d", "rpm_limit": 100, "tpm_limit": 100_000, "max_parallel_requests": 5,
        "metadata": {"owner": "ops"}, "user_id": "bob", "duration": "7d", "tags": ["t"], "aliases": {}});
    let made = done(&gateway, "POST", "/key/generate", wanted).await;
    let (key, token) = (text(&made, "key"), text(&made, "token"));
    until(&gateway, key, "plain", (200, "")).await;
    let info = done(&gateway, "GET", &format!("/key/info?key={key}"), Value::Null).await;
    let info = &info["info"];
    assert_eq!((&info["max_budget"], &info["soft_budget"]), (&json!(3.5), &json!(1.75)), "{info}");
    assert_eq!((text(info, "budget_duration"), text(info, "user_id")), ("30d", "bob"));
    assert!(info["expires"].is_string() && info["spend"].is_number() && info["key"].is_null(), "{info}");

    done(&gateway, "POST", "/key/update", json!({"key": key, "models": [], "max_budget": 9})).await;
    until(&gateway, key, "priced", (200, "")).await;
    let list = done(&gateway, "GET", "/key/list?user_id=bob", Value::Null).await;
    assert_eq!((&list["keys"], &list["total_count"]), (&json!([token]), &json!(1)), "{list}");
    done(&gateway, "POST", "/key/block", json!({"key": token})).await;
    until(&gateway, key, "plain", (401, "key_blocked")).await;
    done(&gateway, "POST", "/key/unblock", json!({"key": key})).await;
    let next =
        done(&gateway, "POST", &format!("/key/{token}/regenerate"), json!({"grace_period": "1h"})).await;
    until(&gateway, text(&next, "key"), "plain", (200, "")).await;
    assert_eq!(chat(&gateway, key, "plain").await.0, 200, "in its grace");
    let gone = done(&gateway, "POST", "/key/delete", json!({"keys": [text(&next, "key")]})).await;
    assert_eq!(gone["deleted_keys"][0], next["key"]);
    until(&gateway, key, "plain", (401, "invalid_api_key")).await;
    let (status, fault) = call(&gateway, "POST", "/key/generate", json!({"guardrails": ["pii"]})).await;
    assert_eq!((status, &fault["error"]["param"]), (400, &json!("guardrails")), "{fault}");
}

#[tokio::test]
async fn every_call_is_refused_without_a_token_and_told_what_is_wrong_with_it() {
    let gateway = start("", STORE).await;
    let paths = [
        ("POST", "/api/v1/keys"),
        ("GET", "/api/v1/keys"),
        ("PATCH", "/api/v1/keys/x"),
        ("DELETE", "/api/v1/keys/x"),
        ("POST", "/api/v1/keys/x/block"),
        ("POST", "/api/v1/keys/x/unblock"),
        ("POST", "/api/v1/keys/x/rotate"),
        ("POST", "/api/v1/teams"),
        ("PATCH", "/api/v1/users/x"),
        ("POST", "/key/generate"),
        ("POST", "/key/delete"),
        ("GET", "/key/list"),
        ("GET", "/api/v1/audit"),
        ("GET", "/api/v1/nothing"),
    ];
    for (method, path) in paths {
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        let url = format!("http://{}{path}", gateway.admin);
        for token in ["", "admin-token-2"] {
            let answer =
                gateway.client.request(method.clone(), &url).bearer_auth(token).send().await.unwrap();
            assert_eq!(answer.status(), 401, "{method} {path}");
        }
    }
    let wrong = [
        ("PUT", "/api/v1/keys", json!({}), 405, Value::Null),
        ("GET", "/api/v1/nothing", Value::Null, 404, Value::Null),
        ("GET", "/api/v1/keys/nobody", Value::Null, 404, Value::Null),
        ("POST", "/api/v1/keys", json!({}), 400, json!("name")),
        ("POST", "/api/v1/keys", json!({"name": "n", "rpm": 0}), 400, json!("rpm")),
        ("POST", "/api/v1/keys", json!({"name": "n", "colour": "red"}), 400, Value::Null),
        ("POST", "/api/v1/keys", json!({"name": "n", "team_id": "nobody"}), 400, json!("team_id")),
        ("POST", "/api/v1/keys", json!({"name": "n", "tags": ["x".repeat(70_000)]}), 413, Value::Null),
        ("GET", "/api/v1/keys?limit=0", Value::Null, 400, json!("limit")),
    ];
    for (method, path, body, status, param) in wrong {
        let (told, answer) = call(&gateway, method, path, body).await;
        assert_eq!((told, &answer["error"]["param"]), (status, &param), "{method} {path}: {answer}");
        assert!(answer["error"]["message"].is_string() && answer["error"]["code"].is_string(), "{answer}");
    }
    done(&gateway, "POST", "/api/v1/keys", json!({"name": "twice"})).await;
    let (status, answer) = call(&gateway, "POST", "/api/v1/keys", json!({"name": "twice"})).await;
    assert_eq!((status, &answer["error"]["param"]), (409, &json!("name")), "{answer}");
}

#[tokio::test]
async fn the_store_holds_no_key_in_plain_and_its_secret_is_the_owners() {
    use std::os::unix::fs::PermissionsExt;
    let gateway = start("", STORE).await;
    let made = done(&gateway, "POST", "/api/v1/keys", json!({"name": "secret"})).await;
    let key = text(&made, "key");
    until(&gateway, key, "plain", (200, "")).await;
    let random = &key.as_bytes()["sk-sb-".len()..];
    let mut files = vec![gateway.folder.clone()];
    let mut read = 0;
    while let Some(path) = files.pop() {
        if path.is_dir() {
            files.extend(std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        } else {
            let bytes = std::fs::read(&path).unwrap();
            assert!(!bytes.windows(random.len()).any(|window| window == random), "{}", path.display());
            read += 1;
        }
    }
    let secret = gateway.folder.join("data/key-hash.secret");
    assert_eq!(std::fs::metadata(&secret).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(read >= 4, "configuration, database, its log, the secret");
}
