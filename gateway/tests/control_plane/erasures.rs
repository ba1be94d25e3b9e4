//! What is erased is gone: from the API, the raw files, the queues and the kept answers of every gateway; and what is too
//! old goes by itself.

use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::contents::{
    ENCRYPTION_KEY, PATIENCE, body, chat, ciphertext, is_unknown, make_key, postgres, raw, said, start,
    until_written,
};
use crate::gateway::Gateway;
use crate::ledger::STORE;
use crate::operator::{call, done};

async fn erases(extra: &str, url: &str) {
    let gateway = start(&format!(
        "{extra}\ncache: {{memory: 16MiB, exact: {{ttl: 1h}}}}\nlog: {{access: 'off', level: error}}"
    ))
    .await;
    done(&gateway, "POST", "/api/v1/teams", json!({"id": "red", "name": "red"})).await;
    done(&gateway, "POST", "/api/v1/users", json!({"id": "ada", "name": "ada"})).await;
    let kept = |more: Value| {
        let mut settings = json!({"store_prompts": true});
        settings.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap());
        settings
    };
    let (key, key_id) = make_key(&gateway, "k", kept(json!({}))).await;
    let (of_team, _) = make_key(&gateway, "t", kept(json!({"team_id": "red"}))).await;
    let (of_user, _) = make_key(&gateway, "u", kept(json!({"user_id": "ada"}))).await;
    for (key, id) in
        [(&key, "r-key"), (&of_team, "r-team"), (&of_user, "r-user"), (&key, "r-one"), (&key, "r-old")]
    {
        let mut asked = body("echoes", "erase me", false);
        asked["temperature"] = 0.into();
        chat(&gateway, key, id, &asked).await;
    }
    let holds = |all: &[u8], part: &[u8]| all.windows(part.len()).any(|window| window == part);
    for id in ["r-key", "r-team", "r-user", "r-one", "r-old"] {
        said(&gateway, id, 1).await;
    }
    let tomorrow = "2999-01-01";
    for (what, id, others) in [
        (json!({"request": "r-one"}), "r-one", 1),
        (json!({"key": "k", "request": "r-old", "before": tomorrow}), "r-old", 1),
        (json!({"team": "red"}), "r-team", 1),
        (json!({"user": "ada", "requests": true}), "r-user", 1),
        (json!({"key": key_id}), "r-key", 1),
    ] {
        let sealed = ciphertext(&gateway, url, id).await;
        assert!(holds(&raw(&gateway, url).await, &sealed), "{id} is there before");
        let erased = done(&gateway, "POST", "/api/v1/erase", what.clone()).await;
        assert_eq!(
            (&erased["contents"], &erased["cache_purged"]),
            (&json!(others), &json!(true)),
            "{what}: {erased}"
        );
        assert!(is_unknown(&gateway, id).await, "{what}");
        assert!(!holds(&raw(&gateway, url).await, &sealed), "{id} is gone from the files");
    }
    assert_eq!(call(&gateway, "GET", "/api/v1/requests/r-user", Value::Null).await.0, 404);
    assert_eq!(call(&gateway, "GET", "/api/v1/requests/r-key", Value::Null).await.0, 200);
    let mut asked = body("echoes", "erase me", false);
    asked["temperature"] = 0.into();
    let again = gateway.client.post(gateway.url("/v1/chat/completions")).bearer_auth(&key);
    let again = again.body(asked.to_string()).send().await.unwrap();
    assert_eq!(again.headers()["x-signalbox-cache"], "miss", "the kept answer is void");
    let audit =
        done(&gateway, "GET", "/api/v1/audit?object_kind=request_contents&limit=50", Value::Null).await;
    let erasures = audit["data"].as_array().unwrap().iter().filter(|it| it["action"] == "erase").count();
    assert_eq!(erasures, 5, "{audit}");
    for (wrong, param) in [
        (json!({}), Value::Null),
        (json!({"before": "soon"}), "before".into()),
        (json!({"all": true}), Value::Null),
    ] {
        let (status, fault) = call(&gateway, "POST", "/api/v1/erase", wrong).await;
        assert_eq!((status, &fault["error"]["param"]), (400, &param), "{fault}");
    }
}

