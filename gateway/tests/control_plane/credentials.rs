//! Providers' credentials: made, exchanged and encrypted anew at run time, spread over, and taken out one by one.

use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::gateway::{Gateway, KEY};
use crate::ledger::STORE;
use crate::operator::{call, chat, done, start};
use crate::postgres_server::server;

const PATIENCE: Duration = Duration::from_secs(10);
/// The credential of the configuration, which has its provider's name.
const CONFIGURED: &str = "upstream-credential-1";
const ENCRYPTION_KEY: &str =
    "encryption: {key: 1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a}";
const NEXT_KEY: &str = "2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b";

/// A gateway whose provider `mock` has no credential in the configuration.
async fn start_bare(models: &str, extra: &str) -> Gateway {
    let gateway = start(models, extra).await;
    rewrite(&gateway, &format!(", api_key: {CONFIGURED}"), "");
    gateway.reloaded(2).await;
    gateway
}

fn rewrite(gateway: &Gateway, from: &str, to: &str) {
    let path = gateway.folder.join("signalbox.yaml");
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains(from), "{text}");
    std::fs::write(&path, text.replacen(from, to, 1)).unwrap();
}

/// Makes a credential of the provider `mock`; its id.
async fn make(gateway: &Gateway, name: &str, secret: &str, more: Value) -> String {
    let mut body = json!({"provider": "mock", "name": name, "secret": secret});
    body.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap_or_default());
    let made = done(gateway, "POST", "/api/v1/credentials", body).await;
    made["id"].as_str().unwrap().to_owned()
}

