//! Secrets, prompts and answers carry markers through every path; no log, metric, answer of the admin API, database, cache,
//! ledger or backup may show one, in any form that `scan` knows. That the search sees one in each of these places is tested too.

use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::echo::{self, ANSWERS};
use crate::gateway::{Gateway, KEY};
use crate::operator::{self, TOKEN, call, done};
use crate::postgres_server::server;
use crate::scan::{Place, Secrets, files};

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
log: {{access: access.log, level: debug}}"
    )
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

/// Everything that is searched, with a backup and a dump of this name.
async fn searched(gateway: &Gateway, ids: &[(&str, String)], url: &str, name: &str) -> Vec<Place> {
    signalbox(gateway, &["backup", "--config", "signalbox.yaml", "--to", &format!("{name}.jsonl")]);
    if url.starts_with("postgres") {
        let path = gateway.folder.join(format!("{name}.dump"));
        store::Store::open(url).await.unwrap().dump(&path, 1).await.unwrap();
    }
    let told = told(gateway, ids).await.into_iter();
    let mut places: Vec<_> = told.map(|(name, text)| Place { name, bytes: text.into_bytes() }).collect();
    for resource in ["keys", "credentials", "admins"] {
        let bytes = signalbox(gateway, &[resource, "list", "--config", "signalbox.yaml"]);
        places.push(Place { name: format!("signalbox {resource} list"), bytes });
    }
    let mut found = Vec::new();
    files(&gateway.folder, &mut found);
    places.extend(found.iter().map(PathBuf::as_path).map(Place::file));
    places
}

impl Marked {
    /// Searches everything, with a backup and a dump of this name; the places that were searched.
    async fn scan(&self, url: &str, name: &str) -> Vec<String> {
        let places = searched(&self.gateway, &self.ids, url, name).await;
        let found: Vec<String> = places.iter().flat_map(|place| self.secrets.found(place)).collect();
        assert!(found.is_empty(), "{found:#?}");
        places.into_iter().map(|place| place.name).collect()
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
        assert!(found.iter().any(|name| name.contains(part)), "{part} in {found:?}");
    }
    let configuration = Place::file(&marked.gateway.folder.join("signalbox.yaml"));
    assert!(!marked.secrets.found(&configuration).is_empty(), "what holds secrets is seen to");
    assert!(marked.read("access.log").lines().count() >= 30);
    assert!(marked.read("messages.log").contains("DEBUG"));
    assert!(marked.rows("first.jsonl", "request_contents").len() >= 14);
    assert!(!marked.rows("first.jsonl", "request_blocks").is_empty());

    let user = json!({"user": "bob", "requests": true});
    let erased = done(&marked.gateway, "POST", "/api/v1/erase", user).await;
    let count = |what: &str| erased[what].as_u64().unwrap();
    assert!(count("contents") >= 14 && count("requests") >= 28, "{erased}");
    let path = format!("/api/v1/requests/{}/contents", marked.newest);
    assert_eq!(call(&marked.gateway, "GET", &path, Value::Null).await.0, 404);
    marked.scan(url, "second").await;
    assert_eq!(marked.rows("second.jsonl", "request_contents").len(), 0);
    let logged = format!("/api/v1/requests/{}", marked.newest);
    assert_eq!(
        call(&marked.gateway, "GET", &logged, Value::Null).await.0,
        404,
        "the request log has forgotten it"
    );

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
    assert!(found.iter().any(|name| name.ends_with("semantic.state")), "{found:?}");
}

/// What is planted, and a part of the name of each place that must show it.
const PLANTED: [(&str, &[&str]); 9] = [
    ("planted-label-5d21", &["GET /metrics", "GET /api/v1/deployments"]),
    ("planted-answer-77ac", &["GET /api/v1/teams", "GET /api/v1/audit", "first.jsonl"]),
    ("planted-line-0c9e", &["access.log"]),
    ("planted-message-41f8", &["messages.log"]),
    ("planted-file-3b7f", &["data/deep/down"]),
    ("planted-journal-b02d", &["data/ledger/"]),
    ("planted-contents-9e66", &["first.jsonl"]),
    ("planted-request-1ad3", &["first.jsonl", "GET /api/v1/requests"]),
    ("planted-entry-c574", &["first.jsonl", "GET /api/v1/ledger"]),
];

