//! What runs beside the requests: watching the configuration, refreshing addresses, ending the process
//! when it is idle.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use pingora::server::ShutdownWatch;
use pingora::services::background::BackgroundService;
use tokio::signal::unix::{SignalKind, signal};

use crate::alerts::raise;
use crate::app::App;
use crate::config::{self, AlertKind};

const WATCH_INTERVAL: Duration = Duration::from_secs(1);
const NAME_INTERVAL: Duration = Duration::from_secs(30);
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);
const DRAIN_INTERVAL: Duration = Duration::from_millis(50);
/// How long connections without a request may keep a process that ends.
const LONGEST_CLOSE: Duration = Duration::from_secs(2);

/// Reloads the configuration on SIGHUP and when the file changes.
pub struct ConfigWatch {
    app: Arc<App>,
    file: ConfigFile,
}

/// The file that the configuration in force was read from.
#[derive(Debug)]
pub struct ConfigFile {
    /// Where it is.
    pub path: PathBuf,
    /// What it said then: a change before the watch begins must not be taken for what is in force.
    pub text: String,
}

/// Resolves providers' host names again and again.
pub struct NameRefresh {
    app: Arc<App>,
}

/// Closes connections to providers that lie idle for too long or whose other side has closed them.
pub struct IdleSweep {
    app: Arc<App>,
}

/// Ends the process as soon as the last request has ended, instead of after the whole grace period.
pub struct Drain {
    app: Arc<App>,
    /// A folder that goes with the process.
    scratch: Option<PathBuf>,
}

impl ConfigWatch {
    /// Watches this file.
    pub fn new(app: Arc<App>, file: ConfigFile) -> Self {
        Self { app, file }
    }

    /// The file's text; None while it is being replaced.
    fn read(&self) -> Option<String> {
        std::fs::read_to_string(&self.file.path).ok()
    }

    fn reload(&self, text: &str) {
        let path = &self.file.path;
        let result = config::load_text(text)
            .map_err(|faults| faults.to_string())
            .and_then(|loaded| self.app.reload(&loaded.config));
        let outcome = match result {
            Ok(()) => {
                tracing::info!(path = %path.display(), "configuration reloaded");
                "ok"
            }
            Err(faults) => {
                tracing::error!(path = %path.display(), faults, "configuration refused, the old one stays in force");
                let path = path.to_string_lossy();
                let message = format!(
                    "{path} has faults; the configuration before stays in force: run `signalbox check`."
                );
                raise(AlertKind::ConfigRefused, &path, message);
                "refused"
            }
        };
        self.app.metrics.reloads.with_label_values(&[outcome]).inc();
    }
}

#[async_trait]
impl BackgroundService for ConfigWatch {
    async fn start(&self, mut shutdown: ShutdownWatch) {
        let Ok(mut hangup) = signal(SignalKind::hangup()) else {
            tracing::error!("SIGHUP cannot be received: the configuration is reloaded on file change only");
            return;
        };
        let mut known = self.file.text.clone();
        loop {
            // Reading a few kilobytes a second is cheaper to get right than change notices, which
            // differ between editors, Kubernetes' symbolic links and network file systems.
            let forced = tokio::select! {
                _ = shutdown.changed() => return,
                _ = hangup.recv() => true,
                () = tokio::time::sleep(WATCH_INTERVAL) => false,
            };
            let Some(text) = self.read() else { continue };
            if forced || known != text {
                self.reload(&text);
                known = text;
            }
        }
    }
}

impl NameRefresh {
    /// For the providers of whatever configuration is in force.
    pub fn new(app: Arc<App>) -> Self {
        Self { app }
    }
}

#[async_trait]
impl BackgroundService for NameRefresh {
    async fn start(&self, mut shutdown: ShutdownWatch) {
        loop {
            let snapshot = self.app.snapshot.load_full();
            for provider in snapshot.providers.values().filter(|provider| provider.resolver.is_name()) {
                if let Err(reason) = provider.resolver.refresh().await {
                    tracing::warn!(
                        provider = provider.name.as_str(),
                        reason,
                        "the last known address stays in use"
                    );
                }
            }
            drop(snapshot);
            tokio::select! {
                _ = shutdown.changed() => return,
                () = tokio::time::sleep(NAME_INTERVAL) => {}
            }
        }
    }
}

impl IdleSweep {
    /// Of the connections of this process.
    pub fn new(app: Arc<App>) -> Self {
        Self { app }
    }
}

#[async_trait]
impl BackgroundService for IdleSweep {
    async fn start(&self, mut shutdown: ShutdownWatch) {
        loop {
            tokio::select! {
                _ = shutdown.changed() => return,
                () = tokio::time::sleep(SWEEP_INTERVAL) => self.app.upstream.sweep(),
            }
        }
    }
}

impl Drain {
    /// For the requests of this process.
    pub fn new(app: Arc<App>, scratch: Option<PathBuf>) -> Self {
        Self { app, scratch }
    }
}

#[async_trait]
impl BackgroundService for Drain {
    async fn start(&self, mut shutdown: ShutdownWatch) {
        let (Ok(mut terminate), Ok(mut quit)) = (signal(SignalKind::terminate()), signal(SignalKind::quit()))
        else {
            return;
        };
        loop {
            tokio::select! {
                _ = terminate.recv() => break,
                _ = shutdown.changed() => break,
                // Another process takes over. Pingora tells only after five seconds, when it drops connections
                // without a request; by then busy ones shall have been closed behind an answer that says so.
                _ = quit.recv() => self.app.close_connections(),
            }
        }
        self.app.drain();
        // New connections are refused from here on; what was accepted a moment ago still arrives.
        tokio::time::sleep(DRAIN_INTERVAL * 4).await;
        // A connection may have a request on its way, be it the first or the next one.
        let mut busy_until = Instant::now();
        loop {
            if self.app.metrics.in_flight.get() > 0 {
                busy_until = Instant::now();
            } else if self.app.connections.open() == 0 || busy_until.elapsed() > LONGEST_CLOSE {
                break;
            }
            tokio::time::sleep(DRAIN_INTERVAL).await;
        }
        self.app.access_log.drain().await;
        self.app.request_log.drain().await;
        self.app.contents.drain().await;
        self.app.calibrations.drain().await;
        if let Some(answers) = &self.app.answers {
            answers.finish();
        }
        if let Some(scratch) = &self.scratch {
            // It is in the folder for temporary files, which somebody tidies.
            let _ = std::fs::remove_dir_all(scratch);
        }
        tracing::info!("idle, ending");
        #[expect(
            clippy::disallowed_methods,
            reason = "everything has ended; Pingora would sleep out its grace period"
        )]
        std::process::exit(0);
    }
}
