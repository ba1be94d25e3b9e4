//! Where Pingora's phases meet ours. This module alone knows Pingora's `Session`.

mod connections;
mod downstream;
mod feedback;
mod front_door;
mod guess_limiter;
mod local;
mod metered;
mod pass_through;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::proxy::{FailToProxy, ProxyHttp, Session};
use pingora::upstreams::peer::HttpPeer;
use pingora::{Error, ErrorType, Result};
use providers::{Operation, WireFormat};

use crate::app::App;
use crate::contents::Capture;
use crate::error::GatewayError;
use crate::phases::respond;
use crate::pipeline;
use crate::request::Record;
use crate::request_id;
use crate::telemetry::TraceContext;
use crate::upstream::Deployment;

use metered::Metered;

pub use connections::Connections;
pub use downstream::Downstream;
pub use front_door::FrontDoor;
pub use guess_limiter::GuessLimiter;

/// Between two reads of a request.
const READ_TIMEOUT: Duration = Duration::from_secs(60);

/// The public listener's application.
pub struct Edge {
    app: Arc<App>,
}

/// One request, as Pingora carries it from phase to phase.
pub struct Context {
    /// Written when it is dropped.
    record: Record,
    /// The target of a raw pass-through.
    deployment: Option<Arc<Deployment>>,
    /// What that costs.
    metered: Option<Box<Metered>>,
    /// Hears what passes, of a key that wants it kept.
    capture: Option<Box<Capture>>,
}

impl Edge {
    /// For this process.
    pub fn new(app: Arc<App>) -> Self {
        Self { app }
    }
}

#[async_trait]
impl ProxyHttp for Edge {
    type CTX = Context;

    fn new_ctx(&self) -> Context {
        Context { record: Record::new(self.app.clone()), deployment: None, metered: None, capture: None }
    }

