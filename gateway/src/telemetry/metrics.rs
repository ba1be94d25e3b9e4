//! The metrics. Names and labels are public API; OpenTelemetry's GenAI names come first
//! (<https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-metrics/>), ours begin with `signalbox_`.

use std::sync::{Arc, LazyLock};

use prometheus::{
    Encoder, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec,
    Registry, TextEncoder,
};

use super::register::Register;
use super::{
    CacheMetrics, ClusterMetrics, CredentialMetrics, FeedbackMetrics, KeyMetrics, LedgerMetrics,
    OverloadMetrics, RequestLogMetrics, RouteMetrics,
};

/// Seconds, as OpenTelemetry advises for GenAI durations.
const SECONDS: [f64; 14] =
    [0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92];
/// Seconds, from a microsecond on: our own share is too small for the usual buckets.
const OVERHEAD: [f64; 14] =
    [5e-6, 1e-5, 1.5e-5, 2e-5, 4e-5, 6e-5, 8e-5, 1.6e-4, 3.2e-4, 6.4e-4, 1.28e-3, 5e-3, 2e-2, 0.1];

/// Every metric of the process.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    requests: IntCounterVec,
    duration: HistogramVec,
    ttft: HistogramVec,
    attempts: IntCounterVec,
    tokens: IntCounterVec,
    cost: IntCounterVec,
    /// Our own time per request.
    pub overhead: Histogram,
    /// Requests running now.
    pub in_flight: IntGauge,
    /// Cooldown by deployment: 0 closed, 1 half open, 2 open. Set when it is read.
    pub deployment_state: IntGaugeVec,
    /// What an operator has to mend, by kind.
    pub alerts: IntCounterVec,
    /// Alerts told to webhooks, by outcome.
    pub alert_deliveries: IntCounterVec,
    /// Scheduled backups by outcome.
    pub backups: IntCounterVec,
    /// Configuration reloads by outcome.
    pub reloads: IntCounterVec,
    /// Access log lines that did not fit into the buffer.
    pub log_dropped: IntGauge,
    /// Requests that followed the answer to an identical one.
    pub coalesced: IntCounter,
    /// Second attempts by whether they answered first.
    pub hedges: IntCounterVec,
    /// Of what is counted together with other gateways.
    pub cluster: ClusterMetrics,
    /// Answers that are kept.
    pub cache: CacheMetrics,
    /// Of the credentials in the store.
    pub credentials: CredentialMetrics,
    /// Of the keys in the store.
    pub keys: KeyMetrics,
    /// Of the spend ledger.
    pub ledger: LedgerMetrics,
    /// Of virtual models.
    pub routes: RouteMetrics,
    /// What their answers were worth.
    pub feedback: FeedbackMetrics,
    /// Of the request log.
    pub request_log: RequestLogMetrics,
    /// Of limits on requests in flight, and of what they refuse.
    pub overload: OverloadMetrics,
}

/// The label values of one deployment.
#[derive(Clone, Copy, Debug)]
pub struct DeploymentLabels<'a> {
    /// The public model.
    pub model: &'a str,
    /// The provider.
    pub provider: &'a str,
    /// The deployment.
    pub deployment: &'a str,
}

/// One deployment's series, looked up once per snapshot instead of once per request.
#[derive(Debug)]
pub struct DeploymentSeries {
    labels: [String; 3],
    answered: IntCounter,
    ttft: Histogram,
    prompt: IntCounter,
    completion: IntCounter,
    cached: IntCounter,
    reasoning: IntCounter,
    cost: IntCounter,
    /// Requests that this deployment answered.
    pub model: ModelSeries,
}

/// The series of answered requests.
#[derive(Debug)]
pub struct ModelSeries {
    ok: IntCounter,
    duration: Histogram,
}

static METRICS: LazyLock<Metrics> = LazyLock::new(Metrics::new);

