//! The database is away for a while under load: no request fails for it, and no entry of the ledger is lost.
//!
//! `OUTAGE_SECONDS` sets for how long.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use domain::Micros;
use store::{Owner, Store};
use tokio::net::{TcpListener, UnixStream};
use tokio::task::JoinSet;

use crate::gateway::{Gateway, KEY, chat};
use crate::kill::number;
use crate::ledger::PRICED;
use crate::postgres_server::server;

const RATE: u32 = 300;
/// Under load before the outage and after it.
const AROUND: Duration = Duration::from_secs(2);

/// The way to the database, which can be cut: then connections end, and new ones are closed at once.
pub(super) struct Way {
    pub(super) address: SocketAddr,
    pub(super) is_cut: Arc<AtomicBool>,
}

impl Way {
    pub(super) async fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, is_cut) = (listener.local_addr().unwrap(), Arc::new(AtomicBool::new(false)));
        tokio::spawn({
            let is_cut = is_cut.clone();
            async move {
                while let Ok((mut client, _)) = listener.accept().await {
                    let is_cut = is_cut.clone();
                    tokio::spawn(async move {
                        if is_cut.load(Ordering::Relaxed) {
                            return;
                        }
                        let mut database = UnixStream::connect(server().socket()).await.unwrap();
                        let cut = async {
                            while !is_cut.load(Ordering::Relaxed) {
                                tokio::time::sleep(Duration::from_millis(10)).await;
                            }
                        };
                        tokio::select! {
                            _ = tokio::io::copy_bidirectional(&mut client, &mut database) => {}
                            () = cut => {}
                        }
                    });
                }
            }
        });
        Self { address, is_cut }
    }
}

/// A figure of the gateway's metrics.
async fn metric(gateway: &Gateway, name: &str) -> u64 {
    let text = gateway.metrics().await;
    let line = text.lines().find(|line| line.starts_with(&format!("{name} "))).unwrap();
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

async fn ask(client: reqwest::Client, url: String, body: String) -> u64 {
    let answer = client.post(url).bearer_auth(KEY).body(body).send().await.unwrap();
    assert_eq!(answer.status(), 200, "a request failed");
    let answer: serde_json::Value = answer.json().await.unwrap();
    answer["usage"]["total_tokens"].as_u64().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_is_away_fails_no_request_and_loses_no_entry() {
    let (way, database) = (Way::open().await, server().database());
    let setting = format!(
        "store: postgres://signalbox@{}/{database}\nkey_hash: a-secret-of-this-installation\nlimits: {{shed_lag: 0ms}}",
        way.address
    );
    let gateway = Gateway::start(PRICED, &setting).await;
    let outage = Duration::from_secs(number("OUTAGE_SECONDS", 3));
    let (started, url) = (Instant::now(), gateway.url("/v1/chat/completions"));
    let body = chat("priced", false).to_string();
    let (mut asked, mut waiting) = (JoinSet::new(), 0);
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / RATE);
    while started.elapsed() < AROUND * 2 + outage {
        ticks.tick().await;
        let is_away = started.elapsed() > AROUND && started.elapsed() < AROUND + outage;
        if way.is_cut.swap(is_away, Ordering::Relaxed) && !is_away {
            waiting = metric(&gateway, "signalbox_ledger_pending_bytes").await;
        }
        asked.spawn(ask(gateway.client.clone(), url.clone(), body.clone()));
    }
    let answers = asked.join_all().await;
    let (requests, tokens) = (answers.len() as u64, answers.iter().sum::<u64>());
    let store = Store::open(&server().url(&database)).await.unwrap();
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let spend = store.ledger().spend(Owner::Key("test"), 0, i64::MAX / 2).await.unwrap();
        assert!(spend.requests <= requests, "{spend:?}, asked {requests}");
        if (spend.requests, spend.cost) == (requests, Micros(tokens)) {
            break;
        }
        assert!(Instant::now() < deadline, "{spend:?}, asked {requests}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let failures = metric(&gateway, "signalbox_ledger_apply_failures_total").await;
    println!(
        "{requests} answered, {waiting} bytes waited for the store, {failures} attempts to reach it failed"
    );
    assert!(waiting > 0 && failures > 0);
    assert_eq!(store.ledger().reconcile(0, i64::MAX / 2).await.unwrap().differences, []);
}
