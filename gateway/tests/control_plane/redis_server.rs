//! Private Redis servers: each test has its own, on a port that was free, in a folder that goes with it.

use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::gateway::free_address;

/// Ends with the test.
pub(super) struct Redis {
    folder: TempDir,
    pub(super) address: SocketAddr,
    process: Child,
}

impl Redis {
    pub(super) async fn start() -> Self {
        let folder = tempfile::Builder::new().prefix("gateway-redis-").tempdir().unwrap();
        let address = free_address();
        let process = run(&folder, address);
        let redis = Self { folder, address, process };
        redis.until_ready().await;
        redis
    }

    pub(super) fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    /// Ends it without a chance to save anything.
    pub(super) fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Sends it a signal: STOP and CONT stop it and let it go on.
    pub(super) fn signal(&self, name: &str) {
        let pid = self.process.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &pid]).status().unwrap().success());
    }

    /// The names of the answers in it.
    pub(super) async fn entries(&self) -> Vec<String> {
        let answer = self.ask("KEYS signalbox:cache:*").await;
        answer.lines().filter(|line| line.starts_with("signalbox:")).map(str::to_owned).collect()
    }

    /// Starts it again with nothing in it.
    pub(super) async fn restart(&mut self) {
        self.process = run(&self.folder, self.address);
        self.until_ready().await;
    }

    /// Its answer to a command without arguments that contain spaces.
    pub(super) async fn ask(&self, command: &str) -> String {
        self.try_ask(command).await.unwrap()
    }

    async fn try_ask(&self, command: &str) -> std::io::Result<String> {
        let mut stream = TcpStream::connect(self.address).await?;
        stream.write_all(format!("{command}\r\n").as_bytes()).await?;
        let mut answer = [0; 256];
        let length = stream.read(&mut answer).await?;
        Ok(String::from_utf8_lossy(&answer[..length]).into_owned())
    }

    async fn until_ready(&self) {
        let deadline = Instant::now() + Duration::from_secs(30);
        while !self.try_ask("PING").await.is_ok_and(|answer| answer == "+PONG\r\n") {
            assert!(Instant::now() < deadline, "Redis did not start");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn run(folder: &TempDir, address: SocketAddr) -> Child {
    let (ip, port) = (address.ip().to_string(), address.port().to_string());
    Command::new("redis-server")
        .args(["--bind", &ip, "--port", &port, "--save", "", "--appendonly", "no", "--dir"])
        .arg(folder.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("redis-server is missing: scripts/install-test-deps installs it")
}
