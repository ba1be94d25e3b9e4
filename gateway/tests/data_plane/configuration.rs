//! Checking and reloading.

use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use crate::gateway::{Gateway, KEY, chat};

/// The example of the design, as it stands.
const EXAMPLE: &str = include_str!("../../../conf/signalbox.yaml");

fn check(text: &str) -> (Option<i32>, String) {
    let path =
        std::env::temp_dir().join(format!("signalbox-check-{}-{}.yaml", std::process::id(), text.len()));
    std::fs::write(&path, text).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_signalbox"))
        .args(["check", "--config"])
        .arg(&path)
        .envs([
            ("SIGNALBOX_ADMIN_TOKEN", "t"),
            ("OPENAI_API_KEY", "o"),
            ("ANTHROPIC_API_KEY", "a"),
            ("DEV_KEY", "d"),
        ])
        .output()
        .unwrap();
    std::fs::remove_file(&path).unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(text).unwrap())
}

#[test]
fn the_example_is_sound_and_all_of_it_is_active() {
    let (code, text) = check(EXAMPLE);
    assert_eq!(code, Some(0), "{text}");
    assert!(!text.contains("not active"), "{text}");
    assert!(!text.contains("models.auto.route"), "{text}");
}

#[test]
fn the_published_schema_is_the_one_the_program_prints() {
    let output = Command::new(env!("CARGO_BIN_EXE_signalbox")).arg("schema").output().unwrap();
    let published = include_str!("../../../conf/signalbox.schema.json");
    assert_eq!(String::from_utf8(output.stdout).unwrap(), published, "`make schema` writes it anew");
}

#[test]
fn a_taken_address_ends_the_program_with_a_sentence() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let _still = std::net::TcpListener::bind(&taken).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_signalbox"))
        .arg("demo")
        .envs([("SIGNALBOX_DEMO_LISTEN", taken.as_str()), ("SIGNALBOX_DEMO_ADMIN", "127.0.0.1:0")])
        .output()
        .unwrap();
    assert!(!output.status.success());
    assert!(output.stdout.is_empty(), "a base URL is promised that nobody serves");
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(message.contains(&format!("listen: {taken} is taken by another process")), "{message}");
}

#[test]
fn three_planted_faults_are_all_named_with_their_paths() {
    let text = EXAMPLE
        .replace("kind: openai, api_key", "kind: openia, api_key")
        .replace("fallbacks: [large]", "fallbacks: [lareg]")
        .replace("total: 10m}", "totl: 10m}");
    let (code, text) = check(&text);
    assert_eq!(code, Some(64), "{text}");
    for path in ["providers.openai.kind", "models.small.fallbacks[0]", "models.small.timeouts.totl"] {
        assert!(text.contains(path), "{path}: {text}");
    }
}

#[test]
fn a_store_that_is_no_database_is_named_and_no_password_with_it() {
    let sound = "store: sqlite:data/signalbox.db";
    assert!(EXAMPLE.contains(sound));
    for store in ["sqlite3:data/box.db", "postgre://box:hunter2@db/spend", "data/box.db", "'sqlite:'", "None"]
    {
        let (code, text) = check(&EXAMPLE.replacen(sound, &format!("store: {store}"), 1));
        assert_eq!(code, Some(64), "{store}: {text}");
        let mend = "sqlite:PATH or postgres://USER@HOST/DATABASE";
        assert!(text.contains("\nstore: ") && text.contains(mend), "{store}: {text}");
        assert!(!text.contains("hunter2"), "{text}");
    }
}