#[tokio::test]
async fn what_is_erased_is_gone_from_the_api_the_cache_and_the_raw_files() {
    erases(STORE, "sqlite:data/signalbox.db").await;
}

#[tokio::test]
async fn what_is_erased_is_gone_from_postgresql_too() {
    let extra = postgres();
    let url = extra.lines().next().unwrap().trim_start_matches("store: '").trim_end_matches('\'').to_owned();
    erases(&format!("{extra}\n{ENCRYPTION_KEY}"), &url).await;
}

#[tokio::test]
async fn an_erasure_reaches_what_runs_and_what_waits_for_the_store() {
    let gateway = start(STORE).await;
    let (key, _) = make_key(&gateway, "k", json!({"store_prompts": true})).await;
    let request = gateway.client.post(gateway.url("/v1/chat/completions")).bearer_auth(&key);
    let request = request.header("x-request-id", "running").body(body("slow", "it runs", true).to_string());
    let mut running = request.send().await.unwrap();
    running.chunk().await.unwrap();
    chat(&gateway, &key, "waiting", &body("echoes", "it waits", false)).await;
    done(&gateway, "POST", "/api/v1/erase", json!({"key": "k"})).await;
    while running.chunk().await.unwrap().is_some() {}
    until_written(&gateway, &key).await;
    assert!(is_unknown(&gateway, "waiting").await && is_unknown(&gateway, "running").await);
}

