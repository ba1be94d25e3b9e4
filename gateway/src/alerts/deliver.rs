//! Tells alerts to webhooks.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use domain::Secret;
use pingora::server::ShutdownWatch;
use pingora::services::background::BackgroundService;
use serde_json::json;
use tokio::task::JoinSet;

use super::{Alert, take_receiver};
use crate::app::App;
use crate::config::{AlertConfig, AlertKind, WebhookFormat};

const TIMEOUT: Duration = Duration::from_secs(5);
/// Waits before the second and the third try.
const PAUSES: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(5)];
/// Deliveries at once; more alerts are only counted.
const AT_ONCE: usize = 32;
/// What was told of so many subjects is remembered.
const REMEMBERED: usize = 10_000;

/// Whom to tell, resolved.
#[derive(Debug, Default)]
pub struct AlertRules {
    webhooks: Vec<Webhook>,
    repeat: Duration,
}

#[derive(Clone, Debug)]
struct Webhook {
    url: Secret,
    format: WebhookFormat,
    kinds: Vec<AlertKind>,
}

/// Takes alerts from the queue, one after the other.
pub struct Deliveries {
    app: Arc<App>,
}

impl AlertRules {
    /// Resolves the section.
    ///
    /// # Errors
    /// When a secret has gone.
    pub fn new(config: &AlertConfig) -> Result<Self, String> {
        let webhooks = config.webhooks.iter().enumerate().map(|(index, webhook)| {
            let url = webhook.url.resolve().map_err(|why| format!("alerts.webhooks[{index}].url: {why}"))?;
            Ok(Webhook { url, format: webhook.format, kinds: webhook.kinds.clone() })
        });
        Ok(Self { webhooks: webhooks.collect::<Result<_, String>>()?, repeat: config.repeat.0 })
    }
}

impl Webhook {
    fn hears(&self, kind: AlertKind) -> bool {
        self.kinds.is_empty() || self.kinds.contains(&kind)
    }

    fn body(&self, alert: &Alert) -> serde_json::Value {
        match self.format {
            WebhookFormat::Json => json!({
                "source": crate::USER_AGENT, "kind": alert.kind, "subject": alert.subject,
                "message": alert.message, "at": alert.at,
            }),
            WebhookFormat::Slack => json!({"text": format!("Signalbox: {}", alert.message)}),
        }
    }
}

impl Deliveries {
    /// For this process.
    pub fn new(app: Arc<App>) -> Self {
        Self { app }
    }

    fn count(&self, outcome: &str) {
        self.app.metrics.alert_deliveries.with_label_values(&[outcome]).inc();
    }
}

#[async_trait]
impl BackgroundService for Deliveries {
    async fn start(&self, mut shutdown: ShutdownWatch) {
        let Some(mut alerts) = take_receiver() else { return };
        let client = reqwest::Client::builder().timeout(TIMEOUT).user_agent(crate::USER_AGENT).build();
        let Ok(client) = client else {
            tracing::error!("alerts cannot be sent: no TLS is available");
            return;
        };
        let mut told: HashMap<(AlertKind, String), Instant> = HashMap::new();
        let mut running = JoinSet::new();
        loop {
            let alert = tokio::select! {
                _ = shutdown.changed() => return,
                Some(sent) = running.join_next() => {
                    self.count(if matches!(sent, Ok(true)) { "sent" } else { "failed" });
                    continue;
                }
                Some(alert) = alerts.recv() => alert,
            };
            let rules = self.app.snapshot.load().alerts.clone();
            if is_repeated(&mut told, &alert, rules.repeat) {
                continue;
            }
            for webhook in rules.webhooks.iter().filter(|webhook| webhook.hears(alert.kind)) {
                if running.len() >= AT_ONCE {
                    self.count("dropped");
                    continue;
                }
                running.spawn(deliver(client.clone(), webhook.clone(), alert.clone()));
            }
        }
    }
}

/// Was the same told a moment ago? What changes back and forth is paced where it is noticed.
fn is_repeated(told: &mut HashMap<(AlertKind, String), Instant>, alert: &Alert, repeat: Duration) -> bool {
    if matches!(alert.kind, AlertKind::DeploymentOut | AlertKind::DeploymentBack) {
        return false;
    }
    let now = Instant::now();
    if told.len() >= REMEMBERED {
        told.retain(|_, at| now.duration_since(*at) < repeat);
    }
    let key = (alert.kind, alert.subject.clone());
    if told.get(&key).is_some_and(|at| now.duration_since(*at) < repeat) {
        return true;
    }
    told.insert(key, now);
    false
}

/// True when the webhook has taken it.
async fn deliver(client: reqwest::Client, webhook: Webhook, alert: Alert) -> bool {
    let body = webhook.body(&alert).to_string();
    for pause in PAUSES.iter().map(Some).chain([None]) {
        let request = client.post(webhook.url.expose()).header("content-type", "application/json");
        match request.body(body.clone()).send().await {
            Ok(answer) if answer.status().is_success() => return true,
            Ok(answer) => tracing::warn!(status = answer.status().as_u16(), "a webhook refused an alert"),
            // Its address may hold a secret, and the error names it.
            Err(error) => tracing::warn!(timeout = error.is_timeout(), "a webhook was not reached"),
        }
        if let Some(pause) = pause {
            tokio::time::sleep(*pause).await;
        }
    }
    false
}