/// Ends a demo with this signal; what it has left in the folder for temporary files.
async fn left_by_a_demo(signal: &str) -> Vec<String> {
    let folder = std::env::temp_dir().join(format!("signalbox-left-{}-{signal}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let free = || std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let (listen, admin) = (free(), free());
    let mut demo = Command::new(env!("CARGO_BIN_EXE_signalbox"))
        .args(["demo", "--listen", &listen, "--admin", &admin])
        .env("TMPDIR", &folder)
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    crate::gateway::choose_cryptography();
    let url = format!("http://{listen}/healthz");
    while reqwest::get(&url).await.is_err() {
        assert!(demo.try_wait().unwrap().is_none(), "the demo has ended");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let has_store = std::fs::read_dir(&folder).unwrap().next().is_some();
    let sent = Command::new("kill").args([signal, &demo.id().to_string()]).status().unwrap();
    assert!(has_store && sent.success());
    crate::gateway::eventually("the demo ends", || demo.try_wait().unwrap().is_some()).await;
    let left = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path().display().to_string());
    let left = left.collect();
    std::fs::remove_dir_all(&folder).unwrap();
    left
}

#[tokio::test]
async fn a_demo_leaves_nothing_behind_however_it_is_ended() {
    for signal in ["-INT", "-TERM"] {
        assert_eq!(left_by_a_demo(signal).await, Vec::<String>::new(), "{signal}");
    }
}

#[test]
fn a_health_check_that_cannot_work_is_named_with_its_path() {
    let sound = "{check: http, path: /v1/models, every: 10s";
    for (health, path) in [
        ("{check: http, every: 10s", "providers.local.health.path"),
        ("{check: http, path: models, every: 10s", "providers.local.health.path"),
        ("{check: tcp, path: /v1/models, every: 10s", "providers.local.health.path"),
        ("{check: tcp, every: 0s", "providers.local.health.every"),
        ("{check: ping, every: 10s", "providers.local.health.check"),
    ] {
        assert!(EXAMPLE.contains(sound));
        let (code, text) = check(&EXAMPLE.replace(sound, health));
        assert_eq!(code, Some(64), "{health}: {text}");
        assert!(text.contains(path), "{health}: {text}");
    }
}

#[tokio::test]
async fn reloads_under_load_lose_nothing_and_a_broken_file_changes_nothing() {
    let before = "  m: {deployments: [{provider: mock, model: before}]}";
    let after = "  m: {deployments: [{provider: mock, model: after}]}";
    let gateway = Gateway::start(before, "").await;
    let (stop, served, failed) = (AtomicBool::new(false), AtomicU32::new(0), AtomicU32::new(0));
    let load = async {
        let mut ticks = tokio::time::interval(Duration::from_millis(5));
        while !stop.load(Ordering::Relaxed) {
            ticks.tick().await;
            let ok = gateway.chat("m").await.status() == 200;
            if ok { &served } else { &failed }.fetch_add(1, Ordering::Relaxed);
        }
    };
    let changes = async {
        for (models, extra, outcome) in
            [(after, "", "ok"), (before, "nonsense: 1", "refused"), (before, "", "ok")]
        {
            gateway.reconfigure(models, extra);
            let wanted = match outcome {
                "refused" => "outcome=\"refused\"} 1",
                _ if models == after => "outcome=\"ok\"} 1",
                _ => "outcome=\"ok\"} 2",
            };
            for _ in 0..1_000 {
                if gateway.metrics().await.contains(&format!("signalbox_config_reloads_total{{{wanted}")) {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            let expected = if models == after || outcome == "refused" { "mock/after" } else { "mock/before" };
            assert_eq!(gateway.chat("m").await.headers()["x-signalbox-deployment"], expected, "{outcome}");
        }
        stop.store(true, Ordering::Relaxed);
    };
    tokio::join!(load, changes);
    assert_eq!(failed.load(Ordering::Relaxed), 0);
    assert!(served.load(Ordering::Relaxed) > 100);
}

#[tokio::test]
async fn sigterm_lets_a_running_stream_finish_and_ends_the_process_then() {
    let gateway =
        Gateway::start("  m: {deployments: [{provider: mock, model: m;gap=20ms;chunks=40}]}", "").await;
    let body = chat("m", true).to_string();
    let mut answer = gateway
        .client
        .post(gateway.url("/v1/chat/completions"))
        .bearer_auth(KEY)
        .body(body)
        .send()
        .await
        .unwrap();
    answer.chunk().await.unwrap();
    let pid = gateway.pid().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    assert!(answer.text().await.unwrap().ends_with("data: [DONE]\n\n"));
}
