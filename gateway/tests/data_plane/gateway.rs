//! A running gateway and the mock behind it.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use mock_upstream::{Mock, Options};
use serde_json::{Value, json};

pub(crate) const KEY: &str = "sk-test-key-0001";

/// What a test's gateway is started with.
#[derive(Clone, Copy)]
struct Setup<'a> {
    providers: &'a str,
    models: &'a str,
    extra: &'a str,
    environment: &'a [(&'a str, PathBuf)],
    /// Requests that the mock remembers.
    record: usize,
    /// The program's messages go to `messages.log` in its folder.
    messages: bool,
}

impl Default for Setup<'_> {
    fn default() -> Self {
        Self { providers: "", models: "", extra: "", environment: &[], record: 256, messages: false }
    }
}

/// Ends with the test.
pub(crate) struct Gateway {
    process: Child,
    pub(crate) folder: PathBuf,
    pub(crate) address: SocketAddr,
    pub(crate) admin: SocketAddr,
    pub(crate) mock: Mock,
    pub(crate) client: reqwest::Client,
    providers: String,
    messages: bool,
}

impl Gateway {
    /// `models` and `extra` are YAML; the model `plain` is always there.
    pub(crate) async fn start(models: &str, extra: &str) -> Self {
        Self::start_with(Setup { models, extra, ..Setup::default() }).await
    }

    /// With a mock that remembers so many requests.
    #[allow(dead_code, reason = "one of the two test programs that share this file has no use for it")]
    pub(crate) async fn start_recorded(models: &str, extra: &str, record: usize) -> Self {
        Self::start_with(Setup { models, extra, record, ..Setup::default() }).await
    }

    /// With more providers, also in YAML.
    pub(crate) async fn start_with_providers(providers: &str, models: &str, extra: &str) -> Self {
        Self::start_with(Setup { providers, models, extra, ..Setup::default() }).await
    }

    /// With more providers, and with its messages in a file.
    #[allow(dead_code, reason = "only the control plane's tests need it")]
    pub(crate) async fn start_logged(providers: &str, models: &str, extra: &str) -> Self {
        Self::start_with(Setup { providers, models, extra, messages: true, ..Setup::default() }).await
    }

    /// With these variables in its environment.
    pub(crate) async fn start_with_environment(models: &str, environment: &[(&str, PathBuf)]) -> Self {
        Self::start_with(Setup { models, environment, ..Setup::default() }).await
    }

    async fn start_with(setup: Setup<'_>) -> Self {
        choose_cryptography();
        Self::until_ready(setup, "http", &reqwest::Client::new()).await
    }

    /// With TLS; `root` is the certificate to trust, in PEM.
    pub(crate) async fn start_with_tls(models: &str, extra: &str, root: &[u8]) -> Self {
        choose_cryptography();
        let root = reqwest::Certificate::from_pem(root).unwrap();
        let client = reqwest::Client::builder().tls_certs_only([root]).build().unwrap();
        Self::until_ready(Setup { models, extra, ..Setup::default() }, "https", &client).await
    }

    async fn until_ready(setup: Setup<'_>, scheme: &str, client: &reqwest::Client) -> Self {
        let options = Options { record: setup.record, ..Options::default() };
        let mock = Mock::start(SocketAddr::from(([127, 0, 0, 1], 0)), options).await.unwrap();
        // A port that was free a moment ago may be taken by the time it is listened on.
        for _ in 0..5 {
            let mut gateway = Self::spawn(mock.clone(), setup);
            let url = format!("{scheme}://{}/healthz", gateway.address);
            if gateway.becomes_ready(client, &url).await {
                return gateway;
            }
        }
        panic!("the gateway did not start: is the test's configuration sound?");
    }

    fn spawn(mock: Mock, setup: Setup<'_>) -> Self {
        let Setup { providers, models, extra, environment, messages, .. } = setup;
        let (address, admin) = (free_address(), free_address());
        let folder =
            std::env::temp_dir().join(format!("signalbox-{}-{}", std::process::id(), address.port()));
        std::fs::create_dir_all(&folder).unwrap();
        let config = folder.join("signalbox.yaml");
        std::fs::write(&config, configuration(address, admin, mock.address(), [providers, models, extra]))
            .unwrap();
        let process = run(&folder, environment, messages);
        Self {
            process,
            folder,
            address,
            admin,
            mock,
            client: reqwest::Client::new(),
            providers: providers.to_owned(),
            messages,
        }
    }

    /// Writes another configuration; the gateway notices by itself.
    pub(crate) fn reconfigure(&self, models: &str, extra: &str) {
        let text =
            configuration(self.address, self.admin, self.mock.address(), [&self.providers, models, extra]);
        std::fs::write(self.folder.join("signalbox.yaml"), text).unwrap();
    }