/// Puts one where each kind of leak would put it.
async fn plant(gateway: &Gateway, store: &store::Store) {
    let at = |index: usize| PLANTED[index].0;
    assert_eq!(gateway.chat(at(0)).await.status(), 200);
    done(gateway, "POST", "/api/v1/teams", json!({"id": "red", "name": at(1)})).await;
    let append = |file: &str, text: &str| {
        use std::io::Write as _;
        let path = gateway.folder.join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let mut file = std::fs::OpenOptions::new().create(true).append(true).open(path).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    };
    append("access.log", &format!("{{\"prompt\":\"{}\"}}\n", at(2)));
    append("messages.log", &format!("DEBUG asked {}\n", at(3)));
    let hex: String = at(4).bytes().map(|byte| format!("{byte:02x}")).collect();
    append("data/deep/down/below.bin", &hex);
    append("data/ledger/planted.log", at(5));
    // As if it had not been sealed.
    let unsealed = store::SealedContents {
        id: store::new_id(),
        request_id: "r".to_owned(),
        at_ms: 1,
        ciphertext: at(6).as_bytes().to_vec(),
        ..store::SealedContents::default()
    };
    store.contents().append(&[unsealed]).await.unwrap();
    let subject =
        |model: &str| Arc::new(store::Subject { model: model.to_owned(), ..store::Subject::default() });
    let logged = store::LoggedRequest {
        request_id: "r".to_owned(),
        at_ms: 1,
        subject: subject(at(7)),
        ..Default::default()
    };
    store.request_log().append(&store::RequestBlock::of(vec![logged]).unwrap()).await.unwrap();
    let entry = store::LedgerEntry {
        attempt_id: "a".to_owned(),
        state: store::State::Settled,
        subject: subject(at(8)),
        ..Default::default()
    };
    let log = store::LogBatch { log: "planted".to_owned(), ended: vec![entry], ..Default::default() };
    store.ledger().apply(&log).await.unwrap();
}

async fn what_is_planted_is_seen(extra: &str, url: &str) {
    let label = PLANTED[0].0;
    let models = format!("  {label}: {{deployments: [{{provider: mock, model: m}}]}}");
    let gateway = operator::with_token(Gateway::start_logged("", &models, extra).await).await;
    let store = match url.strip_prefix("sqlite:") {
        Some(path) => format!("sqlite:{}", gateway.folder.join(path).display()),
        None => url.to_owned(),
    };
    let store = store::Store::open(&store).await.unwrap();
    plant(&gateway, &store).await;
    let places = searched(&gateway, &[], url, "first").await;
    let found = |secret: &str| {
        let secrets = Secrets(vec![("what is planted", secret.to_owned())]);
        places.iter().flat_map(|place| secrets.found(place)).collect::<Vec<_>>()
    };
    for (secret, shown_by) in PLANTED {
        let found = found(secret);
        for part in shown_by {
            let is_there = |found: &String| found.split(" shows ").next().unwrap().contains(part);
            assert!(found.iter().any(is_there), "{secret} is not seen in {part}, but in {found:#?}");
        }
    }
    let contents = found(PLANTED[6].0);
    let raw = if url.starts_with("postgres") { "first.dump" } else { "data/signalbox.db" };
    assert!(contents.iter().any(|found| found.contains(raw)), "{raw}: {contents:#?}");
    assert_eq!(found("never-planted-2c81"), Vec::<String>::new());
}

#[tokio::test]
async fn what_is_planted_is_seen_in_each_place_that_is_searched() {
    what_is_planted_is_seen(&settings("store: sqlite:data/signalbox.db"), "sqlite:data/signalbox.db").await;
}

#[tokio::test]
async fn what_is_planted_in_postgresql_is_seen_in_its_dump() {
    let url = server().url(&server().database());
    what_is_planted_is_seen(&settings(&format!("store: '{url}'")), &url).await;
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
