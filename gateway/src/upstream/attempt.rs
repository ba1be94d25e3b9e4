//! One call of one deployment: encode, connect, send, wait for the answer to begin. An answer counts
//! as begun when a whole body or a stream's first token is here; until then another deployment can
//! still take over without the client noticing.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use domain::FailureKind;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use pingora::http::RequestHeader;
use pingora::protocols::Stream;
use pingora::protocols::http::v1::client::HttpSession;
use pingora::upstreams::peer::HttpPeer;
use pingora::{Error, ErrorType};
use providers::{
    Answer, AnswerContext, AnswerStream, Operation, RequestHead, Resume, UpstreamRequest, Way, WireFormat,
};

use super::connections::send;
use super::content_coding::ContentCoding;
use super::{
    AttemptFailure, Connections, Deployment, InFlight, OpenedStream, ProviderReply, Throughput, Unsigned,
    classify, connect_failure, retry_after,
};
use crate::body_buffer::{BodyBuffer, TooLong};
use crate::claim::Sent;
use crate::snapshot::Timeouts;

/// Error bodies are read up to this size; what lies behind it explains nothing.
pub(super) const ERROR_BODY_LIMIT: usize = 256 << 10;
/// The binary events of Amazon.
const EVENT_STREAM: &str = "application/vnd.amazon.eventstream";
/// As many as most requests have.
const USUAL_HEADERS: usize = 12;
/// How often a pooled connection that turns out to be dead is replaced within one attempt.
const STALE_CONNECTIONS: usize = 3;

/// What is the same for every attempt of one request.
#[derive(Clone, Copy)]
pub struct UpstreamCall<'a> {
    /// Connections to all providers.
    pub connections: &'a Arc<Connections>,
    /// Our id of the request, for answers whose provider gives none.
    pub request_id: &'a str,
    /// What the client asked for.
    pub operation: Operation,
    /// The touched fields of the body.
    pub head: &'a RequestHead,
    /// The client's body.
    pub body: &'a Bytes,
    /// The client's query, passed on when the formats agree.
    pub query: Option<&'a str>,
    /// Headers passed on: trace context, `anthropic-beta`, …
    pub headers: &'a [(HeaderName, HeaderValue)],
    /// When the request as a whole must be over.
    pub deadline: Instant,
    /// The largest unstreamed answer, in bytes.
    pub answer_limit: usize,
    /// The answer that this one goes on with.
    pub resumption: Option<Resumption<'a>>,
}

/// How a call goes on with an answer that broke off.
#[derive(Clone, Copy)]
pub struct Resumption<'a> {
    /// The answer.
    pub resume: &'a Resume,
    /// Whether the request ends with it.
    pub way: Way,
    /// What happened, for a comment in the stream.
    pub note: &'a str,
}

/// One attempt.
#[derive(Clone)]
pub struct Attempt<'a> {
    /// The request.
    pub call: UpstreamCall<'a>,
    /// The target.
    pub deployment: &'a Arc<Deployment>,
    /// The model's time-outs.
    pub timeouts: &'a Timeouts,
    /// Whether fields that the target cannot express are dropped.
    pub drop_params: bool,
    /// Told when the provider has it.
    pub sent: Sent,
}

/// How an attempt ended.
pub struct Outcome {
    /// An answer that has begun, or why there is none.
    pub result: Result<Opened, AttemptFailure>,
    /// The time spent waiting for the upstream.
    pub waited: Duration,
}

/// An answer that has begun.
pub enum Opened {
    /// An unstreamed one, complete; with the provider's content type when it was not read.
    Whole(Answer, Option<HeaderValue>),
    /// A stream whose first token is here.
    Stream(Box<OpenedStream>),
}

