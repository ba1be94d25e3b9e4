//! Active health checks: opens the cooldown of what does not answer and closes it again, beside the
//! requests. Owns when and how is asked; what follows from an answer is the cooldown's work.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use domain::FailureKind;
use pingora::http::RequestHeader;
use pingora::lb::Backend;
use pingora::lb::health_check::{HealthCheck, HttpHealthCheck, TcpHealthCheck};
use pingora::server::ShutdownWatch;
use pingora::services::background::BackgroundService;
use providers::Operation;
use tokio::task::JoinSet;

use crate::app::App;
use crate::claim::Sent;
use crate::config::{HealthCheckKind, HealthConfig};
use crate::snapshot::{Snapshot, Timeouts};
use crate::upstream::{Attempt, Deployment, Provider, UpstreamCall};

/// How soon a new configuration's checks take the place of the old one's.
const RELOAD_INTERVAL: Duration = Duration::from_secs(1);
/// The smallest question there is.
const COMPLETION: &[u8] =
    br#"{"model":"health-check","max_tokens":1,"messages":[{"role":"user","content":"ping"}]}"#;
/// An answer of one token fits.
const ANSWER_LIMIT: usize = 1 << 20;

/// Runs the checks of whatever configuration is in force.
pub struct HealthChecks {
    app: Arc<App>,
}

/// One check, again and again.
struct Watch {
    app: Arc<App>,
    provider: Arc<Provider>,
    check: Check,
    rule: HealthConfig,
    /// Whom the verdict is about.
    deployments: Vec<Arc<Deployment>>,
}

enum Check {
    /// Of the provider's address. Pingora keeps the state of such a check by address and weight alone,
    /// so each provider has its own, and what is kept is kept here.
    Address(Box<dyn HealthCheck + Send + Sync>),
    /// Of one deployment.
    Completion(Arc<Deployment>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Well,
    Failing,
    /// It says nothing about the deployment.
    Unknown,
}

impl HealthChecks {
    /// For this process.
    pub fn new(app: Arc<App>) -> Self {
        Self { app }
    }

    fn watches(&self, snapshot: &Snapshot) -> Vec<Watch> {
        let mut watches = Vec::new();
        for provider in snapshot.providers.values() {
            let Some(rule) = &provider.health else { continue };
            let deployments = snapshot.deployments_of(provider);
            let watch = |check, deployments| Watch {
                app: self.app.clone(),
                provider: provider.clone(),
                check,
                rule: rule.clone(),
                deployments,
            };
            match address_check(provider, rule) {
                Some(check) => watches.push(watch(Check::Address(check), deployments)),
                None => watches.extend(
                    deployments
                        .into_iter()
                        .filter(|it| it.upstream_model != "*" && !it.lacks_credential)
                        .map(|deployment| watch(Check::Completion(deployment.clone()), vec![deployment])),
                ),
            }
        }
        watches
    }
}

#[async_trait]
impl BackgroundService for HealthChecks {
    async fn start(&self, mut shutdown: ShutdownWatch) {
        loop {
            let snapshot = self.app.snapshot.load_full();
            // Dropping the set ends its tasks.
            let mut running = JoinSet::new();
            for watch in self.watches(&snapshot) {
                running.spawn(watch.run());
            }
            while Arc::ptr_eq(&snapshot, &self.app.snapshot.load()) {
                tokio::select! {
                    _ = shutdown.changed() => return,
                    () = tokio::time::sleep(RELOAD_INTERVAL) => {}
                }
            }
        }
    }
}

impl Watch {
    async fn run(self) {
        let mut failed = 0;
        loop {
            let verdict = match tokio::time::timeout(self.rule.timeout.0, self.ask()).await {
                Ok(verdict) => verdict,
                Err(_) => Verdict::Failing,
            };
            failed = self.apply(verdict, failed, Instant::now());
            tokio::time::sleep(self.rule.every.0).await;
        }
    }

