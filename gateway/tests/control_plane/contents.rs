//! Prompts and answers: kept for the keys that ask for it alone, read by whoever may, and gone when they are erased.

use std::net::SocketAddr;
use std::process::Command;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::echo::{self, ANSWERS};
use crate::gateway::{Gateway, KEY};
use crate::ledger::STORE;
use crate::operator::{self, call, done};
use crate::postgres_server::server;

pub(super) const ENCRYPTION_KEY: &str =
    "encryption: {key: 1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a}";
const NEXT_KEY: &str = "2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b";
const MODELS: &str = "
  echoes: {deployments: [{provider: echo, model: m}]}
  fails: {deployments: [{provider: echo, model: fails}], retries: {attempts: 1}}
  shared: {deployments: [{provider: mock, model: 'm;ttft=400ms'}], coalesce: all}
  slow: {deployments: [{provider: mock, model: 'm;gap=5ms;chunks=200'}]}
";
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

fn provider(echo: SocketAddr) -> String {
    format!("  echo: {{kind: openai, base_url: 'http://{echo}/v1', api_key: k}}")
}

pub(super) async fn start(extra: &str) -> Gateway {
    operator::with_token(Gateway::start_with_providers(&provider(echo::start().await), MODELS, extra).await)
        .await
}

pub(super) fn postgres() -> String {
    format!("store: '{}'\nkey_hash: a-secret-of-this-installation", server().url(&server().database()))
}