impl Attempt<'_> {
    /// Runs it. Dropping the future ends the upstream call.
    pub async fn run(&self) -> Outcome {
        let request = providers::encode_request(
            self.call.operation,
            self.call.head,
            self.call.body,
            &self.deployment.provider.spec,
            &self.deployment.upstream_model,
            self.drop_params,
        );
        let request = match request {
            Ok(mut request) => {
                request.context.set_id(self.call.request_id.trim_start_matches("req_"));
                request
            }
            Err(error) => {
                let failure = connect_failure(FailureKind::Untranslatable, error.message);
                let failure = AttemptFailure { failure, reply: None, param: error.param };
                return Outcome { result: Err(failure), waited: Duration::ZERO };
            }
        };
        let in_flight = self.deployment.state.begin();
        let started = Instant::now();
        let result = self.exchange(&request, in_flight).await;
        Outcome { result, waited: started.elapsed() }
    }

    /// The format the provider speaks for this call.
    fn format(&self) -> WireFormat {
        self.deployment.provider.spec.format_for(self.call.operation)
    }

    async fn exchange(
        &self,
        request: &UpstreamRequest,
        in_flight: InFlight,
    ) -> Result<Opened, AttemptFailure> {
        let peer = match self.deployment.provider.resolver.known() {
            Some(peer) => peer,
            None => Box::pin(self.resolve()).await?,
        };
        let started = Instant::now();
        let silence = if self.call.head.stream { self.timeouts.first_token } else { self.timeouts.answer };
        let mut stale = 0;
        let session = loop {
            let (stream, reused) = self.connect(&peer).await?;
            match self.send(stream, &peer, request, started + silence).await {
                Ok(session) => break session,
                // The provider closed a pooled connection while it was idle; it has seen nothing.
                Err(error) if reused && stale < STALE_CONNECTIONS && is_broken(&error) => stale += 1,
                Err(error) => return Err(self.broken(&error, FailureKind::FirstToken).into()),
            }
        };
        self.receive(session, peer, started + silence, &request.context, in_flight).await
    }

    /// The first request to a name looks it up.
    async fn resolve(&self) -> Result<Arc<HttpPeer>, AttemptFailure> {
        let resolver = &self.deployment.provider.resolver;
        match tokio::time::timeout(self.timeouts.connect, resolver.peer()).await {
            Ok(Ok(peer)) => Ok(peer),
            Ok(Err(reason)) => Err(connect_failure(FailureKind::Connect, reason).into()),
            Err(_) => Err(connect_failure(FailureKind::Connect, "name resolution took too long").into()),
        }
    }

    async fn connect(&self, peer: &HttpPeer) -> Result<(Stream, bool), AttemptFailure> {
        let limit = self.timeouts.connect.min(self.remaining());
        match pingora_timeout::timeout(limit, self.call.connections.get(peer)).await {
            Ok(Ok(connection)) => Ok(connection),
            Ok(Err(error)) => {
                Err(connect_failure(FailureKind::Connect, reason("no connection", &error)).into())
            }
            Err(_) => Err(connect_failure(FailureKind::Connect, "connecting took too long").into()),
        }
    }

    /// Sends the request and waits for the answer's header.
    async fn send(
        &self,
        stream: Stream,
        peer: &HttpPeer,
        request: &UpstreamRequest,
        until: Instant,
    ) -> Result<Box<HttpSession>, Box<Error>> {
        let UpstreamRequest { path, body, .. } = request;
        let header = self.request_header(path, body)?;
        let mut session = send(stream, peer, &header, body, self.until(until)).await?;
        self.sent.set();
        loop {
            session.read_timeout = Some(self.until(until));
            session.read_response().await?;
            if !session.resp_header().is_some_and(|answer| answer.status.is_informational()) {
                return Ok(session);
            }
        }
    }

    fn request_header(&self, path: &str, body: &Bytes) -> Result<RequestHeader, Box<Error>> {
        let provider = &self.deployment.provider;
        let same_format = self.format() == self.call.operation.wire_format();
        let path = provider.path(path, self.call.query.filter(|_| same_format));
        let request = RequestHeader::build_no_case(Method::POST, path.as_bytes(), Some(USUAL_HEADERS))?;
        let mut request = Parts::from(request);
        // Into the map itself: pingora's own insertion writes each name in capitals and reads it again.
        let headers = &mut request.headers;
        // A form brings its own, with the delimiter in it.
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        for (name, value) in self.call.headers {
            headers.insert(name, value.clone());
        }
        headers.insert(header::CONTENT_LENGTH, body.len().into());
        headers.insert(header::ACCEPT, HeaderValue::from_static(self.accept()));
        headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        headers.insert(header::USER_AGENT, HeaderValue::from_static(crate::USER_AGENT));
        let credential = self.deployment.credential.as_ref();
        for (name, value) in provider.headers.iter().chain(credential.and_then(|it| it.header.as_ref())) {
            headers.insert(name, value.clone());
        }
        self.sign(&path, body, headers)?;
        Ok(request.into())
    }

    fn accept(&self) -> &'static str {
        if self.call.operation.is_raw() {
            return "*/*";
        }
        match (self.call.head.stream, self.deployment.provider.spec.format) {
            (true, WireFormat::Bedrock) => EVENT_STREAM,
            (true, _) => "text/event-stream",
            (false, _) => "application/json",
        }
    }

    /// Last of all: the signature covers what is sent.
    fn sign(&self, path: &str, body: &Bytes, sent: &mut HeaderMap) -> Result<(), Box<Error>> {
        let signer = self.deployment.credential.as_ref().and_then(|it| it.signer.as_ref());
        let Some(signer) = signer else { return Ok(()) };
        let host = self.deployment.provider.origin.host_header();
        let headers = [("content-type", "application/json")];
        let unsigned = Unsigned { method: "POST", host: &host, target: path, headers: &headers, body };
        let signed = signer
            .sign(unsigned, SystemTime::now())
            .map_err(|reason| Error::explain(ErrorType::InvalidHTTPHeader, reason))?;
        sent.extend(signed);
        Ok(())
    }

    async fn receive(
        &self,
        session: Box<HttpSession>,
        peer: Arc<HttpPeer>,
        until: Instant,
        context: &AnswerContext,
        in_flight: InFlight,
    ) -> Result<Opened, AttemptFailure> {
        let Some(answer) = session.resp_header() else {
            return Err(connect_failure(FailureKind::Malformed, "no response header").into());
        };
        let status = answer.status.as_u16();
        let quota = &self.deployment.state.quota;
        quota.read(self.format(), &answer.headers, Instant::now(), SystemTime::now());
        let find = |name: &str| answer.headers.get(name).map(HeaderValue::as_bytes);
        let coding = ContentCoding::new(find("content-encoding")).map_err(|coding| {
            connect_failure(FailureKind::Malformed, format!("the provider used content-encoding {coding}"))
        })?;
        if !(200..300).contains(&status) {
            self.sent.refused();
            // LiteLLM passes its provider's header on under another name.
            let after = find("retry-after").or_else(|| find("llm_provider-retry-after"));
            let pause = retry_after(after, find("retry-after-ms"), SystemTime::now());
            return Err(self.refused(session, peer, coding, status, pause).await);
        }
        if !self.call.head.stream {
            return self.whole(session, peer, coding, context).await;
        }
        let is_events = find("content-type").is_none_or(|value| {
            value.starts_with(b"text/event-stream") || value.starts_with(EVENT_STREAM.as_bytes())
        });
        if !is_events {
            let text = "the provider answered a streamed request with something that is no event stream";
            return Err(connect_failure(FailureKind::Malformed, text).into());
        }
        let decoder = self.decoder(context);
        let mut stream = OpenedStream {
            session,
            peer,
            connections: self.call.connections.clone(),
            coding,
            decoder,
            idle: self.timeouts.idle,
            throughput: Throughput::new(self.timeouts.min_chars_per_second),
            slow: None,
            broken: None,
            deadline: self.call.deadline,
            ended: false,
            held: Vec::new(),
            _in_flight: in_flight,
        };
        stream.first_token(until).await?;
        Ok(Opened::Stream(Box::new(stream)))
    }

    fn decoder(&self, context: &AnswerContext) -> AnswerStream {
        match self.call.resumption {
            Some(Resumption { resume, way, note }) => resume.stream(self.format(), way, context, note),
            None => {
                let usage = self.call.head.include_usage;
                AnswerStream::new(self.call.operation, self.format(), usage, self.deployment.price)
                    .with_context(context)
            }
        }
    }

    async fn refused(
        &self,
        mut session: Box<HttpSession>,
        peer: Arc<HttpPeer>,
        mut coding: ContentCoding,
        status: u16,
        pause: Option<Duration>,
    ) -> AttemptFailure {
        let body = self.read_body(&mut session, &mut coding, ERROR_BODY_LIMIT).await.unwrap_or_default();
        if session.is_body_done() {
            self.call.connections.release(session, &peer).await;
        }
        let mut error = providers::read_provider_error(self.format(), status, &body);
        if self.deployment.provider.is_leaked_in(error.message.as_bytes()) {
            "its message repeats our credential and is not shown".clone_into(&mut error.message);
        }
        let pause = pause.or(error.retry_after);
        let failure = classify(status, &error, pause);
        let retry_after_ms = pause.map(|pause| u64::try_from(pause.as_millis()).unwrap_or(u64::MAX));
        let reply = ProviderReply { status, body, error, retry_after_ms };
        AttemptFailure { failure, reply: Some(reply), param: None }
    }

    async fn whole(
        &self,
        mut session: Box<HttpSession>,
        peer: Arc<HttpPeer>,
        mut coding: ContentCoding,
        context: &AnswerContext,
    ) -> Result<Opened, AttemptFailure> {
        let answer = session.resp_header().filter(|_| self.call.operation.is_raw());
        let content_type = answer.and_then(|answer| answer.headers.get(header::CONTENT_TYPE)).cloned();
        let body = self.read_body(&mut session, &mut coding, self.call.answer_limit).await?;
        self.call.connections.release(session, &peer).await;
        providers::decode_answer_for(self.call.operation, self.format(), body, context)
            .map(|answer| Opened::Whole(answer, content_type))
            .map_err(|error| connect_failure(FailureKind::Malformed, error.reason).into())
    }

    async fn read_body(
        &self,
        session: &mut HttpSession,
        coding: &mut ContentCoding,
        limit: usize,
    ) -> Result<Bytes, AttemptFailure> {
        let mut body = BodyBuffer::new(limit, None);
        loop {
            session.read_timeout = Some(self.timeouts.idle.min(self.remaining()));
            let chunk = match session.read_body_bytes().await {
                Ok(Some(chunk)) => chunk,
                Ok(None) => break,
                Err(error) => return Err(self.broken(&error, FailureKind::Idle).into()),
            };
            let chunk = coding
                .decode(chunk, limit)
                .map_err(|reason| connect_failure(FailureKind::Malformed, reason))?;
            body.push(chunk).map_err(|TooLong| {
                let text = format!("the provider's answer is longer than {limit} bytes (limits.answer)");
                connect_failure(FailureKind::Malformed, text)
            })?;
        }
        Ok(body.finish())
    }

    fn broken(&self, error: &Error, silent: FailureKind) -> domain::Failure {
        broken(error, silent, self.remaining().is_zero())
    }

    fn remaining(&self) -> Duration {
        self.call.deadline.saturating_duration_since(Instant::now())
    }

    fn until(&self, moment: Instant) -> Duration {
        moment.min(self.call.deadline).saturating_duration_since(Instant::now())
    }
}

pub(super) fn broken(error: &Error, silent: FailureKind, total_is_over: bool) -> domain::Failure {
    let timed_out = matches!(error.etype(), ErrorType::ReadTimedout | ErrorType::WriteTimedout);
    match (timed_out, total_is_over) {
        (true, true) => connect_failure(FailureKind::Total, "the request's total time ran out"),
        (true, false) if silent == FailureKind::FirstToken => {
            connect_failure(silent, "the provider did not begin to answer in time")
        }
        (true, false) => connect_failure(silent, "the provider's answer stalled"),
        (false, _) if matches!(error.etype(), ErrorType::InvalidHTTPHeader) => {
            connect_failure(FailureKind::Malformed, "the provider did not answer with valid HTTP")
        }
        (false, _) => connect_failure(FailureKind::Reset, reason("the connection broke", error)),
    }
}

fn is_broken(error: &Error) -> bool {
    matches!(error.etype(), ErrorType::ReadError | ErrorType::WriteError | ErrorType::ConnectionClosed)
}

/// Pingora's error type only: its context names addresses, which are nobody's business outside.
fn reason(what: &str, error: &Error) -> String {
    format!("{what} ({})", error.etype().as_str())
}
