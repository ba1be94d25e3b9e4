//! The headers of answers and errors.

use domain::Micros;
use pingora::http::ResponseHeader;

use crate::answer_cache::Mark;
use crate::error::{GatewayError, seconds};
use crate::request::Record;

pub(super) fn stream_header(record: &Record) -> Result<Box<ResponseHeader>, GatewayError> {
    let mut head = header(record, 200, "text/event-stream; charset=utf-8")?;
    put(&mut head, "cache-control", "no-cache")?;
    // nginx, and everything that copies it, would buffer the stream otherwise.
    put(&mut head, "x-accel-buffering", "no")?;
    Ok(head)
}

pub(super) fn error_header(
    record: &Record,
    error: &GatewayError,
    status: u16,
    length: usize,
) -> Result<Box<ResponseHeader>, GatewayError> {
    let mut head = header(record, status, "application/json")?;
    put(&mut head, "content-length", length.to_string())?;
    if let Some(wait) = error.retry_after() {
        put(&mut head, "retry-after", seconds(wait).to_string())?;
        put(&mut head, "retry-after-ms", wait.as_millis().to_string())?;
    }
    if !error.may_be_retried() {
        put(&mut head, "x-should-retry", "false")?;
    }
    if let GatewayError::MethodNotAllowed { allowed, .. } = error {
        put(&mut head, "allow", *allowed)?;
    }
    Ok(head)
}

const INVALID_NAME: GatewayError = GatewayError::Framing("A name in the answer's header is not valid HTTP.");

/// What every answer carries.
pub(super) fn header(
    record: &Record,
    status: u16,
    content_type: &'static str,
) -> Result<Box<ResponseHeader>, GatewayError> {
    let build = || -> pingora::Result<ResponseHeader> {
        let mut head = ResponseHeader::build_no_case(status, Some(16))?;
        head.insert_header("content-type", content_type)?;
        if let Some(model) = &record.model {
            head.insert_header("x-signalbox-model", model.name.as_str())?;
        }
        if let Some(deployment) = &record.deployment {
            head.insert_header("x-signalbox-deployment", deployment.id.as_str())?;
            head.insert_header("x-signalbox-attempts", record.attempts.to_string())?;
            head.insert_header("x-signalbox-fallback", if record.fallback { "true" } else { "false" })?;
        }
        if let Some(decision) = &record.routed {
            head.insert_header("x-signalbox-route", decision.text())?;
        }
        if let Some(mark) = record.cache {
            head.insert_header("x-signalbox-cache", mark.as_str())?;
            head.insert_header("cache-status", mark.status(record.coalesced))?;
            if let Mark::Hit { age, .. } | Mark::Stale { age, .. } | Mark::Semantic { age, .. } = mark {
                head.insert_header("age", age.to_string())?;
            }
        }
        add_own(&mut head, record)?;
        Ok(head)
    };
    build().map(Box::new).map_err(|_| INVALID_NAME)
}

/// The header of an answer that several requests share.
pub fn followed(shared: &ResponseHeader, record: &Record) -> Result<Box<ResponseHeader>, GatewayError> {
    let build = || -> pingora::Result<ResponseHeader> {
        let mut head = shared.clone();
        add_own(&mut head, record)?;
        if record.coalesced {
            head.insert_header("x-signalbox-coalesced", "true")?;
            if let Some(mark) = record.cache {
                head.insert_header("cache-status", mark.status(true))?;
            }
            // The one that asked first pays.
            if head.headers.contains_key("x-signalbox-cost-usd") {
                head.insert_header("x-signalbox-cost-usd", Micros(0).to_string())?;
            }
        }
        Ok(head)
    };
    build().map(Box::new).map_err(|_| INVALID_NAME)
}

/// What differs from one request to the next.
fn add_own(head: &mut ResponseHeader, record: &Record) -> pingora::Result<()> {
    head.insert_header("x-request-id", record.request_id.as_str())?;
    if record.client == providers::WireFormat::Anthropic {
        head.insert_header("request-id", record.request_id.as_str())?;
    }
    head.insert_header("x-signalbox-overhead-us", record.overhead().as_micros().to_string())?;
    if let Some(limits) = record.limits_left() {
        if let Some((limit, left)) = limits.requests {
            head.insert_header("x-ratelimit-limit-requests", limit.to_string())?;
            head.insert_header("x-ratelimit-remaining-requests", left.to_string())?;
        }
        if let Some((limit, left)) = limits.tokens {
            head.insert_header("x-ratelimit-limit-tokens", limit.to_string())?;
            head.insert_header("x-ratelimit-remaining-tokens", left.to_string())?;
        }
    }
    Ok(())
}

pub(super) fn put(
    head: &mut ResponseHeader,
    name: &'static str,
    value: impl TryInto<http::HeaderValue>,
) -> Result<(), GatewayError> {
    let value = value
        .try_into()
        .map_err(|_| GatewayError::Framing("A value in the answer's header is not valid HTTP."))?;
    head.insert_header(name, value)
        .map_err(|_| GatewayError::Framing("A value in the answer's header is not valid HTTP."))
}
