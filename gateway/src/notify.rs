//! Tells the service manager that this process serves, and that it is the main one: `sd_notify` of systemd.
//! After a hand-over nobody but the new process can say the latter. Never says STOPPING: the process that
//! hands its sockets over would stop the service of its successor.

use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use pingora::server::ShutdownWatch;
use pingora::services::background::BackgroundService;
use tokio::net::TcpStream;

const INTERVAL: Duration = Duration::from_millis(20);

/// Sends one message as soon as the listeners are open.
pub struct Readiness {
    socket: PathBuf,
    listeners: Vec<String>,
}

impl Readiness {
    /// `socket` is the value of NOTIFY_SOCKET; `listeners` are the addresses that must take connections.
    pub fn new(socket: PathBuf, listeners: Vec<String>) -> Self {
        Self { socket, listeners }
    }
}

#[async_trait]
impl BackgroundService for Readiness {
    async fn start(&self, mut shutdown: ShutdownWatch) {
        for listener in &self.listeners {
            while TcpStream::connect(listener).await.is_err() {
                tokio::select! {
                    _ = shutdown.changed() => return,
                    () = tokio::time::sleep(INTERVAL) => {}
                }
            }
        }
        let message = format!("MAINPID={}\nREADY=1", std::process::id());
        if let Err(error) = send(&self.socket, &message) {
            tracing::error!(socket = %self.socket.display(), %error, "the service manager cannot be told");
        }
    }
}

fn send(socket: &Path, message: &str) -> io::Result<()> {
    let address = match socket.as_os_str().as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(socket)?,
    };
    UnixDatagram::unbound()?.send_to_addr(message.as_bytes(), &address)?;
    Ok(())
}