impl Metrics {
    /// The process's metrics.
    pub fn global() -> &'static Self {
        &METRICS
    }

    fn new() -> Self {
        let registry = Registry::new();
        let deployment = ["model", "provider", "deployment"];
        let metrics = Register(&registry);
        Self {
            requests: metrics.counter(
                "signalbox_requests_total",
                "Requests by outcome.",
                &["model", "outcome"],
            ),
            duration: metrics.histogram(
                "gen_ai_server_request_duration_seconds",
                "Whole requests.",
                &SECONDS,
                &["model", "outcome"],
            ),
            ttft: metrics.histogram(
                "gen_ai_server_time_to_first_token_seconds",
                "To the first byte of an answer.",
                &SECONDS,
                &deployment,
            ),
            attempts: metrics.counter(
                "signalbox_attempts_total",
                "Calls of deployments by outcome.",
                &["model", "provider", "deployment", "outcome"],
            ),
            tokens: metrics.counter(
                "signalbox_tokens_total",
                "Tokens by type.",
                &["model", "provider", "deployment", "type"],
            ),
            cost: metrics.counter("signalbox_cost_micros_total", "Cost in micro-dollars.", &deployment),
            overhead: metrics.add(Histogram::with_opts(
                HistogramOpts::new("signalbox_overhead_seconds", "Our own time per request.")
                    .buckets(OVERHEAD.to_vec()),
            )),
            in_flight: metrics.single_gauge("signalbox_requests_in_flight", "Requests running now."),
            deployment_state: metrics.gauge(
                "signalbox_deployment_state",
                "Cooldown: 0 closed, 1 half open, 2 open.",
                &["deployment"],
            ),
            alerts: metrics.counter(
                "signalbox_alerts_total",
                "What an operator has to mend, by kind.",
                &["kind"],
            ),
            alert_deliveries: metrics.counter(
                "signalbox_alert_deliveries_total",
                "To webhooks.",
                &["outcome"],
            ),
            backups: metrics.counter(
                "signalbox_backups_total",
                "Scheduled backups by outcome.",
                &["outcome"],
            ),
            reloads: metrics.counter("signalbox_config_reloads_total", "Reloads by outcome.", &["outcome"]),
            log_dropped: metrics.single_gauge(
                "signalbox_access_log_dropped",
                "Access log lines that did not fit into the buffer.",
            ),
            coalesced: metrics
                .add(IntCounter::new("signalbox_coalesced_total", "Requests that shared a call.")),
            hedges: metrics.counter("signalbox_hedges_total", "Second attempts, lost or won.", &["outcome"]),
            cluster: ClusterMetrics::new(&metrics),
            cache: CacheMetrics::new(&metrics),
            credentials: CredentialMetrics::new(&metrics),
            keys: KeyMetrics::new(&metrics),
            routes: RouteMetrics::new(&metrics),
            feedback: FeedbackMetrics::new(&metrics),
            ledger: LedgerMetrics::new(&metrics),
            request_log: RequestLogMetrics::new(&metrics),
            overload: OverloadMetrics::new(&metrics),
            registry,
        }
    }

    /// The series of one deployment.
    pub fn deployment(&self, labels: &DeploymentLabels<'_>) -> Arc<DeploymentSeries> {
        let DeploymentLabels { model, provider, deployment } = *labels;
        let tokens = |kind| self.tokens.with_label_values(&[model, provider, deployment, kind]);
        Arc::new(DeploymentSeries {
            labels: [model.to_owned(), provider.to_owned(), deployment.to_owned()],
            answered: self.attempts.with_label_values(&[model, provider, deployment, "ok"]),
            ttft: self.ttft.with_label_values(&[model, provider, deployment]),
            prompt: tokens("prompt"),
            completion: tokens("completion"),
            cached: tokens("cached"),
            reasoning: tokens("reasoning"),
            cost: self.cost.with_label_values(&[model, provider, deployment]),
            model: ModelSeries {
                ok: self.requests.with_label_values(&[model, "ok"]),
                duration: self.duration.with_label_values(&[model, "ok"]),
            },
        })
    }

    /// A request that ended otherwise than well. `model` is empty before it is known.
    pub fn request_failed(&self, model: &str, outcome: &str, seconds: f64) {
        self.requests.with_label_values(&[model, outcome]).inc();
        self.duration.with_label_values(&[model, outcome]).observe(seconds);
    }

    /// The text exposition.
    pub fn expose(&self) -> Vec<u8> {
        let mut text = Vec::with_capacity(16 << 10);
        // Writing to memory fails for no other reason than a broken metric, which `new` has excluded.
        let _ = TextEncoder::new().encode(&self.registry.gather(), &mut text);
        text
    }
}

impl DeploymentSeries {
    /// An attempt was answered; `seconds` to its first byte.
    pub fn answered(&self, seconds: f64) {
        self.answered.inc();
        self.ttft.observe(seconds);
    }

    /// An attempt failed.
    pub fn failed(&self, kind: domain::FailureKind) {
        let [model, provider, deployment] = &self.labels;
        let labels = [model.as_str(), provider.as_str(), deployment.as_str(), kind.as_str()];
        Metrics::global().attempts.with_label_values(&labels).inc();
    }

    /// What an answer used and cost.
    pub fn used(&self, usage: &domain::Usage, cost: domain::Micros) {
        self.prompt.inc_by(usage.prompt);
        self.completion.inc_by(usage.completion);
        self.cached.inc_by(usage.cached);
        self.reasoning.inc_by(usage.reasoning);
        self.cost.inc_by(cost.0);
    }
}

impl ModelSeries {
    /// A request ended well.
    pub fn succeeded(&self, seconds: f64) {
        self.ok.inc();
        self.duration.observe(seconds);
    }
}
