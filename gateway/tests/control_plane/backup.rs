//! A backup made while the gateway serves says the same in another store, of either database.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

use crate::gateway::{Gateway, KEY, chat, eventually};
use crate::ledger::{PRICED, STORE};
use crate::postgres_server::server;

/// Runs the program in the gateway's folder.
fn signalbox(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_signalbox")).args(arguments).current_dir(folder).output().unwrap()
}

/// A configuration with this store and nothing else.
fn write_config(folder: &Path, store: &str) {
    let text = format!("store: '{store}'\nkey_hash: a-secret-of-this-installation\n");
    std::fs::write(folder.join("restored.yaml"), text).unwrap();
}

async fn spend(gateway: &Gateway) -> Value {
    let url = format!("http://{}/api/v1/spend?key=test", gateway.admin);
    gateway.client.get(url).send().await.unwrap().json().await.unwrap()
}

#[tokio::test]
async fn a_backup_of_a_running_gateway_restores_into_either_database() {
    let gateway = Gateway::start(PRICED, STORE).await;
    for _ in 0..20 {
        assert_eq!(gateway.chat("priced").await.status(), 200);
    }
    let spent = spend(&gateway).await;
    assert_eq!(spent["requests"], 20);
    let traffic = tokio::spawn({
        let (client, url) = (gateway.client.clone(), gateway.url("/v1/chat/completions"));
        async move {
            let body = chat("priced", false).to_string();
            loop {
                client.post(&url).bearer_auth(KEY).body(body.clone()).send().await.unwrap();
            }
        }
    });
    let made = signalbox(&gateway.folder, &["backup", "--config", "signalbox.yaml", "--to", "backup.jsonl"]);
    traffic.abort();
    assert!(made.status.success(), "{made:?}");
    let again = signalbox(&gateway.folder, &["backup", "--config", "signalbox.yaml", "--to", "backup.jsonl"]);
    assert!(!again.status.success(), "an existing file is kept");

    let postgres = server().url(&server().database());
    let mut restored = Vec::new();
    for store in ["sqlite:restored/signalbox.db", &postgres] {
        write_config(&gateway.folder, store);
        let arguments = ["restore", "--config", "restored.yaml", "--from", "backup.jsonl"];
        let done = signalbox(&gateway.folder, &arguments);
        assert!(done.status.success(), "{done:?}");
        let again = signalbox(&gateway.folder, &arguments);
        assert!(!again.status.success(), "a store with rows is left alone");
        let absolute = store.replace("sqlite:", &format!("sqlite:{}/", gateway.folder.display()));
        let extra = format!("store: '{absolute}'\nkey_hash: a-secret-of-this-installation");
        restored.push(spend(&Gateway::start(PRICED, &extra).await).await);
    }
    assert_eq!(restored[0], restored[1]);
    // The backup came after the first twenty, among others of the same cost.
    let (requests, micros) =
        (restored[0]["requests"].as_u64().unwrap(), restored[0]["micros"].as_u64().unwrap());
    assert!(requests >= 20, "{restored:?}");
    assert_eq!(micros * 20, spent["micros"].as_u64().unwrap() * requests);
}

#[tokio::test]
async fn a_damaged_backup_restores_nothing() {
    let gateway = Gateway::start(PRICED, STORE).await;
    assert_eq!(gateway.chat("priced").await.status(), 200);
    spend(&gateway).await;
    let made = signalbox(&gateway.folder, &["backup", "--config", "signalbox.yaml", "--to", "backup.jsonl"]);
    assert!(made.status.success(), "{made:?}");
    let whole = std::fs::read_to_string(gateway.folder.join("backup.jsonl")).unwrap();
    let changed = whole.replacen("\"requests\":1", "\"requests\":2", 1);
    assert_ne!(changed, whole);
    std::fs::write(gateway.folder.join("backup.jsonl"), changed).unwrap();
    write_config(&gateway.folder, "sqlite:restored/signalbox.db");
    let arguments = ["restore", "--config", "restored.yaml", "--from", "backup.jsonl"];
    let refused = signalbox(&gateway.folder, &arguments);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && said.contains("checksum"), "{said}");
}

#[tokio::test]
async fn a_scheduled_backup_is_made_and_the_oldest_go() {
    let gateway = Gateway::start(PRICED, STORE).await;
    let folder = gateway.folder.join("backups");
    std::fs::create_dir(&folder).unwrap();
    for day in 1..=3 {
        let old = folder.join(format!("signalbox-2020-01-0{day}T00-00-00Z.jsonl"));
        std::fs::write(&old, "").unwrap();
        let long_ago = std::time::SystemTime::UNIX_EPOCH;
        std::fs::File::options().append(true).open(&old).unwrap().set_modified(long_ago).unwrap();
    }
    let extra = format!(
        "store: 'sqlite:{}/data/signalbox.db'\nbackup: {{path: '{}', every: 1m, keep: 2}}",
        gateway.folder.display(),
        folder.display()
    );
    let second = Gateway::start(PRICED, &extra).await;
    second.until_metric("signalbox_backups_total{outcome=\"ok\"} 1").await;
    let names = || {
        let entries = std::fs::read_dir(&folder).unwrap().flatten();
        let mut names: Vec<_> = entries.map(|entry| entry.file_name().into_string().unwrap()).collect();
        names.sort();
        names
    };
    eventually("the oldest backups are deleted", || names().len() == 2).await;
    assert_eq!(names()[0], "signalbox-2020-01-03T00-00-00Z.jsonl");
}
