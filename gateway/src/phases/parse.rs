//! What is asked for?

use http::{HeaderName, HeaderValue};
use providers::{Operation, WireFormat};

use crate::affinity::session;
use crate::edge::Downstream;
use crate::error::GatewayError;
use crate::request::{Record, Request};
use crate::snapshot::Snapshot;
use crate::telemetry::TraceContext;

/// Headers of the client that a provider of the same format should see.
const PASSED_ON: [&str; 5] =
    ["anthropic-beta", "anthropic-version", "openai-beta", "idempotency-key", "tracestate"];
/// What a client says that wants an answer of its own (RFC 9111, 5.2.1).
const REFUSALS: [&str; 2] = ["no-cache", "no-store"];

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
    let headers = headers(downstream, operation, record)?;
    let session = downstream.header("x-signalbox-session").map(session);
    let wants_own_answer = ["cache-control", "x-signalbox-cache"].iter().any(|name| {
        let value = downstream.header(name).and_then(|value| std::str::from_utf8(value).ok());
        value.is_some_and(|value| {
            value.split(',').any(|word| REFUSALS.iter().any(|no| word.trim().eq_ignore_ascii_case(no)))
        })
    });
    let waiting = std::time::Instant::now();
    let body = downstream.read_body(snapshot.limits.body.0, snapshot.limits.body_time.0).await;
    record.waited += waiting.elapsed();
    let body = body?;
    let head = providers::read_request_head(operation, &target, &body).map_err(GatewayError::BadRequest)?;
    record.stream = head.stream;
    // Google's clients may send their key in the query, and the format itself asks for the event stream.
    let query = query.filter(|_| operation.wire_format() != WireFormat::Gemini);
    Ok(Request { operation, head, body, query, headers, wants_own_answer, session })
}

fn headers(
    downstream: &Downstream<'_>,
    operation: Operation,
    record: &Record,
) -> Result<Vec<(HeaderName, HeaderValue)>, GatewayError> {
    let mut headers = Vec::new();
    for name in PASSED_ON {
        let foreign = name.starts_with("anthropic") && operation.wire_format() != WireFormat::Anthropic;
        if let Some(value) = downstream.header(name).filter(|_| !foreign) {
            let value = HeaderValue::from_bytes(value)
                .map_err(|_| GatewayError::Framing("A header is not valid."))?;
            headers.push((HeaderName::from_static(name), value));
        }
    }
    // The delimiter of a form stands in it.
    if operation.is_form()
        && let Some(value) = downstream.header("content-type")
    {
        let value =
            HeaderValue::from_bytes(value).map_err(|_| GatewayError::Framing("A header is not valid."))?;
        headers.push((http::header::CONTENT_TYPE, value));
    }
    if let Some(value) = record.trace.as_ref().and_then(TraceContext::child_header) {
        headers.push((HeaderName::from_static("traceparent"), value));
    }
    Ok(headers)
}