    /// Waits until so many reloads have succeeded.
    pub(crate) async fn reloaded(&self, times: u32) {
        let wanted = format!("signalbox_config_reloads_total{{outcome=\"ok\"}} {times}");
        let deadline = Instant::now() + Duration::from_secs(30);
        while !self.metrics().await.contains(&wanted) {
            assert!(Instant::now() < deadline, "the configuration is not reloaded");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) async fn post(&self, path: &str, body: impl Into<reqwest::Body>) -> reqwest::Response {
        self.client.post(self.url(path)).bearer_auth(KEY).body(body).send().await.unwrap()
    }

    pub(crate) async fn chat(&self, model: &str) -> reqwest::Response {
        self.post("/v1/chat/completions", chat(model, false).to_string()).await
    }

    pub(crate) async fn metrics(&self) -> String {
        self.client.get(format!("http://{}/metrics", self.admin)).send().await.unwrap().text().await.unwrap()
    }

    /// Waits for a line of the metrics: a request is recorded a moment after its answer was read.
    pub(crate) async fn until_metric(&self, line: &str) {
        let deadline = Instant::now() + Duration::from_secs(30);
        while !self.metrics().await.lines().any(|known| known == line) {
            assert!(Instant::now() < deadline, "never: {line}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Its line in `/api/v1/deployments`.
    pub(crate) async fn deployment(&self, id: &str) -> Value {
        let url = format!("http://{}/api/v1/deployments", self.admin);
        let list: Value = self.client.get(url).send().await.unwrap().json().await.unwrap();
        let rows = list["deployments"].as_array().unwrap();
        rows.iter().find(|row| row["id"] == id).unwrap_or_else(|| panic!("no {id} in {list}")).clone()
    }

    /// Waits until the deployment's cooldown is in this state.
    pub(crate) async fn until_state(&self, id: &str, state: &str) {
        let deadline = Instant::now() + Duration::from_secs(30);
        while self.deployment(id).await["state"] != state {
            assert!(Instant::now() < deadline, "{id} is never {state}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Ends the process without a chance to tidy up.
    #[allow(dead_code, reason = "only the control plane's tests need it")]
    pub(crate) fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// The same, if it still runs, and starts another one with the same files.
    #[allow(dead_code, reason = "only the control plane's tests need it")]
    pub(crate) async fn restart_after_kill(&mut self) {
        self.kill();
        self.process = run(&self.folder, &[], self.messages);
        let url = self.url("/healthz");
        assert!(self.becomes_ready(&reqwest::Client::new(), &url).await, "the gateway did not start again");
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }

    pub(crate) fn has_ended(&mut self) -> bool {
        self.process.try_wait().unwrap().is_some()
    }

    /// False when the process ended instead.
    async fn becomes_ready(&mut self, client: &reqwest::Client, url: &str) -> bool {
        let deadline = Instant::now() + Duration::from_secs(30);
        while client.get(url).send().await.is_err() {
            assert!(Instant::now() < deadline, "the gateway neither serves nor ends");
            if self.process.try_wait().unwrap().is_some() {
                return false;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        // The admin listener may open a moment later.
        while tokio::net::TcpStream::connect(self.admin).await.is_err() {
            assert!(Instant::now() < deadline, "the admin listener never opens");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        true
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn run(folder: &Path, environment: &[(&str, PathBuf)], messages: bool) -> Child {
    let stderr = match messages {
        true => {
            let path = folder.join("messages.log");
            std::fs::OpenOptions::new().create(true).append(true).open(path).unwrap().into()
        }
        false => Stdio::inherit(),
    };
    Command::new(env!("CARGO_BIN_EXE_signalbox"))
        .args(["serve", "--config"])
        .arg(folder.join("signalbox.yaml"))
        .current_dir(folder)
        .envs(environment.iter().cloned())
        .stdout(Stdio::null())
        .stderr(stderr)
        .spawn()
        .unwrap()
}

pub(crate) fn chat(model: &str, stream: bool) -> Value {
    json!({"model": model, "stream": stream, "messages": [{"role": "user", "content": "one two three four"}]})
}

/// Waits until the condition holds; a test without it would have to sleep and hope.
pub(crate) async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !holds() {
        assert!(Instant::now() < deadline, "never happened: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Clients of reqwest need one, chosen once in a process: another test may have been first.
pub(crate) fn choose_cryptography() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// Below the ports that the system gives to clients, so that nobody takes it while a gateway is started anew.
pub(crate) fn free_address() -> SocketAddr {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    loop {
        let number = std::process::id().wrapping_mul(97).wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        let port = 10_000 + u16::try_from(number % 20_000).unwrap();
        if let Ok(listener) = TcpListener::bind(("127.0.0.1", port)) {
            return listener.local_addr().unwrap();
        }
    }
}

fn configuration(
    address: SocketAddr,
    admin: SocketAddr,
    mock: SocketAddr,
    [providers, models, extra]: [&str; 3],
) -> String {
    let log = if extra.contains("\nlog: ") { "" } else { "log: {access: 'off', level: error}" };
    format!(
        "
listen: {address}
admin: {{listen: {admin}}}
{log}
providers:
  mock: {{kind: openai, base_url: 'http://{mock}/v1', api_key: upstream-credential-1}}
  claude: {{kind: anthropic, base_url: 'http://{mock}', api_key: upstream-credential-2}}
  dead: {{kind: openai, base_url: 'http://127.0.0.1:9/v1', api_key: upstream-credential-3}}
{providers}
models:
  plain: {{deployments: [{{provider: mock, model: plain}}]}}
{models}
keys:
  - {{name: test, key: {KEY}, models: ['*']}}
  - {{name: narrow, key: sk-narrow-key, models: [plain]}}
  - {{name: limited, key: sk-limited-key, rpm: 2}}
{extra}
"
    )
}