/// A key that the gateway knows, with these settings besides its name: the key and its id.
pub(super) async fn make_key(gateway: &Gateway, name: &str, settings: Value) -> (String, String) {
    let mut body = json!({"name": name, "models": ["*"]});
    body.as_object_mut().unwrap().extend(settings.as_object().cloned().unwrap());
    let made = done(gateway, "POST", "/api/v1/keys", body).await;
    let key = made["key"].as_str().unwrap().to_owned();
    let deadline = Instant::now() + PATIENCE;
    let url = gateway.url("/v1/models");
    while gateway.client.get(&url).bearer_auth(&key).send().await.unwrap().status() != 200 {
        assert!(Instant::now() < deadline, "the key is never known");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    (key, made["id"].as_str().unwrap().to_owned())
}

pub(super) fn body(model: &str, prompt: &str, stream: bool) -> Value {
    json!({"model": model, "stream": stream, "messages": [{"role": "user", "content": prompt}]})
}

/// Sends a request with this id; its answer's text.
async fn ask(gateway: &Gateway, key: &str, id: &str, path: &str, body: String) -> String {
    let request = gateway.client.post(gateway.url(path)).bearer_auth(key).header("x-request-id", id);
    request.header("content-type", "application/json").body(body).send().await.unwrap().text().await.unwrap()
}

pub(super) async fn chat(gateway: &Gateway, key: &str, id: &str, body: &Value) -> String {
    ask(gateway, key, id, "/v1/chat/completions", body.to_string()).await
}

/// What was said in the request, once so many of it are there.
pub(super) async fn said(gateway: &Gateway, id: &str, count: usize) -> Vec<Value> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let (status, answer) =
            call(gateway, "GET", &format!("/api/v1/requests/{id}/contents"), Value::Null).await;
        let rows = answer["data"].as_array().cloned().unwrap_or_default();
        if status == 200 && rows.len() == count {
            return rows;
        }
        assert!(Instant::now() < deadline, "{id}: {status} {answer}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

pub(super) async fn is_unknown(gateway: &Gateway, id: &str) -> bool {
    call(gateway, "GET", &format!("/api/v1/requests/{id}/contents"), Value::Null).await.0 == 404
}

/// A request that was asked after others is stored after them, so those that are not there by then never come.
pub(super) async fn until_written(gateway: &Gateway, key: &str) {
    let id = format!("last-{}", store::new_id());
    chat(gateway, key, &id, &body("echoes", "the last one", false)).await;
    said(gateway, &id, 1).await;
}

async fn keeps_every_way_of_an_answer(extra: &str) {
    let gateway = start(&format!("{extra}\ncache: {{memory: 16MiB, exact: {{ttl: 1h}}}}")).await;
    let (key, key_id) = make_key(&gateway, "kept", json!({"store_prompts": true})).await;

    let asked = body("echoes", "a whole one", false);
    let answer: Value = serde_json::from_str(&chat(&gateway, &key, "whole", &asked).await).unwrap();
    let row = said(&gateway, "whole", 1).await.remove(0);
    assert_eq!((&row["prompt"]["format"], &row["prompt"]["value"]), (&json!("json"), &asked));
    assert_eq!((&row["answer"]["value"], &row["answer"]["truncated"]), (&answer, &json!(false)));
    assert_eq!((&row["key_id"], &row["request_id"]), (&json!(key_id), &json!("whole")));

    let steady = {
        let mut asked = body("echoes", "a kept answer", false);
        asked["temperature"] = 0.into();
        asked
    };
    let first = chat(&gateway, &key, "miss", &steady).await;
    // An answer is kept just after its last byte was sent.
    gateway.until_metric("signalbox_requests_in_flight 0").await;
    let request = gateway.client.post(gateway.url("/v1/chat/completions")).bearer_auth(&key);
    let hit = request.header("x-request-id", "hit").body(steady.to_string()).send().await.unwrap();
    assert_eq!(hit.headers()["x-signalbox-cache"], "hit");
    let second = hit.text().await.unwrap();
    assert_eq!(first, second);

    let stream = chat(&gateway, &key, "stream", &body("echoes", "a stream", true)).await;
    let error = chat(&gateway, &key, "error", &body("fails", "an error", false)).await;
    let unknown = chat(&gateway, &key, "unknown", &body("no-such-model", "no model", false)).await;
    let broken = ask(&gateway, &key, "broken", "/v1/chat/completions", "{broken".to_owned()).await;
    let passed =
        ask(&gateway, &key, "passed", "/echo/v1/chat/completions", body("m", "raw", false).to_string()).await;
    let passed_stream =
        ask(&gateway, &key, "passed-stream", "/echo/v1/chat/completions", body("m", "raw", true).to_string())
            .await;
    for (id, prompt, answer) in [
        ("hit", "a kept answer", second),
        ("stream", "a stream", stream),
        ("error", "an error", error),
        ("unknown", "no model", unknown),
        ("broken", "{broken", broken),
        ("passed", "raw", passed),
        ("passed-stream", "raw", passed_stream),
    ] {
        let row = said(&gateway, id, 1).await.remove(0);
        assert!(row["prompt"]["value"].to_string().contains(prompt), "{id}: {row}");
        let kept = match row["answer"]["format"].as_str().unwrap() {
            "text" => row["answer"]["value"].as_str().unwrap().to_owned(),
            _ => row["answer"]["value"].to_string(),
        };
        let same =
            |text: &str| serde_json::from_str::<Value>(text).map_or(text.to_owned(), |it| it.to_string());
        assert_eq!(same(&kept), same(&answer), "{id}");
    }

    // All followers of one call, each with an id of the same name.
    let herd = join_all((0..3).map(|_| {
        let (gateway, key) = (&gateway, &key);
        async move { chat(gateway, key, "herd", &body("shared", "the same of all", false)).await }
    }));
    let answers = herd.await;
    let rows = said(&gateway, "herd", 3).await;
    let answer: Value = serde_json::from_str(&answers[0]).unwrap();
    assert!(rows.iter().all(|row| row["answer"]["value"] == answer), "{rows:?}");

    // Nothing of a request whose client does not want it.
    for (id, path, header, value) in [
        ("unwanted", "/v1/chat/completions", "x-signalbox-store-prompts", "off"),
        ("unwanted-passed", "/echo/v1/chat/completions", "x-portkey-debug", "False"),
    ] {
        let request = gateway.client.post(gateway.url(path)).bearer_auth(&key).header("x-request-id", id);
        let request = request.header(header, value).body(body("echoes", "not this one", false).to_string());
        assert_eq!(request.send().await.unwrap().status(), 200);
    }

    // Nothing of a key that does not want it.
    for (id, path) in [("others", "/v1/chat/completions"), ("others-passed", "/echo/v1/chat/completions")] {
        ask(&gateway, KEY, id, path, body("echoes", "of another", false).to_string()).await;
    }
    until_written(&gateway, &key).await;
    for id in ["others", "others-passed", "unwanted", "unwanted-passed"] {
        assert!(is_unknown(&gateway, id).await, "{id}");
    }
}

#[tokio::test]
async fn a_key_that_wants_it_has_every_prompt_and_answer_kept_and_another_has_none() {
    keeps_every_way_of_an_answer(STORE).await;
}

#[tokio::test]
async fn the_same_is_kept_on_postgresql() {
    keeps_every_way_of_an_answer(&format!("{}\n{ENCRYPTION_KEY}", postgres())).await;
}

#[tokio::test]
async fn a_long_prompt_is_cut_and_keeping_is_switched_while_the_gateway_runs() {
    let gateway =
        start(&format!("{STORE}\nlog: {{access: 'off', level: error, contents: {{largest: 1KiB}}}}")).await;
    let (key, id) = make_key(&gateway, "switched", json!({})).await;
    chat(&gateway, &key, "off", &body("echoes", "not kept", false)).await;
    let path = format!("/api/v1/keys/{id}");
    let on = done(&gateway, "PATCH", &path, json!({"store_prompts": true})).await;
    assert_eq!(on["store_prompts"], true);
    let deadline = Instant::now() + PATIENCE;
    let mut number = 0;
    while is_unknown(&gateway, &format!("on-{number}")).await {
        assert!(Instant::now() < deadline, "it is never switched on");
        number += 1;
        chat(&gateway, &key, &format!("on-{number}"), &body("echoes", &"ä".repeat(2_000), false)).await;
        // The store is written twice a second.
        tokio::time::sleep(Duration::from_millis(700)).await;
    }
    let row = said(&gateway, &format!("on-{number}"), 1).await.remove(0);
    assert_eq!((&row["prompt"]["truncated"], &row["prompt"]["format"]), (&json!(true), &json!("text")));
    let length = row["prompt"]["value"].as_str().unwrap().len();
    assert!(length == 1_024 || length == 1_023, "{length}");
    assert!(is_unknown(&gateway, "off").await);
}

#[tokio::test]
async fn operators_and_the_key_itself_read_and_viewers_and_others_do_not() {
    let gateway = start(STORE).await;
    for team in ["red", "blue"] {
        done(&gateway, "POST", "/api/v1/teams", json!({"id": team, "name": team})).await;
    }
    let (key, id) = make_key(&gateway, "own", json!({"store_prompts": true, "team_id": "red"})).await;
    let (other, _) = make_key(&gateway, "other", json!({"team_id": "red"})).await;
    chat(&gateway, &key, "r1", &body("echoes", "a secret", false)).await;
    said(&gateway, "r1", 1).await;
    let mut bearers = vec![(key, 200), (other, 404), ("sk-narrow-key".to_owned(), 404)];
    for (name, role, team, status) in [
        ("ada", "admin", None, 200),
        ("rob", "admin", Some("red"), 200),
        ("bea", "admin", Some("blue"), 404),
        ("eva", "viewer", None, 403),
    ] {
        let account =
            done(&gateway, "POST", "/api/v1/admins", json!({"name": name, "role": role, "team_id": team}))
                .await;
        let path = format!("/api/v1/admins/{}/tokens", account["id"].as_str().unwrap());
        let token = done(&gateway, "POST", &path, json!({"name": "ci"})).await;
        bearers.push((token["token"].as_str().unwrap().to_owned(), status));
    }
    let mut readers = 0;
    for (bearer, expected) in bearers {
        let url = format!("http://{}/api/v1/requests/r1/contents", gateway.admin);
        let answer = gateway.client.get(url).bearer_auth(&bearer).send().await.unwrap();
        let status = answer.status().as_u16();
        let text = answer.text().await.unwrap();
        assert_eq!((status, text.contains("a secret")), (expected, expected == 200), "{bearer}: {text}");
        if status == 200 {
            readers += 1;
            let log =
                done(&gateway, "GET", "/api/v1/audit?object_kind=request_contents&limit=1", Value::Null)
                    .await;
            let newest = &log["data"][0];
            assert_eq!((&newest["action"], &newest["object_id"]), (&json!("read"), &json!("r1")), "{log}");
            assert!(newest["actor"] != "admin.token" && !log.to_string().contains("a secret"), "{log}");
        }
    }
    assert_eq!(readers, 3);
    assert_ne!(id, "own");
}

/// What the store's files hold, or a dump of all tables.
pub(super) async fn raw(gateway: &Gateway, url: &str) -> Vec<u8> {
    if url.starts_with("sqlite") {
        let files = std::fs::read_dir(gateway.folder.join("data")).unwrap().flatten().map(|file| file.path());
        return files.filter(|path| path.is_file()).flat_map(|path| std::fs::read(path).unwrap()).collect();
    }
    let path = gateway.folder.join(store::new_id());
    store::Store::open(url).await.unwrap().dump(&path, 1).await.unwrap();
    std::fs::read(path).unwrap()
}

/// Ciphertexts of the request as the database has them, the beginnings of which fill no page of their own.
pub(super) async fn ciphertext(gateway: &Gateway, url: &str, id: &str) -> Vec<u8> {
    let url = url.replace("sqlite:", &format!("sqlite:{}/", gateway.folder.display()));
    let store = store::Store::open(&url).await.unwrap();
    let found = store.contents().of_request(id, &store::ContentsOf::Anyone, 1).await.unwrap();
    store.close().await;
    if url.starts_with("sqlite") {
        return found[0].ciphertext[..32].to_vec();
    }
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(&found[0].ciphertext[..30]).into_bytes()
}

fn signalbox(gateway: &Gateway, arguments: &[&str]) -> (bool, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_signalbox"));
    command.args(arguments).arg("--config").arg(gateway.folder.join("signalbox.yaml"));
    let output = command.current_dir(&gateway.folder).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.success(), text(&output.stdout), text(&output.stderr))
}

fn rewrite(gateway: &Gateway, from: &str, to: &str) {
    let path = gateway.folder.join("signalbox.yaml");
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains(from), "{text}");
    std::fs::write(&path, text.replacen(from, to, 1)).unwrap();
}

