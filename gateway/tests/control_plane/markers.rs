//! Secrets, prompts and answers carry markers through every path; no log, metric, answer of the admin API, database, cache,
//! ledger or backup may show one in plain text.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::echo::{self, ANSWERS};
use crate::gateway::{Gateway, KEY};
use crate::operator::{self, TOKEN, call, done};
use crate::postgres_server::server;

const MODELS: &str = "
  echoes: {deployments: [{provider: echo, model: m}]}
  fails: {deployments: [{provider: echo, model: fails}], retries: {attempts: 1}}
  down: {deployments: [{provider: dead, model: m}], retries: {attempts: 1}}
  shared: {deployments: [{provider: echo, model: m}], coalesce: all}
  auto: {route: {strong: echoes, weak: shared, threshold: 0.5}}
";
/// Stands in every prompt; the provider repeats it in its answers and errors.
const PROMPT: &str = "prompt-3a9f";
const CREDENTIAL: &str = "credential-51c7-abcdefgh";
const PASSWORD: &str = "password 77e0 battery";
const STRANGER: &str = "sk-stranger-90d4-key";
const PATIENCE: Duration = Duration::from_secs(20);

fn settings(store: &str) -> String {
    format!(
        "{store}
key_hash: key-hash-secret-4b1e
encryption: {{key: 1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a}}
cache:
  memory: 16MiB
  disk: {{path: data/cache, size: 64MiB, key: 3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c}}
  exact: {{ttl: 1h}}
  semantic: {{max_error: 0.5}}
log: {{access: access.log, level: debug, requests: {{enabled: true}}}}"
    )
}

/// Everything that must be nowhere in plain text.
struct Secrets(Vec<(&'static str, String)>);

impl Secrets {
    /// Which of them the bytes show, and what follows it there.
    fn found(&self, bytes: &[u8]) -> Option<String> {
        let text = String::from_utf8_lossy(bytes);
        let shown = |(what, secret): &(&str, String)| {
            let after: String = text.get(text.find(secret.as_str())?..)?.chars().take(300).collect();
            Some(format!("{what}: {after}"))
        };
        self.0.iter().find_map(shown)
    }

    fn assert_absent(&self, place: &str, bytes: &[u8]) {
        if let Some(found) = self.found(bytes) {
            panic!("{place} shows {found}");
        }
    }
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            files(&path, found);
        } else if entry.file_type().unwrap().is_file() && !path.ends_with("signalbox.yaml") {
            found.push(path);
        }
    }
}

async fn send(gateway: &Gateway, key: &str, path: &str, body: String) -> (u16, String) {
    let request = gateway.client.post(gateway.url(path)).bearer_auth(key);
    let answer = request.header("content-type", "application/json").body(body).send().await.unwrap();
    let status = answer.status().as_u16();
    (status, format!("{:?}", answer.headers()) + &answer.text().await.unwrap())
}

fn body(model: &str, prompt: &str, stream: bool) -> String {
    let said = format!("What is {PROMPT} {prompt}?");
    json!({"model": model, "stream": stream, "temperature": 0, "messages": [{"role": "user", "content": said}]})
        .to_string()
}

/// Every way that a request can go, with this key.
async fn goes_every_way(gateway: &Gateway, key: &str) {
    let chat = "/v1/chat/completions";
    for (path, body, status, answered) in [
        (chat, body("echoes", "whole", false), 200, true),
        (chat, body("echoes", "whole", false), 200, true),
        (chat, body("echoes", "the whole", false), 200, true),
        (chat, body("echoes", "streamed", true), 200, true),
        (chat, body("shared", "shared", false), 200, true),
        (chat, body("auto", "routed", false), 200, true),
        (chat, body("fails", "refused", false), 400, true),
        (chat, body("fails", "refused", true), 400, true),
        (chat, body("down", "unreachable", false), 502, false),
        (chat, body("echoes", "cut", false).replace('}', ""), 400, false),
        (
            "/v1/messages",
            body("echoes", "translated", false).replace("\"temperature\":0", "\"max_tokens\":9"),
            200,
            true,
        ),
        ("/echo/v1/chat/completions", body("m", "passed", false), 200, true),
        ("/echo/v1/chat/completions", body("m", "passed", true), 200, true),
        ("/echo/v1/chat/completions", body("fails", "passed", false), 400, true),
        ("/nowhere/v1/x", body("m", "lost", false), 404, false),
    ] {
        let (got, text) = send(gateway, key, path, body.clone()).await;
        assert_eq!(got, status, "{path} {body}: {text}");
        assert!(!answered || text.contains(&format!("{ANSWERS}What is {PROMPT}")), "{path} {body}: {text}");
    }
    let asked = body("echoes", "of a stranger", false);
    assert_eq!(send(gateway, STRANGER, chat, asked).await.0, 401);
}