    /// Framing, identity, time-outs: before anything is believed.
    async fn early_request_filter(&self, session: &mut Session, ctx: &mut Context) -> Result<()> {
        front_door::header_read();
        session.downstream_session.set_read_timeout(Some(READ_TIMEOUT));
        let write_time = self.app.snapshot.load().limits.write_time.0;
        session.downstream_session.set_write_timeout(Some(write_time));
        if self.app.is_closing() {
            // Also for the raw pass-through, whose answer Pingora writes.
            session.downstream_session.set_keepalive(None);
        }
        let head = session.downstream_session.req_header();
        let text = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok());
        ctx.record.request_id = request_id::choose(text("x-request-id"));
        ctx.record.trace = text("traceparent").and_then(TraceContext::parse);
        ctx.record.client = client_format(head);
        Ok(())
    }

    /// The whole life of a request for a model; only the raw pass-through goes on to Pingora's own upstream leg.
    async fn request_filter(&self, session: &mut Session, ctx: &mut Context) -> Result<bool> {
        let record = &mut ctx.record;
        let limits = self.app.snapshot.load().limits;
        let mut downstream = Downstream::new(session, &self.app, limits.write_time.0);
        if let Some(problem) = downstream.framing_fault() {
            respond::error(&mut downstream, record, &GatewayError::Framing(problem)).await;
            return Ok(true);
        }
        if downstream.header_exceeds(limits.header.0, limits.headers) {
            let error = GatewayError::HeaderTooLarge { limit: limits.header.0, fields: limits.headers };
            respond::error(&mut downstream, record, &error).await;
            return Ok(true);
        }
        if Operation::from_path(downstream.path()).is_some() {
            pipeline::run(&self.app, &mut downstream, record).await;
            if record.outcome == GatewayError::ClientGone.face().label {
                // Otherwise Pingora would flush what the client does not take, without a limit.
                return Err(Error::new_down(ErrorType::ConnectionClosed));
            }
            return Ok(true);
        }
        if local::run(&self.app, &mut downstream, record).await {
            return Ok(true);
        }
        match pass_through::enter(&self.app, &downstream, record).await {
            Ok((deployment, metered)) => {
                if let Some(principal) = &record.principal {
                    ctx.capture = downstream.begin_capture(principal, record);
                }
                ctx.deployment = Some(deployment);
                ctx.metered = Some(Box::new(metered));
                Ok(false)
            }
            Err(error) => {
                respond::error(&mut downstream, record, &error).await;
                Ok(true)
            }
        }
    }

    async fn upstream_peer(&self, _session: &mut Session, ctx: &mut Context) -> Result<Box<HttpPeer>> {
        pass_through::peer(ctx.deployment.as_deref()).await
    }

    async fn upstream_request_filter(
        &self,
        session: &mut Session,
        upstream_request: &mut RequestHeader,
        ctx: &mut Context,
    ) -> Result<()> {
        let head = session.downstream_session.req_header();
        pass_through::rewrite(head, upstream_request, ctx.deployment.as_deref(), ctx.record.trace.as_ref())
    }

    async fn request_body_filter(
        &self,
        _session: &mut Session,
        body: &mut Option<Bytes>,
        end_of_stream: bool,
        ctx: &mut Context,
    ) -> Result<()> {
        if let Some(metered) = &mut ctx.metered {
            metered.asks(body.as_ref(), end_of_stream, &mut ctx.record);
        }
        if let (Some(capture), Some(body)) = (&mut ctx.capture, body) {
            capture.prompt(body);
        }
        Ok(())
    }

    async fn response_filter(
        &self,
        _session: &mut Session,
        answer: &mut ResponseHeader,
        ctx: &mut Context,
    ) -> Result<()> {
        pass_through::observe(ctx.deployment.as_deref(), answer.status);
        ctx.record.status = answer.status.as_u16();
        ctx.record.outcome = if answer.status.is_success() { "ok" } else { "rejected" };
        if let Some(metered) = &mut ctx.metered {
            metered.answers(answer, &mut ctx.record);
        }
        answer.insert_header("x-request-id", ctx.record.request_id.as_str())
    }

    fn response_body_filter(
        &self,
        _session: &mut Session,
        body: &mut Option<Bytes>,
        end_of_stream: bool,
        ctx: &mut Context,
    ) -> Result<Option<Duration>> {
        if let Some(metered) = &mut ctx.metered {
            metered.answered(body.as_ref(), end_of_stream, &mut ctx.record);
        }
        if let (Some(capture), Some(body)) = (&mut ctx.capture, body) {
            capture.answer(body);
        }
        Ok(None)
    }

    /// The raw pass-through has ended, well or not; the rest is done when the context is dropped.
    async fn logging(&self, _session: &mut Session, _error: Option<&Error>, ctx: &mut Context) {
        if let Some(metered) = &mut ctx.metered {
            metered.ended(&mut ctx.record).await;
        }
    }

    /// A client that leaves is no error of ours.
    fn suppress_error_log(&self, _session: &Session, ctx: &Context, _error: &Error) -> bool {
        ctx.record.outcome == GatewayError::ClientGone.face().label
    }

    /// What escaped the pipeline: failures of the raw pass-through, and of Pingora itself.
    async fn fail_to_proxy(&self, session: &mut Session, error: &Error, ctx: &mut Context) -> FailToProxy {
        let error = pass_through::failure(error);
        let write_time = self.app.snapshot.load().limits.write_time.0;
        let mut downstream = Downstream::new(session, &self.app, write_time);
        downstream.capture(ctx.capture.take());
        respond::error(&mut downstream, &mut ctx.record, &error).await;
        FailToProxy { error_code: error.face().status, can_reuse_downstream: false }
    }
}

/// Anthropic's SDKs name their API version in every request, whatever the path.
fn client_format(head: &RequestHeader) -> WireFormat {
    match Operation::from_path(head.uri.path()) {
        Some(operation) => operation.wire_format(),
        None if head.headers.contains_key("anthropic-version") => WireFormat::Anthropic,
        None => WireFormat::OpenAi,
    }
}
