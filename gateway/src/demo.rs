//! `signalbox demo`: the gateway and a bundled mock provider in one process, without an account, a key
//! or a file. Where OPENAI_API_KEY or ANTHROPIC_API_KEY is set, real models are offered too.

use std::fmt::Write as _;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use mock_upstream::{Mock, Options};

use crate::config::{self, SecretSource};
use crate::server::{self, HandOver};

/// The mock's address.
const MOCK: ([u8; 4], u16) = ([127, 0, 0, 1], 0);
const KEY: &str = "sk-demo-signalbox";

/// Runs the demo on these two addresses until it is interrupted.
///
/// # Errors
/// When one of the addresses is taken.
pub fn run(listen: &str, admin: &str) -> anyhow::Result<ExitCode> {
    let (started, address) = std::sync::mpsc::channel();
    std::thread::Builder::new().name("mock-provider".to_owned()).spawn(move || serve_mock(&started))?;
    let mock = address.recv().context("the mock provider did not start")??;
    let folder = Folder::new()?;
    let text = configuration(listen, admin, mock, &folder.0);
    let loaded = config::load_text(&text).context("the demo's own configuration is wrong")?;
    let models: Vec<String> = loaded.config.models.keys().cloned().collect();
    server::serve(&loaded.config, None, &HandOver::default(), Some(folder.0.clone()), || {
        introduce(listen, admin, &models);
    })?;
    Ok(ExitCode::SUCCESS)
}

/// Where the demo keeps its store. It goes with the demo.
struct Folder(PathBuf);

impl Folder {
    fn new() -> anyhow::Result<Self> {
        let path = std::env::temp_dir().join(format!("signalbox-demo-{}", std::process::id()));
        std::fs::create_dir_all(&path).with_context(|| format!("{} cannot be made", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // It is in the folder for temporary files, which somebody tidies.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn serve_mock(started: &std::sync::mpsc::Sender<std::io::Result<SocketAddr>>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let result = runtime.and_then(|runtime| {
        runtime.block_on(async {
            let mock = Mock::start(SocketAddr::from(MOCK), Options::default()).await?;
            // The other end is gone only when the demo has ended.
            let _ = started.send(Ok(mock.address()));
            std::future::pending::<()>().await;
            Ok(())
        })
    });
    if let Err(error) = result {
        let _ = started.send(Err(error));
    }
}

/// The demo's configuration. Each model shows one thing.
fn configuration(listen: &str, admin: &str, mock: SocketAddr, folder: &Path) -> String {
    let folder = folder.display();
    let mut text = format!(
        "
listen: {listen}
admin: {{listen: {admin}}}
log: {{access: 'off', level: error}}
store: 'sqlite:{folder}/demo.db'
ledger: {{path: '{folder}/ledger'}}
cache: {{memory: 64MiB, exact: {{ttl: 1h}}}}
providers:
  mock: {{kind: openai, base_url: 'http://{mock}/v1', api_key: demo-credential}}
  mock-claude: {{kind: anthropic, base_url: 'http://{mock}', api_key: demo-credential}}
models:
  demo: {{deployments: [{{provider: mock, model: demo, price: {{input: 0.15, output: 0.6}}}}], cache: off}}
  demo-claude:
    deployments: [{{provider: mock-claude, model: demo-claude, price: {{input: 3.0, output: 15.0}}}}]
    cache: off
  demo-cached: {{deployments: [{{provider: mock, model: demo, price: {{input: 0.15, output: 0.6}}}}]}}
  demo-fallback:
    deployments: [{{provider: mock, model: demo;status=500}}]
    retries: {{attempts: 1}}
    fallbacks: [demo-claude]
    cache: off
  demo-429:
    deployments: [{{provider: mock, model: demo;status=429;retry_after=1}}]
    retries: {{attempts: 1}}
  demo-embeddings: {{deployments: [{{provider: mock, model: demo-embeddings}}], cache: off}}
  demo-locked: {{deployments: [{{provider: mock, model: demo}}]}}
"
    );
    let mut allowed =
        "demo, demo-claude, demo-cached, demo-fallback, demo-429, demo-embeddings, 'mock/*'".to_owned();
    let mut providers = String::new();
    for (kind, variable, models) in [
        ("openai", "OPENAI_API_KEY", ["gpt-4o-mini", "gpt-4o"]),
        ("anthropic", "ANTHROPIC_API_KEY", ["claude-haiku-4-5", "claude-sonnet-4-5"]),
    ] {
        if SecretSource::Env(variable.to_owned()).resolve().is_err() {
            continue;
        }
        let _ = writeln!(providers, "  {kind}: {{kind: {kind}, api_key: 'env:{variable}'}}");
        for model in models {
            let _ = writeln!(text, "  {model}: {{deployments: [{{provider: {kind}, model: {model}}}]}}");
            let _ = write!(allowed, ", {model}");
        }
    }
    let text = text.replacen("models:\n", &format!("{providers}models:\n"), 1);
    format!("{text}keys:\n  - {{name: demo, key: {KEY}, models: [{allowed}]}}\n")
}

fn introduce(listen: &str, admin: &str, models: &[String]) {
    let text = format!(
        "base url: http://{listen}/v1
api key: {KEY}
models: {}
metrics: http://{admin}/metrics

Try it:
  curl -N http://{listen}/v1/chat/completions -H 'Authorization: Bearer {KEY}' -H 'content-type: application/json' \\
    -d '{{\"model\":\"demo\",\"stream\":true,\"messages\":[{{\"role\":\"user\",\"content\":\"Say hello\"}}]}}'
",
        models.join(", ")
    );
    let _ = writeln!(std::io::stdout(), "{text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_demo_configuration_is_sound() {
        let loaded = config::load_text(&configuration(
            "127.0.0.1:1",
            "127.0.0.1:2",
            SocketAddr::from(([127, 0, 0, 1], 9_000)),
            Path::new("/tmp"),
        ))
        .unwrap();
        assert!(loaded.config.models.contains_key("demo-fallback"));
        assert_eq!(loaded.config.keys.len(), 1);
    }
}
