//! A new process takes over from a running one without a refused connection or a cut stream.

use std::net::SocketAddr;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::gateway::{Gateway, KEY, chat, eventually};

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
    assert!(load.served > 100);
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