/// Every path of the admin API that can be read.
async fn told(gateway: &Gateway, ids: &[(&str, String)]) -> Vec<(String, String)> {
    let mut told = Vec::new();
    let document = gateway::admin::openapi();
    for (path, methods) in document["paths"].as_object().unwrap() {
        // What was said is shown there, and nowhere else.
        if methods.get("get").is_none() || path.ends_with("/contents") {
            continue;
        }
        let id = ids.iter().find(|(part, _)| path.contains(part)).map(|(_, id)| id.as_str());
        let path = path.replace("{id}", id.unwrap_or("none"));
        told.push((format!("GET {path}"), operator::get(gateway, &path).await.1));
    }
    told
}

fn signalbox(gateway: &Gateway, arguments: &[&str]) -> Vec<u8> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_signalbox"));
    let output = command.args(arguments).current_dir(&gateway.folder).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    [output.stdout, output.stderr].concat()
}

async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds().await {
        assert!(Instant::now() < deadline, "never: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// The id of the newest request of this key, when what was said in it is there, and so what was said before.
async fn newest_of(gateway: &Gateway, key: &str) -> String {
    let mut newest = String::new();
    until("it is in the log and kept", async || {
        let page = done(gateway, "GET", &format!("/api/v1/requests?key={key}&limit=1"), Value::Null).await;
        newest = page["data"][0]["request_id"].as_str().unwrap_or("none").to_owned();
        call(gateway, "GET", &format!("/api/v1/requests/{newest}/contents"), Value::Null).await.0 == 200
    })
    .await;
    newest
}

/// A gateway with secrets in every place.
struct Marked {
    gateway: Gateway,
    secrets: Secrets,
    /// The key whose prompts are stored.
    kept: String,
    /// The newest request of it.
    newest: String,
    /// What stands in a path, and the id of one of those.
    ids: Vec<(&'static str, String)>,
}

fn configured() -> Vec<(&'static str, String)> {
    [
        ("a prompt", PROMPT),
        ("an answer", ANSWERS),
        ("a key of the configuration", KEY),
        ("a key that nobody has", STRANGER),
        ("admin.token", TOKEN),
        ("a credential of the configuration", "configured-credential-2d6a"),
        ("a credential of the store", CREDENTIAL),
        ("key_hash", "key-hash-secret-4b1e"),
        ("a password", PASSWORD),
        ("an encryption key", "1a1a1a1a1a1a1a1a"),
        ("the cache's key", "3c3c3c3c3c3c3c3c"),
    ]
    .map(|(what, secret)| (what, secret.to_owned()))
    .to_vec()
}

/// An account with a token and a session, whose id is answered; and a credential.
async fn make_secrets(gateway: &Gateway, secrets: &mut Vec<(&'static str, String)>) -> [String; 2] {
    let id = |made: &Value| made["id"].as_str().unwrap().to_owned();
    let credential = json!({"provider": "echo", "name": "marked", "secret": CREDENTIAL});
    let credential = id(&done(gateway, "POST", "/api/v1/credentials", credential).await);
    let account = json!({"name": "ada", "role": "admin", "password": PASSWORD});
    let account = id(&done(gateway, "POST", "/api/v1/admins", account).await);
    let path = format!("/api/v1/admins/{account}/tokens");
    let token = done(gateway, "POST", &path, json!({"name": "ci"})).await;
    secrets.push(("a token", token["token"].as_str().unwrap().to_owned()));
    let signed_in = gateway.client.post(format!("http://{}/api/v1/session", gateway.admin));
    let signed_in = signed_in.json(&json!({"name": "ada", "password": PASSWORD})).send().await.unwrap();
    let cookie = signed_in.headers()["set-cookie"].to_str().unwrap();
    secrets.push(("a session", cookie.split([';', '=']).nth(1).unwrap().to_owned()));
    [credential, account]
}

async fn start(extra: &str) -> Marked {
    let providers = format!(
        "  echo: {{kind: openai, base_url: 'http://{}/v1', api_key: configured-credential-2d6a}}",
        echo::start().await
    );
    let gateway = operator::with_token(Gateway::start_logged(&providers, MODELS, extra).await).await;
    let mut secrets = configured();
    let [credential, account] = make_secrets(&gateway, &mut secrets).await;
    done(&gateway, "POST", "/api/v1/users", json!({"id": "bob", "name": "bob"})).await;
    let mut keys = Vec::new();
    for (name, keeps) in [("kept", true), ("unkept", false)] {
        let body = json!({"name": name, "models": ["*"], "store_prompts": keeps, "user_id": "bob"});
        let made = done(&gateway, "POST", "/api/v1/keys", body).await;
        let key = made["key"].as_str().unwrap().to_owned();
        secrets.push(("a virtual key", key.clone()));
        until("the key is known", async || {
            let models = gateway.client.get(gateway.url("/v1/models")).bearer_auth(&key);
            models.send().await.unwrap().status() == 200
        })
        .await;
        goes_every_way(&gateway, &key).await;
        keys.push((made["id"].as_str().unwrap().to_owned(), key));
    }
    // The newest of all is one that is kept.
    let (kept_id, kept) = keys.swap_remove(0);
    assert_eq!(send(&gateway, &kept, "/v1/chat/completions", body("echoes", "last", false)).await.0, 200);
    let newest = newest_of(&gateway, "kept").await;
    let ids = vec![
        ("/keys/", kept_id),
        ("/requests/", newest.clone()),
        ("/credentials/", credential),
        ("/admins/", account),
        ("/users/", "bob".to_owned()),
    ];
    Marked { gateway, secrets: Secrets(secrets), kept, newest, ids }
}

impl Marked {
    /// Searches everything, with a backup and a dump of this name; the files that were searched.
    async fn scan(&self, url: &str, name: &str) -> Vec<PathBuf> {
        let Self { gateway, secrets, ids, .. } = self;
        signalbox(gateway, &["backup", "--config", "signalbox.yaml", "--to", &format!("{name}.jsonl")]);
        for (place, text) in told(gateway, ids).await {
            secrets.assert_absent(&place, text.as_bytes());
        }
        for resource in ["keys", "credentials", "admins"] {
            let told = signalbox(gateway, &[resource, "list", "--config", "signalbox.yaml"]);
            secrets.assert_absent(resource, &told);
        }
        if url.starts_with("postgres") {
            let path = gateway.folder.join(format!("{name}.dump"));
            store::Store::open(url).await.unwrap().dump(&path, 1).await.unwrap();
        }
        let mut found = Vec::new();
        files(&gateway.folder, &mut found);
        for path in &found {
            secrets.assert_absent(&path.display().to_string(), &std::fs::read(path).unwrap());
        }
        found
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.gateway.folder.join(name)).unwrap()
    }

    /// Lines of a table in a backup.
    fn rows(&self, backup: &str, table: &str) -> Vec<String> {
        let table = format!("\"table\":\"{table}\"");
        self.read(backup).lines().filter(|line| line.contains(&table)).map(str::to_owned).collect()
    }
}

async fn shows_nothing(extra: &str, url: &str) {
    let mut marked = start(extra).await;
    let found = marked.scan(url, "first").await;
    // They are where they should be, so that a scan of nothing would be seen.
    for part in ["access.log", "messages.log", "first.jsonl", "data/cache", "data/ledger"] {
        assert!(found.iter().any(|path| path.to_string_lossy().contains(part)), "{part} in {found:?}");
    }
    let configuration = marked.read("signalbox.yaml");
    assert!(marked.secrets.found(configuration.as_bytes()).is_some(), "what holds secrets is seen to");
    assert!(marked.read("access.log").lines().count() >= 30);
    assert!(marked.read("messages.log").contains("DEBUG"));
    assert!(marked.rows("first.jsonl", "request_contents").len() >= 14);

    let user = json!({"user": "bob", "requests": true});
    let erased = done(&marked.gateway, "POST", "/api/v1/erase", user).await;
    let count = |what: &str| erased[what].as_u64().unwrap();
    assert!(count("contents") >= 14 && count("requests") >= 28, "{erased}");
    let path = format!("/api/v1/requests/{}/contents", marked.newest);
    assert_eq!(call(&marked.gateway, "GET", &path, Value::Null).await.0, 404);
    marked.scan(url, "second").await;
    assert_eq!(marked.rows("second.jsonl", "request_contents").len(), 0);
    let logged = marked.rows("second.jsonl", "request_log");
    assert!(!logged.iter().any(|row| row.contains(&marked.newest)), "the request log has forgotten it");

    // What a process that was killed has left behind, and what one writes when it ends as asked.
    goes_every_way(&marked.gateway, &marked.kept).await;
    marked.gateway.restart_after_kill().await;
    marked.scan(url, "third").await;
    goes_every_way(&marked.gateway, &marked.kept).await;
    let pid = marked.gateway.pid().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    crate::gateway::eventually("it has ended", || marked.gateway.has_ended()).await;
    marked.gateway.restart_after_kill().await;
    let found = marked.scan(url, "fourth").await;
    assert!(found.iter().any(|path| path.ends_with("semantic.state")), "{found:?}");
}

#[tokio::test]
async fn no_marker_is_found_in_any_log_metric_answer_file_or_backup() {
    shows_nothing(&settings("store: sqlite:data/signalbox.db"), "sqlite:").await;
}

#[tokio::test]
async fn no_marker_is_found_in_a_dump_of_postgresql() {
    let url = server().url(&server().database());
    shows_nothing(&settings(&format!("store: '{url}'")), &url).await;
}
