//! What is asked for?

use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use providers::{Operation, WireFormat};

use crate::affinity::session;
use crate::answer_cache::Controls;
use crate::edge::Downstream;
use crate::error::GatewayError;
use crate::request::{Record, Request};
use crate::snapshot::Snapshot;
use crate::telemetry::TraceContext;

/// Headers of the client that a provider of the same format should see.
const PASSED_ON: [&str; 5] =
    ["anthropic-beta", "anthropic-version", "openai-beta", "idempotency-key", "tracestate"];
/// Where a client says what it thinks of kept answers, and whether the header is ours.
const CACHE_HEADERS: [(&str, bool); 2] = [("cache-control", false), ("x-signalbox-cache", true)];

/// Reads the body and its head.
///
/// # Errors
/// Everything that can be wrong with a path, a method or a body.
pub async fn run(
    snapshot: &Snapshot,
    downstream: &mut Downstream<'_>,
    record: &mut Record,
) -> Result<Request, GatewayError> {
    let (method, path) = (downstream.method(), downstream.path());
    let Some(operation) = Operation::from_path(path) else {
        return Err(GatewayError::UnknownPath { method: method.to_owned(), path: path.to_owned() });
    };
    if method != "POST" {
        let (method, path) = (method.to_owned(), path.to_owned());
        return Err(GatewayError::MethodNotAllowed { method, path, allowed: "POST" });
    }
    record.operation = Some(operation);
    let query = downstream.query().map(str::to_owned);
    let target = query.as_ref().map_or_else(|| path.to_owned(), |query| format!("{path}?{query}"));
    let headers = headers(downstream, operation, record);
    let session = downstream.header("x-signalbox-session").map(session);
    let mut controls = Controls::default();
    for (name, is_ours) in CACHE_HEADERS {
        if let Some(value) = downstream.header(name) {
            controls.read_header(value, is_ours);
        }
    }
    let waiting = std::time::Instant::now();
    let body = downstream.read_body(snapshot.limits.body.0, snapshot.limits.body_time.0).await;
    record.waited += waiting.elapsed();
    let mut body = body?;
    let mut head =
        providers::read_request_head(operation, &target, &body).map_err(GatewayError::BadRequest)?;
    if let Some((said, span)) = head.caching.controls.take() {
        controls.read_body(&said);
        // It is for us: some providers refuse a member that they do not know.
        if let Some(rest) = providers::without_member(&body, "cache", &span) {
            head =
                providers::read_request_head(operation, &target, &rest).map_err(GatewayError::BadRequest)?;
            body = rest;
        }
    }
    record.stream = head.stream;
    // Google's clients may send their key in the query, and the format itself asks for the event stream.
    let query = query.filter(|_| operation.wire_format() != WireFormat::Gemini);
    Ok(Request { operation, head, body, query, headers, controls, session })
}

fn headers(
    downstream: &Downstream<'_>,
    operation: Operation,
    record: &Record,
) -> Vec<(HeaderName, HeaderValue)> {
    let mut headers: Vec<(HeaderName, HeaderValue)> = Vec::new();
    // One pass: most requests have few headers, and most of these none of them.
    for (name, value) in downstream.headers() {
        let foreign =
            || name.as_str().starts_with("anthropic") && operation.wire_format() != WireFormat::Anthropic;
        let is_known = || headers.iter().any(|(known, _)| known == name);
        if PASSED_ON.contains(&name.as_str()) && !foreign() && !is_known() {
            headers.push((name.clone(), value.clone()));
        }
    }
    // The delimiter of a form stands in it.
    if operation.is_form()
        && let Some(value) = downstream.headers().get(CONTENT_TYPE)
    {
        headers.push((CONTENT_TYPE, value.clone()));
    }
    if let Some(value) = record.trace.as_ref().and_then(TraceContext::child_header) {
        headers.push((HeaderName::from_static("traceparent"), value));
    }
    headers
}