async fn until(gateway: &Gateway, key: &str, model: &str, status: u16) -> Duration {
    let started = Instant::now();
    loop {
        let (seen, code) = chat(gateway, key, model).await;
        if seen == status {
            return started.elapsed();
        }
        assert!(started.elapsed() < PATIENCE, "{seen} {code} instead of {status}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Waits until the model has so many deployments: one for each credential in use.
async fn until_deployments(gateway: &Gateway, model: &str, count: usize) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let list = done(gateway, "GET", "/api/v1/deployments", Value::Null).await;
        let rows = list["deployments"].as_array().unwrap().clone();
        if rows.iter().filter(|row| row["model"] == model).count() == count {
            return;
        }
        assert!(Instant::now() < deadline, "{list}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Of the deployment's cooldown.
async fn state(gateway: &Gateway, id: &str) -> String {
    let list = done(gateway, "GET", "/api/v1/deployments", Value::Null).await;
    let row = list["deployments"].as_array().unwrap().iter().find(|row| row["id"] == id);
    row.unwrap_or_else(|| panic!("no {id} in {list}"))["state"].as_str().unwrap().to_owned()
}

/// Which credentials the mock was shown, in order.
fn shown(gateway: &Gateway) -> Vec<String> {
    let requests = gateway.mock.requests();
    let header = |name: &str| requests.iter().filter_map(|it| it.header(name).map(str::to_owned)).collect();
    let all: Vec<String> = header("authorization");
    all.iter().map(|value| value.trim_start_matches("Bearer ").to_owned()).collect()
}

/// Runs the program beside the gateway, with its configuration.
fn signalbox(gateway: &Gateway, arguments: &[&str], input: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_signalbox"));
    command.args(arguments).arg("--config").arg(gateway.folder.join("signalbox.yaml"));
    command.current_dir(&gateway.folder).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    std::io::Write::write_all(child.stdin.as_mut().unwrap(), input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

fn succeeded(output: &Output) -> Value {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn postgres() -> String {
    let url = server().url(&server().database());
    format!("store: '{url}'\nkey_hash: a-secret-of-this-installation")
}

async fn is_used_without_a_restart(gateway: &Gateway) {
    assert_eq!(chat(gateway, KEY, "late").await.0, 502, "the provider asks for a credential");
    let id = make(gateway, "late", "sk-late-0123456789", Value::Null).await;
    println!("a new credential is used after {:?}", until(gateway, KEY, "late", 200).await);
    let shown = done(gateway, "GET", &format!("/api/v1/credentials/{id}"), Value::Null).await;
    assert_eq!(
        (&shown["name"], &shown["hint"], &shown["weight"]),
        (&json!("late"), &json!("6789"), &json!(1))
    );

    done(gateway, "PATCH", &format!("/api/v1/credentials/{id}"), json!({"disabled": true})).await;
    println!("a disabled one is left after {:?}", until(gateway, KEY, "late", 502).await);
    done(gateway, "PATCH", &format!("/api/v1/credentials/{id}"), json!({"disabled": false})).await;
    until(gateway, KEY, "late", 200).await;
    done(gateway, "DELETE", &format!("/api/v1/credentials/{id}"), Value::Null).await;
    until(gateway, KEY, "late", 502).await;
    let log = done(gateway, "GET", &format!("/api/v1/audit?object_id={id}"), Value::Null).await;
    let actions: Vec<&Value> = log["data"].as_array().unwrap().iter().map(|it| &it["action"]).collect();
    assert_eq!(actions, ["delete", "update", "update", "create"], "{log}");
}

const LATE: &str = "
  late: {deployments: [{provider: mock, model: 'm;credential=sk-late-0123456789'}], retries: {attempts: 1}, cooldown: {failures: 0}}
";

#[tokio::test]
async fn a_provider_without_a_credential_works_as_soon_as_the_store_has_one() {
    is_used_without_a_restart(&start_bare(LATE, STORE).await).await;
}

#[tokio::test]
async fn the_same_on_postgresql_with_a_configured_key() {
    is_used_without_a_restart(&start_bare(LATE, &format!("{}\n{ENCRYPTION_KEY}", postgres())).await).await;
}

#[tokio::test]
async fn postgresql_without_an_encryption_key_keeps_no_credentials() {
    let gateway = start("", &postgres()).await;
    let body = json!({"provider": "mock", "name": "n", "secret": "sk-0123456789abcdef"});
    let (status, fault) = call(&gateway, "POST", "/api/v1/credentials", body).await;
    assert_eq!(status, 503);
    assert!(fault.to_string().contains("encryption.key"), "{fault}");
}

#[tokio::test]
async fn a_provider_that_needs_a_credential_and_has_none_says_so() {
    let models = "  none: {deployments: [{provider: groq, model: m}]}";
    let gateway = Gateway::start_with_providers("  groq: {kind: groq}", models, STORE).await;
    let answer = gateway.chat("none").await;
    assert_eq!(answer.status(), 502);
    let answer = answer.text().await.unwrap();
    assert!(answer.contains("no credential"), "{answer}");
}

#[tokio::test]
async fn a_refused_credential_is_left_out_alone_and_told() {
    let models = format!(
        "  m: {{deployments: [{{provider: mock, model: 'm;status=401;only={CONFIGURED}'}}], retries: {{attempts: 1}}}}"
    );
    let gateway = start(&models, STORE).await;
    let first = format!("mock/m;status=401;only={CONFIGURED}");
    make(&gateway, "spare", "sk-spare-0123456789", json!({"priority": 1})).await;
    until_deployments(&gateway, "m", 2).await;

    let answer = gateway.chat("m").await;
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["x-signalbox-deployment"], format!("{first}@spare"));
    assert_eq!(answer.headers()["x-signalbox-attempts"], "2");
    assert_eq!(shown(&gateway), [CONFIGURED, "sk-spare-0123456789"]);
    assert_eq!(state(&gateway, &first).await, "open");
    assert_eq!(state(&gateway, &format!("{first}@spare")).await, "closed");
    gateway.until_metric("signalbox_alerts_total{kind=\"credential_refused\"} 1").await;

    for _ in 0..5 {
        assert_eq!(gateway.chat("m").await.headers()["x-signalbox-attempts"], "1");
    }
    assert_eq!(shown(&gateway).iter().filter(|it| *it == CONFIGURED).count(), 1, "it is not asked again");
}

#[tokio::test]
async fn a_rate_limited_credential_lets_the_next_be_asked_at_once() {
    let models = format!(
        "
  m:
    deployments: [{{provider: mock, model: 'm;status=429;retry_after=4;only={CONFIGURED}'}}]
    retries: {{attempts: 3, backoff: {{initial: 5s, max: 5s}}}}
"
    );
    let gateway = start(&models, STORE).await;
    make(&gateway, "spare", "sk-spare-0123456789", json!({"priority": 1})).await;
    until_deployments(&gateway, "m", 2).await;
    let began = Instant::now();
    let answer = gateway.chat("m").await;
    assert_eq!(
        (answer.status().as_u16(), &answer.headers()["x-signalbox-attempts"]),
        (200, &"2".parse().unwrap())
    );
    assert!(began.elapsed() < Duration::from_secs(3), "it waited: {:?}", began.elapsed());
    assert_eq!(shown(&gateway), [CONFIGURED, "sk-spare-0123456789"]);
}

#[tokio::test]
async fn credentials_share_the_requests_by_weight_and_a_drained_one_has_none() {
    let gateway = start_bare("", STORE).await;
    for (name, weight) in [("heavy", 3), ("light", 1), ("drained", 0)] {
        make(&gateway, name, &format!("sk-{name}-0123456789"), json!({"weight": weight})).await;
    }
    until_deployments(&gateway, "plain", 3).await;
    for _ in 0..40 {
        assert_eq!(gateway.chat("plain").await.status(), 200);
    }
    let shown = shown(&gateway);
    let count = |name: &str| shown.iter().filter(|it| **it == format!("sk-{name}-0123456789")).count();
    assert_eq!((count("heavy"), count("light"), count("drained")), (30, 10, 0));
}

#[tokio::test]
async fn an_exchanged_secret_works_at_once_after_the_old_one_was_refused() {
    let models = "  m: {deployments: [{provider: mock, model: 'm;credential=sk-right-0123456789'}]}";
    let gateway = start_bare(models, STORE).await;
    let id = make(&gateway, "only", "sk-wrong-0123456789", Value::Null).await;
    until_deployments(&gateway, "m", 1).await;
    until(&gateway, KEY, "m", 502).await;
    let secret = json!({"secret": "sk-right-0123456789"});
    let changed = done(&gateway, "PATCH", &format!("/api/v1/credentials/{id}"), secret).await;
    assert!(changed["rotated_at"].is_string() && changed["secret"].is_null(), "{changed}");
    let after = until(&gateway, KEY, "m", 200).await;
    println!("an exchanged secret is used after {after:?}");
}

#[tokio::test]
async fn a_key_uses_only_the_credentials_it_is_mapped_to() {
    let gateway = start("", STORE).await;
    for name in ["blue", "green"] {
        make(&gateway, name, &format!("sk-{name}-0123456789"), Value::Null).await;
    }
    until_deployments(&gateway, "plain", 3).await;
    let body = json!({"name": "shop", "credentials": ["green"], "models": ["*"]});
    let made = done(&gateway, "POST", "/api/v1/keys", body).await;
    let (key, path) =
        (made["key"].as_str().unwrap(), format!("/api/v1/keys/{}", made["id"].as_str().unwrap()));
    until(&gateway, key, "plain", 200).await;
    for _ in 0..9 {
        assert_eq!(chat(&gateway, key, "mock/direct").await.0, 200);
        assert_eq!(chat(&gateway, key, "plain").await.0, 200);
    }
    // The raw pass-through too; the mock does not know the path, but it is asked.
    let raw = gateway.client.get(gateway.url("/mock/files")).bearer_auth(key).send().await.unwrap();
    assert_eq!(raw.status(), 404);
    let all = shown(&gateway);
    assert!(all.len() >= 20 && all.iter().all(|it| it == "sk-green-0123456789"), "{all:?}");

    done(&gateway, "PATCH", &path, json!({"credentials": ["none-such"]})).await;
    until(&gateway, key, "plain", 502).await;
    let asked = gateway.mock.requests().len();
    assert_eq!(chat(&gateway, key, "plain").await.0, 502);
    assert_eq!(gateway.mock.requests().len(), asked, "nobody else was asked");
    done(&gateway, "PATCH", &path, json!({"credentials": ["mock"]})).await;
    until(&gateway, key, "plain", 200).await;
    assert_eq!(shown(&gateway).last().unwrap(), CONFIGURED);
}

#[tokio::test]
async fn a_deployment_may_name_its_credential_and_the_configuration_several() {
    let models = "
  pinned: {deployments: [{provider: mock, model: m, credential: second}]}
  both: {deployments: [{provider: mock, model: b}]}
";
    let gateway = start(models, STORE).await;
    let several = "api_keys: [{name: first, key: sk-first-012345}, {name: second, key: sk-second-012345}]";
    rewrite(&gateway, &format!("api_key: {CONFIGURED}"), several);
    gateway.reloaded(2).await;
    for _ in 0..4 {
        assert_eq!(gateway.chat("pinned").await.headers()["x-signalbox-deployment"], "mock/m@second");
    }
    for _ in 0..4 {
        assert_eq!(gateway.chat("both").await.status(), 200);
    }
    let shown = shown(&gateway);
    assert_eq!(shown.iter().filter(|it| *it == "sk-first-012345").count(), 2, "{shown:?}");
    assert_eq!(shown.iter().filter(|it| *it == "sk-second-012345").count(), 6, "{shown:?}");
}

#[tokio::test]
async fn what_cannot_be_a_credential_is_refused_and_not_repeated() {
    let gateway = start("", STORE).await;
    make(&gateway, "taken", "sk-0123456789abcdef", Value::Null).await;
    let secret = "sk-marker-5f0c\r\nx-evil: 1";
    for (body, status, param) in [
        (json!({"provider": "mock", "name": "n", "secret": secret}), 400, "secret"),
        (json!({"provider": "mock", "name": "n", "secret": ""}), 400, "secret"),
        (json!({"provider": "mock", "name": "n"}), 400, "secret"),
        (json!({"provider": "mock", "name": "n", "secret": {"marker-5f0c": 1}}), 400, "secret"),
        (json!({"provider": "nobody", "name": "n", "secret": "sk-marker-5f0c"}), 400, "provider"),
        (json!({"provider": "mock", "name": "two words", "secret": "sk-marker-5f0c"}), 400, "name"),
        (json!({"provider": "mock", "name": "mock", "secret": "sk-marker-5f0c"}), 400, "name"),
        (json!({"provider": "mock", "name": "taken", "secret": "sk-marker-5f0c"}), 409, "name"),
    ] {
        let (seen, fault) = call(&gateway, "POST", "/api/v1/credentials", body.clone()).await;
        assert_eq!((seen, &fault["error"]["param"]), (status, &json!(param)), "{body}: {fault}");
        assert!(!fault.to_string().contains("marker-5f0c"), "{fault}");
    }
    let listed = done(&gateway, "GET", "/api/v1/credentials", Value::Null).await;
    assert_eq!(listed["data"].as_array().unwrap().len(), 1, "{listed}");
    let moved = format!("/api/v1/credentials/{}", listed["data"][0]["id"].as_str().unwrap());
    let (status, fault) = call(&gateway, "PATCH", &moved, json!({"provider": "claude"})).await;
    assert_eq!((status, &fault["error"]["param"]), (400, &json!("provider")));
    let without_token = gateway.client.get(format!("http://{}/api/v1/credentials", gateway.admin));
    assert_eq!(without_token.send().await.unwrap().status(), 401);
}

#[tokio::test]
async fn the_command_line_manages_credentials_of_a_running_gateway() {
    let gateway = start_bare(LATE, STORE).await;
    let add = ["credentials", "add", "--provider", "mock", "--name", "late"];
    let made = succeeded(&signalbox(&gateway, &add, "sk-late-0123456789\n"));
    assert_eq!(made["hint"], "6789");
    until(&gateway, KEY, "late", 200).await;
    let listed = succeeded(&signalbox(&gateway, &["credentials", "list"], ""));
    assert!(listed["id"] == made["id"] && !listed.to_string().contains("sk-late"), "{listed}");
    succeeded(&signalbox(&gateway, &["credentials", "disable", "late"], ""));
    until(&gateway, KEY, "late", 502).await;
    succeeded(&signalbox(&gateway, &["credentials", "enable", "late"], ""));
    until(&gateway, KEY, "late", 200).await;
    let argument = signalbox(&gateway, &[&add[..5], &["other", "--from", "sk-on-the-line"]].concat(), "");
    let said = String::from_utf8_lossy(&argument.stderr).into_owned();
    assert!(!argument.status.success() && said.contains("env:NAME") && !said.contains("sk-on"), "{said}");
    std::fs::write(gateway.folder.join("secret"), "sk-wrong-0123456789\n").unwrap();
    succeeded(&signalbox(&gateway, &["credentials", "rotate", "late", "--from", "file:secret"], ""));
    until(&gateway, KEY, "late", 502).await;
    succeeded(&signalbox(&gateway, &["credentials", "delete", "late"], ""));
    until_deployments(&gateway, "late", 1).await;
}

async fn survives_a_rotation_of_the_key(mut gateway: Gateway) {
    make(&gateway, "late", "sk-late-0123456789", Value::Null).await;
    until(&gateway, KEY, "late", 200).await;
    let old = ENCRYPTION_KEY.trim_start_matches("encryption: {key: ").trim_end_matches('}');
    let both = format!("encryption: {{key: {NEXT_KEY}, old_keys: [{old}]}}");
    rewrite(&gateway, ENCRYPTION_KEY, &both);
    let rotated = succeeded(&signalbox(&gateway, &["encryption", "rotate"], ""));
    assert_eq!(rotated["credentials"], 1, "{rotated}");
    let again = succeeded(&signalbox(&gateway, &["encryption", "rotate"], ""));
    assert_eq!(again["credentials"], 0, "{again}");
    // The gateway that runs does not know the new key, and keeps what it has.
    gateway.until_metric("signalbox_unreadable_credentials 1").await;
    assert_eq!(chat(&gateway, KEY, "late").await.0, 200);
    rewrite(&gateway, &both, &format!("encryption: {{key: {NEXT_KEY}}}"));
    gateway.restart_after_kill().await;
    assert_eq!(chat(&gateway, KEY, "late").await.0, 200, "with the new key alone");

    rewrite(&gateway, NEXT_KEY, old);
    for taken in [gateway.address, gateway.admin] {
        rewrite(&gateway, &format!("listen: {taken}"), "listen: 127.0.0.1:0");
    }
    let refused = signalbox(&gateway, &["serve"], "");
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && said.contains("`late` is encrypted with the key"), "{said}");
    assert!(said.contains("encryption.old_keys") && !said.contains("panicked"), "{said}");
}

#[tokio::test]
async fn the_encryption_key_is_exchanged_and_a_wrong_one_stops_the_start() {
    let extra = format!("{STORE}\n{ENCRYPTION_KEY}");
    survives_a_rotation_of_the_key(start_bare(LATE, &extra).await).await;
}

#[tokio::test]
async fn the_same_exchange_on_postgresql() {
    let extra = format!("{}\n{ENCRYPTION_KEY}", postgres());
    survives_a_rotation_of_the_key(start_bare(LATE, &extra).await).await;
}

/// Another gateway on the same store, whose log and messages go to files; ends with the test.
struct Logged(std::process::Child);

impl Drop for Logged {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

const MARKER: &str = "marker-5f0c-77aa-1234567890";

/// Every answer of the admin API that could hold a credential, and the metrics.
async fn told(gateway: &Gateway) -> String {
    let mut all = gateway.metrics().await;
    for path in ["credentials", "deployments", "audit", "keys", "reports?group_by=model"] {
        all += &call(gateway, "GET", &format!("/api/v1/{path}"), Value::Null).await.1.to_string();
    }
    all
}

async fn never_shows(extra: &str, dump: impl AsyncFn(&Gateway) -> Vec<u8>) {
    let models = "
  good: {deployments: [{provider: mock, model: m}]}
  echoes: {deployments: [{provider: mock, model: 'm;credential=another'}], retries: {attempts: 1}}
  rejects: {deployments: [{provider: mock, model: 'm;status=400'}]}
";
    let gateway = start_bare(models, extra).await;
    let mut seen = String::new();
    let body = json!({"provider": "mock", "name": "marked", "secret": MARKER, "weight": 2});
    let made = done(&gateway, "POST", "/api/v1/credentials", body).await;
    seen += &made.to_string();
    let path = format!("/api/v1/credentials/{}", made["id"].as_str().unwrap());
    let deadline = Instant::now() + PATIENCE;
    while !shown(&gateway).iter().any(|it| it == MARKER) {
        assert!(Instant::now() < deadline, "the credential is never used");
        assert_eq!(gateway.chat("good").await.status(), 200);
    }

    // The same configuration with everything logged, beside the first.
    let text = std::fs::read_to_string(gateway.folder.join("signalbox.yaml")).unwrap();
    let log = "log: {access: access.log, level: debug}";
    let text = text.replace("log: {access: 'off', level: error}", log);
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let text = text.replace(&format!("listen: {}", gateway.address), &format!("listen: {free}"));
    let text = text.replace(&format!("listen: {}", gateway.admin), "listen: 127.0.0.1:0");
    std::fs::write(gateway.folder.join("logged.yaml"), text).unwrap();
    let messages = std::fs::File::create(gateway.folder.join("messages.log")).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_signalbox"));
    command.args(["serve", "--config", "logged.yaml"]).current_dir(&gateway.folder).stderr(messages);
    let _logged = Logged(command.spawn().unwrap());
    let ask = async |model: &str| {
        let url = format!("http://{free}/v1/chat/completions");
        let body = crate::gateway::chat(model, false).to_string();
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            match gateway.client.post(&url).bearer_auth(KEY).body(body.clone()).send().await {
                Ok(answer) => {
                    return (
                        answer.status().as_u16(),
                        format!("{:?}", answer.headers()),
                        answer.text().await.unwrap(),
                    );
                }
                Err(error) => assert!(Instant::now() < deadline, "{error}"),
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    for (model, status) in [("good", 200), ("echoes", 502), ("rejects", 400)] {
        let (got, headers, body) = ask(model).await;
        assert_eq!(got, status, "{body}");
        seen += &(headers + &body);
    }
    seen += &done(&gateway, "PATCH", &path, json!({"secret": MARKER})).await.to_string();
    seen += &done(&gateway, "GET", &path, Value::Null).await.to_string();
    seen += &told(&gateway).await;
    seen += &String::from_utf8_lossy(&signalbox(&gateway, &["credentials", "list"], "").stdout);
    let read = |name: &str| std::fs::read_to_string(gateway.folder.join(name)).unwrap();
    crate::gateway::eventually("logged", || read("access.log").lines().count() == 3).await;
    assert!(read("messages.log").contains("the provider refuses the credential"));
    seen += &(read("access.log") + &read("messages.log"));
    assert!(seen.contains("marked"), "what was seen is about the credential");
    assert!(!seen.contains("5f0c-77aa"), "{seen}");
    let dump = dump(&gateway).await;
    let holds = |text: &[u8]| dump.windows(text.len()).any(|part| part == text);
    assert!(holds(b"marked") && !holds(b"5f0c-77aa"), "the database");
}

#[tokio::test]
async fn a_credential_is_in_no_answer_no_log_no_metric_and_not_in_the_database() {
    never_shows(STORE, async |gateway| {
        let folder = std::fs::read_dir(gateway.folder.join("data")).unwrap();
        let files = folder.map(|file| file.unwrap().path()).filter(|path| path.is_file());
        files.flat_map(|path| std::fs::read(path).unwrap()).collect()
    })
    .await;
}

#[tokio::test]
async fn a_credential_is_not_in_a_dump_of_postgresql() {
    let extra = format!("{}\n{ENCRYPTION_KEY}", postgres());
    let url = extra.lines().next().unwrap().trim_start_matches("store: '").trim_end_matches('\'').to_owned();
    never_shows(&extra, async |gateway| {
        let store = store::Store::open(&url).await.unwrap();
        let path = gateway.folder.join("dump");
        store.dump(&path, 1).await.unwrap();
        std::fs::read(path).unwrap()
    })
    .await;
}
