//! How the server is put together: listeners, what runs beside them, and how one process takes over from another.

use std::io::{ErrorKind, Write};
use std::net::TcpListener;
use std::path::PathBuf;
use std::time::Duration;

use pingora::apps::HttpServerOptions;
use pingora::listeners::tls::TlsSettings;
use pingora::proxy::http_proxy;
use pingora::server::configuration::{Opt, ServerConf};
use pingora::server::{RunArgs, Server};
use pingora::services::background::background_service;
use pingora::services::listening::Service;

use crate::admin::Admin;
use crate::alerts::{Deliveries, StateWatch};
use crate::app::{App, POOL_SIZE};
use crate::background::{ConfigFile, ConfigWatch, Drain, IdleSweep, NameRefresh};
use crate::config::{Config, TlsConfig};
use crate::edge::{Edge, FrontDoor};
use crate::health::HealthChecks;
use crate::notify::Readiness;

/// After this long the process ends, whatever still runs.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(5);

/// How listening sockets go from one process to the next (SIGQUIT to the old one).
#[derive(Clone, Debug, Default)]
pub struct HandOver {
    /// This process takes over.
    pub upgrade: bool,
    /// Where the two meet; by default a file named after the address, so that several gateways do not meet.
    pub socket: Option<PathBuf>,
    /// Where the service manager hears which process serves now.
    pub notify_socket: Option<PathBuf>,
}

impl HandOver {
    fn socket(&self, listen: &str) -> String {
        let by_address = || std::env::temp_dir().join(format!("signalbox-{}.sock", listen.replace(':', "-")));
        self.socket.clone().unwrap_or_else(by_address).to_string_lossy().into_owned()
    }
}

/// Serves until a signal ends the process; follows `file` when there is one. `ready` runs right before the listeners open; the folder
/// `scratch` goes with the process.
///
/// # Errors
/// When the gateway cannot start, for example because an address is taken.
pub fn serve(
    config: &Config,
    file: Option<ConfigFile>,
    hand_over: &HandOver,
    scratch: Option<PathBuf>,
    ready: impl FnOnce(),
) -> anyhow::Result<()> {
    start_tracing(&config.log.level);
    // With an upgrade the addresses are still the running gateway's, and its sockets are handed over.
    if !hand_over.upgrade {
        for (field, address) in [("listen", &config.listen), ("admin.listen", &config.admin.listen)] {
            check_address(field, address)?;
        }
    }
    let app = App::new(config)?;
    // Read before the sockets are taken over: what cannot serve must leave them with the running gateway.
    let tls = config.tls.as_ref().map(tls_settings).transpose()?;
    let options = Opt { upgrade: hand_over.upgrade, ..Opt::default() };
    let mut server =
        Server::new_with_opt_and_conf(Some(options), server_conf(config, hand_over.socket(&config.listen)));
    server.bootstrap();

    let mut proxy = http_proxy(&server.configuration, Edge::new(app.clone()));
    proxy.server_options = Some(http_options());
    let mut public = Service::new("public".to_owned(), FrontDoor::new(app.clone(), proxy));
    match tls {
        None => public.add_tcp(&config.listen),
        Some(settings) => public.add_tls_with_settings(&config.listen, None, settings),
    }
    server.add_service(public);

    let mut admin = Service::new("admin".to_owned(), Admin::new(app.clone()));
    admin.threads = Some(1);
    admin.add_tcp(&config.admin.listen);
    server.add_service(admin);

    server.add_service(background_service("names", NameRefresh::new(app.clone())));
    server.add_service(background_service("idle", IdleSweep::new(app.clone())));
    server.add_service(background_service("health", HealthChecks::new(app.clone())));
    server.add_service(background_service("alerts", Deliveries::new(app.clone())));
    server.add_service(background_service("states", StateWatch::new(app.clone())));
    server.add_service(background_service("drain", Drain::new(app.clone(), scratch)));
    if let Some(file) = file {
        server.add_service(background_service("configuration", ConfigWatch::new(app, file)));
    }
    if let Some(socket) = &hand_over.notify_socket {
        server.add_service(background_service("readiness", Readiness::new(socket.clone(), probed(config))));
    }
    ready();
    tracing::info!(listen = config.listen, admin = config.admin.listen, "serving");
    server.run(RunArgs::default());
    Ok(())
}

fn tls_settings(tls: &TlsConfig) -> anyhow::Result<TlsSettings> {
    let mut settings = TlsSettings::intermediate(&tls.cert, &tls.key)
        .map_err(|error| anyhow::anyhow!("tls: the certificate or key cannot be used: {error}"))?;
    settings.enable_h2();
    Ok(settings)
}

/// The listeners that are tried for readiness. With TLS not the public one, which would log a failed handshake.
fn probed(config: &Config) -> Vec<String> {
    let public = config.tls.is_none().then(|| config.listen.clone());
    public.into_iter().chain([config.admin.listen.clone()]).collect()
}

/// Binds an address and lets it go again. Pingora repeats a failed bind for half a minute and then panics.
fn check_address(field: &str, address: &str) -> anyhow::Result<()> {
    match TcpListener::bind(address) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == ErrorKind::AddrInUse => anyhow::bail!(
            "{field}: {address} is taken by another process: end that one, or set another address"
        ),
        Err(error) => anyhow::bail!("{field}: {address} cannot be listened on: {error}"),
    }
}

fn server_conf(config: &Config, upgrade_sock: String) -> ServerConf {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = if config.threads == 0 { cores } else { config.threads };
    ServerConf {
        threads,
        // A single thread has nobody to steal from, and its simpler scheduler costs a tenth less CPU a request.
        work_stealing: threads > 1,
        grace_period_seconds: Some(config.drain.0.as_secs()),
        graceful_shutdown_timeout_seconds: Some(SHUTDOWN_TIMEOUT.as_secs()),
        upstream_keepalive_pool_size: POOL_SIZE,
        upgrade_sock,
        // The raw pass-through must not repeat what it cannot replay.
        max_retries: 1,
        ..ServerConf::default()
    }
}

fn http_options() -> HttpServerOptions {
    let mut options = HttpServerOptions::default();
    options.h2c = true;
    options.h2_idle_timeout = Some(Duration::from_secs(300));
    options
}

fn start_tracing(level: &str) {
    // Pingora's own messages name addresses and header bytes; only its errors are of use. Its proxy has one for
    // every client that sends nonsense, which would let strangers fill the disk.
    // The admin listener's names the target of a call, which in LiteLLM's `/key/info?key=` holds a key.
    // Waiting for sockets that are handed over is an error to it; when they do not come, another message says so.
    let filter = tracing_subscriber::EnvFilter::new(format!(
        "{level},pingora_core=error,pingora_core::server::transfer_fd=off,\
         pingora_core::apps::http_app=off,pingora_proxy=off"
    ));
    let started =
        tracing_subscriber::fmt().json().with_env_filter(filter).with_writer(std::io::stderr).try_init();
    if started.is_err() {
        let _ = writeln!(std::io::stderr(), "notice: messages were already being collected");
    }
}