#[tokio::test]
async fn contents_are_sealed_anew_with_an_exchanged_encryption_key() {
    let mut gateway = start(&format!("{STORE}\n{ENCRYPTION_KEY}")).await;
    let (key, _) = make_key(&gateway, "k", json!({"store_prompts": true})).await;
    for number in 0..23 {
        chat(&gateway, &key, &format!("r{number}"), &body("echoes", "sealed twice", false)).await;
    }
    said(&gateway, "r22", 1).await;
    let before = ciphertext(&gateway, "sqlite:data/signalbox.db", "r0").await;
    let old = ENCRYPTION_KEY.trim_start_matches("encryption: {key: ").trim_end_matches('}').to_owned();
    rewrite(&gateway, ENCRYPTION_KEY, &format!("encryption: {{key: {NEXT_KEY}, old_keys: [{old}]}}"));
    let (is_done, printed, said_of_it) = signalbox(&gateway, &["encryption", "rotate"]);
    assert!(is_done, "{said_of_it}");
    assert_eq!(serde_json::from_str::<Value>(&printed).unwrap()["contents"], 23, "{printed}");
    let raw = raw(&gateway, "sqlite:data/signalbox.db").await;
    assert!(!raw.windows(before.len()).any(|part| part == before), "what the old key opens is gone");
    rewrite(&gateway, &format!(", old_keys: [{old}]"), "");
    gateway.restart_after_kill().await;
    let row = said(&gateway, "r0", 1).await.remove(0);
    assert!(row["answer"]["value"].to_string().contains(ANSWERS), "{row}");
}

