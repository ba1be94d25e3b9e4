//! What systemd does with `systemd/signalbox.service`, done by hand: the commands are the unit's own, and the
//! test listens where systemd would.

use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::{Command, ExitStatus};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use crate::gateway::{Gateway, chat, eventually};
use crate::hand_over::requests_until;

const UNIT: &str = include_str!("../../../systemd/signalbox.service");

#[tokio::test]
async fn the_service_manager_hears_once_the_gateway_serves() {
    let manager = Manager::start("").await;
    let pid = manager.main_pid().await;
    assert_eq!(pid, manager.gateway.pid());
    assert_eq!(manager.gateway.chat("plain").await.status(), 200);
}

#[tokio::test]
async fn a_reload_moves_the_main_process_and_loses_no_request() {
    let mut manager =
        Manager::start("  m: {deployments: [{provider: mock, model: m;gap=50ms;chunks=60}]}").await;
    assert_eq!(manager.main_pid().await, manager.gateway.pid());
    let mut stream = manager.gateway.post("/v1/chat/completions", chat("m", true).to_string()).await;
    stream.chunk().await.unwrap();

    let stop = AtomicBool::new(false);
    let address = manager.gateway.address;
    let reload = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert!(manager.reload().await.success());
        let successor = Process(manager.main_pid().await);
        assert_ne!(successor.0, manager.gateway.pid());
        assert!(!manager.gateway.has_ended(), "the old main process ended before the new one was known");
        assert!(stream.text().await.unwrap().ends_with("data: [DONE]\n\n"), "the running stream was cut");
        eventually("the old process ends", || manager.gateway.has_ended()).await;
        tokio::time::sleep(Duration::from_millis(300)).await;
        stop.store(true, Ordering::Relaxed);
        successor
    };
    let (load, _successor) = tokio::join!(requests_until(&stop, address), reload);
    assert_eq!(load.failed, 0);
    assert!(load.served > 20);
}

#[tokio::test]
async fn a_reload_with_a_faulty_configuration_fails_and_leaves_the_running_process_alone() {
    let mut manager = Manager::start("").await;
    manager.main_pid().await;
    std::fs::write(manager.gateway.folder.join("signalbox.yaml"), "providers: 1").unwrap();
    assert!(!manager.reload().await.success());
    assert_eq!(manager.gateway.chat("plain").await.status(), 200);
    assert!(!manager.gateway.has_ended());
    assert_eq!(manager.message(), None, "a process that does not serve said that it does");
}

/// The part of systemd that matters here.
struct Manager {
    gateway: Gateway,
    environment: [(&'static str, PathBuf); 2],
    notified: UnixDatagram,
}

impl Manager {
    async fn start(models: &str) -> Self {
        static STARTED: AtomicU32 = AtomicU32::new(0);
        let number = STARTED.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("signalbox-service-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let environment = [
            ("SIGNALBOX_HAND_OVER_SOCKET", folder.join("hand-over.sock")),
            ("NOTIFY_SOCKET", folder.join("notify.sock")),
        ];
        let notified = UnixDatagram::bind(&environment[1].1).unwrap();
        notified.set_nonblocking(true).unwrap();
        let gateway = Gateway::start_with_environment(models, &environment).await;
        Self { gateway, environment, notified }
    }

    /// Waits for the message that names the main process.
    async fn main_pid(&self) -> u32 {
        let mut message = String::new();
        eventually("a process says that it serves", || {
            message = self.message().unwrap_or_default();
            !message.is_empty()
        })
        .await;
        let pid = message.strip_prefix("MAINPID=").and_then(|rest| rest.strip_suffix("\nREADY=1"));
        pid.unwrap_or_else(|| panic!("not a message for systemd: {message}")).parse().unwrap()
    }

    fn message(&self) -> Option<String> {
        let mut buffer = [0; 256];
        let length = self.notified.recv(&mut buffer).ok()?;
        Some(String::from_utf8_lossy(&buffer[..length]).into_owned())
    }

    /// Runs the unit's ExecReload, with the files of the test in place of the installed ones.
    async fn reload(&self) -> ExitStatus {
        let command = UNIT.lines().find_map(|line| line.strip_prefix("ExecReload=")).unwrap();
        let config = self.gateway.folder.join("signalbox.yaml");
        let words = command.split_whitespace().map(|word| match word {
            "$MAINPID" => self.gateway.pid().to_string(),
            "/usr/libexec/signalbox/hand-over" => {
                concat!(env!("CARGO_MANIFEST_DIR"), "/../systemd/hand-over").to_owned()
            }
            "/usr/bin/signalbox" => env!("CARGO_BIN_EXE_signalbox").to_owned(),
            "/etc/signalbox/signalbox.yaml" => config.display().to_string(),
            _ => word.to_owned(),
        });
        let mut command = Command::new("env");
        command.args(words).envs(self.environment.iter().cloned());
        tokio::task::spawn_blocking(move || command.status().unwrap()).await.unwrap()
    }
}

impl Drop for Manager {
    fn drop(&mut self) {
        let folder = self.environment[0].1.parent().unwrap();
        let _ = std::fs::remove_dir_all(folder);
    }
}

/// A process that is nobody's child here. Ends with the test.
pub(crate) struct Process(pub(crate) u32);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = Command::new("kill").args(["-KILL", &self.0.to_string()]).status();
    }
}
