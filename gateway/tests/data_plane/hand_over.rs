//! A new process takes over from a running one without a refused connection or a cut stream.

use std::net::SocketAddr;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::gateway::{Gateway, KEY, chat, eventually};
use crate::overload::{Raw, head};
use crate::service::Process;

#[tokio::test]
async fn sigquit_hands_the_sockets_to_a_process_that_upgrades() {
    let mut gateway =
        Gateway::start("  m: {deployments: [{provider: mock, model: m;gap=50ms;chunks=60}]}", "").await;
    let body = chat("m", true).to_string();
    let request = gateway.client.post(gateway.url("/v1/chat/completions")).bearer_auth(KEY).body(body);
    let mut stream = request.send().await.unwrap();
    stream.chunk().await.unwrap();

    let stop = AtomicBool::new(false);
    let (address, folder) = (gateway.address, gateway.folder.clone());
    let hand_over = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        let mut successor = Command::new(env!("CARGO_BIN_EXE_signalbox"))
            .args(["serve", "--upgrade", "--config"])
            .current_dir(&gateway.folder)
            .arg(folder.join("signalbox.yaml"))
            .spawn()
            .unwrap();
        tokio::time::sleep(Duration::from_millis(300)).await;
        let pid = gateway.pid().to_string();
        assert!(Command::new("kill").args(["-QUIT", &pid]).status().unwrap().success());
        let rest = stream.text().await.unwrap();
        assert!(rest.ends_with("data: [DONE]\n\n"), "the running stream was cut");
        eventually("the old process ends", || gateway.has_ended()).await;
        tokio::time::sleep(Duration::from_millis(300)).await;
        stop.store(true, Ordering::Relaxed);
        assert!(successor.try_wait().unwrap().is_none(), "the new process ended");
        successor
    };
    let (load, mut successor) = tokio::join!(requests_until(&stop, address), hand_over);
    successor.kill().unwrap();
    successor.wait().unwrap();
    assert_eq!(load.failed, 0);
    assert!(load.served > 20);
}

#[tokio::test]
async fn kept_connections_are_told_to_close_while_the_sockets_are_handed_over() {
    let models = "  slow: {deployments: [{provider: mock, model: m;gap=100ms;chunks=70}]}";
    let mut gateway = Gateway::start(models, "").await;
    let plain = chat("plain", false).to_string();
    let plain = head(KEY, plain.len()) + &plain;
    let (mut kept, mut streaming) =
        (Raw::connect(gateway.address).await, Raw::connect(gateway.address).await);
    kept.send(&plain).await;
    assert!(kept.answer().await.1.contains("connection: keep-alive"));
    let slow = chat("slow", true).to_string();
    streaming.send(&(head(KEY, slow.len()) + &slow)).await;

    let mut successor = Command::new(env!("CARGO_BIN_EXE_signalbox"))
        .args(["serve", "--upgrade", "--config"])
        .current_dir(&gateway.folder)
        .arg(gateway.folder.join("signalbox.yaml"))
        .spawn()
        .unwrap();
    let _successor = Process(successor.id());
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(Command::new("kill").args(["-QUIT", &gateway.pid().to_string()]).status().unwrap().success());
    // The signal is on its way; any number of requests may still be answered as before.
    loop {
        kept.send(&plain).await;
        let (status, head) = kept.answer().await;
        assert_eq!(status, 200);
        if head.contains("connection: close") {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    kept.closed().await;

    // This one began before, and ends after Pingora has dropped what is idle: the client cannot know that the
    // connection is to be closed.
    let stream = streaming.chunked_answer().await;
    assert!(stream.contains("connection: keep-alive") && stream.contains("data: [done]"), "{stream}");
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!gateway.has_ended());
    streaming.send(&plain).await;
    let (status, head) = streaming.answer().await;
    assert_eq!((status, head.contains("connection: close")), (200, true), "{head}");
    eventually("the old process ends", || gateway.has_ended()).await;
    successor.kill().unwrap();
    successor.wait().unwrap();
}

/// How requests went.
#[derive(Default)]
pub(crate) struct Load {
    pub(crate) served: u32,
    pub(crate) failed: u32,
}

/// One request after the other, each over a connection of its own: kept ones would stay with the old process.
pub(crate) async fn requests_until(stop: &AtomicBool, address: SocketAddr) -> Load {
    let mut load = Load::default();
    while !stop.load(Ordering::Relaxed) {
        let client = reqwest::Client::builder().pool_max_idle_per_host(0).build().unwrap();
        let url = format!("http://{address}/v1/chat/completions");
        let sent = client.post(url).bearer_auth(KEY).body(chat("plain", false).to_string()).send().await;
        let ok = sent.is_ok_and(|answer| answer.status() == 200);
        *if ok { &mut load.served } else { &mut load.failed } += 1;
    }
    load
}
