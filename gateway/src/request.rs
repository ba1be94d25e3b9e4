//! What a request carries through the phases, and what is recorded of it at its end.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use domain::{Micros, Usage};
use http::{HeaderName, HeaderValue};
use providers::{Operation, RequestHead, WireFormat};

use crate::app::App;
use crate::limits::{Admitted, Parallel, Places};
use crate::phases;
use crate::snapshot::{Model, Principal};
use crate::telemetry::TraceContext;
use crate::upstream::Deployment;

/// A parsed request.
#[derive(Debug)]
pub struct Request {
    /// What is asked for.
    pub operation: Operation,
    /// The touched fields of the body.
    pub head: RequestHead,
    /// The body as it came.
    pub body: Bytes,
    /// The query, if any.
    pub query: Option<String>,
    /// Headers that go on to the provider.
    pub headers: Vec<(HeaderName, HeaderValue)>,
}

/// Models to try, in this order; the first is the one that was asked for.
#[derive(Debug)]
pub struct Plan {
    /// At least one.
    pub models: Vec<Arc<Model>>,
}

/// The record of one request. It is written when it is dropped, so that every request ends in
/// [`phases::record`] exactly once, whatever became of its future.
pub struct Record {
    /// The process.
    pub app: Arc<App>,
    /// When the request's header was read.
    pub started: Instant,
    /// Our id of it.
    pub request_id: String,
    /// The caller's trace.
    pub trace: Option<TraceContext>,
    /// The client's format, for errors.
    pub client: WireFormat,
    /// What is asked for.
    pub operation: Option<Operation>,
    /// Who asks.
    pub principal: Option<Arc<Principal>>,
    /// The slot among the process's requests.
    pub admitted: Option<Admitted>,
    /// The slot among the key's parallel requests.
    pub parallel: Option<Parallel>,
    /// The places among the model's and the deployment's requests in flight.
    pub places: Places,
    /// A model or deployment was passed over because it was full.
    pub passed_over: bool,
    /// Tokens reserved, and when.
    pub reserved: Option<(Instant, u64)>,
    /// The model that was asked for.
    pub model: Option<Arc<Model>>,
    /// Who answered, or was asked last.
    pub deployment: Option<Arc<Deployment>>,
    /// Whether it was streamed.
    pub stream: bool,
    /// Calls of deployments.
    pub attempts: u32,
    /// Another deployment than the first one answered.
    pub fallback: bool,
    /// Time spent waiting for the client or the upstream.
    pub waited: Duration,
    /// To the answer's first byte.
    pub ttft: Option<Duration>,
    /// What the provider counted.
    pub usage: Option<Usage>,
    /// The status that was sent; 0 before any was.
    pub status: u16,
    /// `ok` or an error's label; empty while the request runs.
    pub outcome: &'static str,
}

impl Record {
    /// For a request that has just arrived.
    pub fn new(app: Arc<App>) -> Self {
        app.metrics.in_flight.inc();
        Self {
            app,
            started: Instant::now(),
            request_id: String::new(),
            trace: None,
            client: WireFormat::OpenAi,
            operation: None,
            principal: None,
            admitted: None,
            parallel: None,
            places: Places::default(),
            passed_over: false,
            reserved: None,
            model: None,
            deployment: None,
            stream: false,
            attempts: 0,
            fallback: false,
            waited: Duration::ZERO,
            ttft: None,
            usage: None,
            status: 0,
            outcome: "",
        }
    }

    /// What the answer cost, when both the price and the usage are known.
    pub fn cost(&self) -> Option<Micros> {
        Some(self.deployment.as_ref()?.price?.cost(self.usage.as_ref()?))
    }

    /// Our own time so far.
    pub fn overhead(&self) -> Duration {
        self.started.elapsed().saturating_sub(self.waited)
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        phases::record::run(self);
        self.app.metrics.in_flight.dec();
    }
}