#[tokio::test]
async fn what_is_older_than_the_retention_goes_by_itself() {
    let gateway =
        start(&format!("{STORE}\nlog: {{access: 'off', level: error, contents: {{keep: 3s}}}}")).await;
    let (key, _) = make_key(&gateway, "k", json!({"store_prompts": true})).await;
    chat(&gateway, &key, "old", &body("echoes", "not for long", false)).await;
    said(&gateway, "old", 1).await;
    let deadline = Instant::now() + PATIENCE;
    while !is_unknown(&gateway, "old").await {
        assert!(Instant::now() < deadline, "it stays");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// What the cache says to this question.
async fn cache_mark(gateway: &Gateway, prompt: &str) -> String {
    let mut asked = body("echoes", prompt, false);
    asked["temperature"] = 0.into();
    let answer = gateway.post("/v1/chat/completions", asked.to_string()).await;
    let mark = answer.headers()["x-signalbox-cache"].to_str().unwrap().to_owned();
    answer.bytes().await.unwrap();
    gateway.until_metric("signalbox_requests_in_flight 0").await;
    mark
}

#[tokio::test]
async fn every_gateway_makes_kept_answers_void_also_one_that_was_away() {
    let cache = "cache: {memory: 16MiB, disk: {path: data/cache, size: 64MiB}, exact: {ttl: 1h, scope: key}}";
    let extra = format!("{}\n{ENCRYPTION_KEY}\n{cache}", postgres());
    let (here, mut there) = (start(&extra).await, start(&extra).await);
    let hits = async |gateway: &Gateway| {
        cache_mark(gateway, "of this key").await;
        cache_mark(gateway, "of this key").await
    };
    assert_eq!((hits(&here).await, hits(&there).await), ("hit".to_owned(), "hit".to_owned()));
    done(&here, "POST", "/api/v1/erase", json!({"key": "another"})).await;
    done(&here, "POST", "/api/v1/erase", json!({"key": "test"})).await;
    assert_eq!(cache_mark(&here, "of this key").await, "miss");
    let deadline = Instant::now() + PATIENCE;
    while cache_mark(&there, "of this key").await == "hit" {
        assert!(Instant::now() < deadline, "the other gateway keeps it");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }

    // It is on disk before the process ends.
    assert_eq!(hits(&there).await, "hit");
    let terminated = Command::new("kill").args(["-TERM", &there.pid().to_string()]).status().unwrap();
    assert!(terminated.success());
    crate::gateway::eventually("it has ended", || there.has_ended()).await;
    there.restart_after_kill().await;
    assert_eq!(cache_mark(&there, "of this key").await, "hit", "it outlives the process");
    there.kill();
    done(&here, "POST", "/api/v1/erase", json!({"key": "test"})).await;
    there.restart_after_kill().await;
    let deadline = Instant::now() + PATIENCE;
    while cache_mark(&there, "of this key").await == "hit" {
        assert!(Instant::now() < deadline, "it keeps what was erased while it was away");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// What the command line says to this; None when it refuses.
fn erase(gateway: &Gateway, arguments: &[&str]) -> Option<Value> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_signalbox"));
    command.args(["erase", "--config", "signalbox.yaml"]).args(arguments);
    let output = command.current_dir(&gateway.folder).output().unwrap();
    output.status.success().then(|| serde_json::from_slice(&output.stdout).unwrap())
}

async fn erases_from_the_command_line(extra: &str) {
    let gateway = start(&format!("{extra}\ncache: {{memory: 16MiB, exact: {{ttl: 1h}}}}")).await;
    let (key, _) = make_key(&gateway, "k", json!({"store_prompts": true})).await;
    for id in ["r-1", "r-2", "r-3"] {
        chat(&gateway, &key, id, &body("echoes", id, false)).await;
    }
    cache_mark(&gateway, "is it kept?").await;
    assert_eq!(cache_mark(&gateway, "is it kept?").await, "hit");
    until_written(&gateway, &key).await;
    let erased = |contents: u64, requests: u64| Some(json!({"contents": contents, "requests": requests}));
    assert_eq!(erase(&gateway, &["--request", "r-1"]), erased(1, 0));
    assert!(is_unknown(&gateway, "r-1").await);
    assert_eq!(call(&gateway, "GET", "/api/v1/requests/r-1", Value::Null).await.0, 200);
    assert_eq!(erase(&gateway, &["--key", "k", "--request", "r-2", "--requests"]), erased(1, 1));
    assert_eq!(call(&gateway, "GET", "/api/v1/requests/r-2", Value::Null).await.0, 404);
    assert_eq!(erase(&gateway, &["--user", "nobody", "--requests"]), erased(0, 0));
    assert_eq!(erase(&gateway, &["--before", "2020-01-01", "--requests"]), erased(0, 0));
    // `r-1`, `r-3`, the last one, and a list of models.
    assert_eq!(erase(&gateway, &["--key", "k", "--requests"]), erased(2, 4));
    for refused in [&[][..], &["--requests"], &["--before", "soon"]] {
        assert_eq!(erase(&gateway, refused), None, "{refused:?}");
    }
    let deadline = Instant::now() + PATIENCE;
    while cache_mark(&gateway, "is it kept?").await == "hit" {
        assert!(Instant::now() < deadline, "the running gateway keeps its answer");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let audit =
        done(&gateway, "GET", "/api/v1/audit?object_kind=request_contents&limit=50", Value::Null).await;
    let erasures = audit["data"].as_array().unwrap().iter().filter(|it| it["action"] == "erase");
    assert_eq!(erasures.map(|it| it["actor"].as_str().unwrap()).collect::<Vec<_>>(), ["cli"; 5], "{audit}");
}

#[tokio::test]
async fn the_command_line_erases_beside_a_running_gateway() {
    erases_from_the_command_line(STORE).await;
}

#[tokio::test]
async fn the_command_line_erases_from_postgresql_too() {
    erases_from_the_command_line(&format!("{}\n{ENCRYPTION_KEY}", postgres())).await;
}