    /// Returns the failures in a row.
    fn apply(&self, verdict: Verdict, failed: u32, now: Instant) -> u32 {
        match verdict {
            Verdict::Unknown => failed,
            Verdict::Well => {
                if failed >= self.rule.failures {
                    tracing::info!(provider = self.provider.name.as_str(), "healthy again");
                }
                let whole = matches!(self.check, Check::Completion(_));
                for deployment in &self.deployments {
                    deployment.state.cooldown.close_by_check(whole);
                }
                0
            }
            Verdict::Failing => {
                let failed = failed.saturating_add(1);
                if failed == self.rule.failures {
                    tracing::warn!(provider = self.provider.name.as_str(), "the health check fails");
                }
                if failed >= self.rule.failures {
                    // Until the check after next is heard, or nobody checks any more.
                    let open = (self.rule.every.0 + self.rule.timeout.0) * 2;
                    for deployment in &self.deployments {
                        deployment.state.cooldown.open_by_check(open, now);
                    }
                }
                failed
            }
        }
    }

    async fn ask(&self) -> Verdict {
        match &self.check {
            Check::Completion(deployment) => complete(&self.app, deployment, self.rule.timeout.0).await,
            Check::Address(check) => {
                let Ok(address) = self.provider.resolver.address().await else { return Verdict::Failing };
                let Ok(target) = Backend::new(&address.to_string()) else { return Verdict::Unknown };
                if check.check(&target).await.is_ok() { Verdict::Well } else { Verdict::Failing }
            }
        }
    }
}

/// None for a check of each deployment.
fn address_check(provider: &Provider, rule: &HealthConfig) -> Option<Box<dyn HealthCheck + Send + Sync>> {
    let (origin, timeout) = (&provider.origin, Some(rule.timeout.0));
    match rule.check {
        HealthCheckKind::Completion => None,
        HealthCheckKind::Tcp => {
            let mut check = TcpHealthCheck::default();
            check.peer_template.sni = if origin.tls { origin.host.clone() } else { String::new() };
            check.peer_template.options.connection_timeout = timeout;
            check.peer_template.options.total_connection_timeout = timeout;
            Some(Box::new(check))
        }
        HealthCheckKind::Http => {
            let mut check = HttpHealthCheck::new(&origin.host, origin.tls);
            check.req = request(provider, rule.path.as_deref().unwrap_or("/"))?;
            check.peer_template.options.connection_timeout = timeout;
            check.peer_template.options.total_connection_timeout = timeout;
            check.peer_template.options.read_timeout = timeout;
            check.validator = Some(Box::new(|answer| match answer.status.is_success() {
                true => Ok(()),
                false => {
                    pingora::Error::e_explain(pingora::ErrorType::HTTPStatus(answer.status.as_u16()), "")
                }
            }));
            Some(Box::new(check))
        }
    }
}

/// With the provider's headers: some answer their health to nobody else.
fn request(provider: &Provider, path: &str) -> Option<RequestHeader> {
    let mut request = RequestHeader::build("GET", path.as_bytes(), None).ok()?;
    let credential = provider.credentials.first().and_then(|credential| credential.header.as_ref());
    for (name, value) in provider.headers.iter().chain(credential) {
        request.insert_header(name, value).ok()?;
    }
    request.insert_header(http::header::USER_AGENT, crate::USER_AGENT).ok()?;
    Some(request)
}

async fn complete(app: &App, deployment: &Arc<Deployment>, timeout: Duration) -> Verdict {
    let (operation, body) = (Operation::ChatCompletions, Bytes::from_static(COMPLETION));
    let Ok(head) = providers::read_request_head(operation, "/v1/chat/completions", &body) else {
        return Verdict::Unknown;
    };
    let call = UpstreamCall {
        connections: &app.upstream,
        request_id: "req_health_check",
        operation,
        head: &head,
        body: &body,
        query: None,
        headers: &[],
        deadline: Instant::now() + timeout,
        answer_limit: ANSWER_LIMIT,
        resumption: None,
    };
    let timeouts = Timeouts {
        connect: timeout,
        first_token: timeout,
        answer: timeout,
        idle: timeout,
        min_chars_per_second: 0,
        total: timeout,
    };
    let attempt = Attempt { call, deployment, timeouts: &timeouts, drop_params: true, sent: Sent::default() };
    match attempt.run().await.result {
        Ok(_) => Verdict::Well,
        Err(failure) => match failure.failure.kind {
            // It does not like the question, but it answers.
            FailureKind::Rejected | FailureKind::ContextLength => Verdict::Well,
            FailureKind::RateLimited | FailureKind::NotFound | FailureKind::Untranslatable => {
                Verdict::Unknown
            }
            FailureKind::Credential => {
                deployment.credential_refused(Instant::now());
                Verdict::Unknown
            }
            _ => Verdict::Failing,
        },
    }
}