#[tokio::test]
async fn nothing_is_kept_without_an_encryption_key_and_whoever_asks_is_told() {
    let gateway = start(&postgres()).await;
    let body = json!({"name": "k", "store_prompts": true});
    let (status, fault) = call(&gateway, "POST", "/api/v1/keys", body).await;
    assert_eq!((status, &fault["error"]["param"]), (400, &json!("store_prompts")), "{fault}");
    assert!(fault.to_string().contains("encryption.key"), "{fault}");
    let (is_made, _, told) = signalbox(&gateway, &["keys", "create", "--name", "k", "--store-prompts"]);
    assert!(!is_made && told.contains("encryption.key"), "{told}");
    rewrite(&gateway, "models: [plain]}", "models: [plain], store_prompts: true}");
    let (is_sound, _, told) = signalbox(&gateway, &["check"]);
    assert!(!is_sound && told.contains("keys[1].store_prompts") && told.contains("encryption.key"), "{told}");
}

#[tokio::test]
async fn a_key_of_the_configuration_and_one_of_the_command_line_are_kept_too() {
    let gateway = start(STORE).await;
    rewrite(&gateway, "models: ['*']}", "models: ['*'], store_prompts: true}");
    gateway.reloaded(2).await;
    chat(&gateway, KEY, "configured", &body("echoes", "by the file", false)).await;
    assert_eq!(said(&gateway, "configured", 1).await[0]["key_id"], "test");
    let (is_made, printed, told) = signalbox(&gateway, &["keys", "create", "--name", "k", "--store-prompts"]);
    assert!(is_made, "{told}");
    let id = serde_json::from_str::<Value>(&printed).unwrap()["id"].as_str().unwrap().to_owned();
    assert_eq!(
        done(&gateway, "GET", &format!("/api/v1/keys/{id}"), Value::Null).await["store_prompts"],
        true
    );
}
