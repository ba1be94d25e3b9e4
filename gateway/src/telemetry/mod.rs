//! What Signalbox shows of itself: metrics and the access log. Prompts, answers and keys never come
//! here, and no text that a client chose becomes a label.

mod access_log;
mod cache_metrics;
mod cluster_metrics;
mod credential_metrics;
mod feedback_metrics;
mod key_metrics;
mod ledger_metrics;
mod metrics;
mod overload_metrics;
mod register;
mod request_log_metrics;
mod route_metrics;
mod trace_context;

pub use access_log::{AccessLine, AccessLog};
pub use cache_metrics::CacheMetrics;
pub use cluster_metrics::ClusterMetrics;
pub use credential_metrics::CredentialMetrics;
pub use feedback_metrics::FeedbackMetrics;
pub use key_metrics::KeyMetrics;
pub use ledger_metrics::LedgerMetrics;
pub use metrics::{DeploymentLabels, DeploymentSeries, Metrics, ModelSeries};
pub use overload_metrics::{GateSeries, LimitSeries, OverloadMetrics};
pub use request_log_metrics::RequestLogMetrics;
pub use route_metrics::{RouteMetrics, RouteSeries};
pub use trace_context::TraceContext;
