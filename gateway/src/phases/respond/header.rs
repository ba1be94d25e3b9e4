//! The headers of answers and errors.

use domain::Micros;
use http::header::{
    AGE, ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER,
};
use http::response::Parts;
use pingora::http::ResponseHeader;

use crate::answer_cache::Mark;
use crate::error::{GatewayError, seconds};
use crate::request::Record;

pub(super) fn stream_header(record: &Record) -> Result<Parts, GatewayError> {
    let mut head = header(record, 200, "text/event-stream; charset=utf-8")?;
    put(&mut head, &CACHE_CONTROL, "no-cache")?;
    // nginx, and everything that copies it, would buffer the stream otherwise.
    put(&mut head, &ACCEL_BUFFERING, "no")?;
    Ok(head)
}

pub(super) fn error_header(
    record: &Record,
    error: &GatewayError,
    status: u16,
    length: usize,
) -> Result<Parts, GatewayError> {
    let mut head = header(record, status, "application/json")?;
    put(&mut head, &CONTENT_LENGTH, length)?;
    if let Some(wait) = error.retry_after() {
        put(&mut head, &RETRY_AFTER, seconds(wait))?;
        put(&mut head, &RETRY_AFTER_MS, wait.as_millis().to_string())?;
    }
    if !error.may_be_retried() {
        put(&mut head, &SHOULD_RETRY, "false")?;
    }
    if let GatewayError::MethodNotAllowed { allowed, .. } = error {
        put(&mut head, &ALLOW, *allowed)?;
    }
    Ok(head)
}

const INVALID: GatewayError = GatewayError::Framing("A value in the answer's header is not valid HTTP.");

// Our own names. They are put into a map of `http`'s: pingora's own insertion reads a name anew for each answer.
static MODEL: HeaderName = HeaderName::from_static("x-signalbox-model");
static DEPLOYMENT: HeaderName = HeaderName::from_static("x-signalbox-deployment");
static ATTEMPTS: HeaderName = HeaderName::from_static("x-signalbox-attempts");
static FALLBACK: HeaderName = HeaderName::from_static("x-signalbox-fallback");
static ROUTE: HeaderName = HeaderName::from_static("x-signalbox-route");
static CACHE: HeaderName = HeaderName::from_static("x-signalbox-cache");
static CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");
static REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
static ANTHROPIC_REQUEST_ID: HeaderName = HeaderName::from_static("request-id");
pub(super) static COST: HeaderName = HeaderName::from_static("x-signalbox-cost-usd");
pub(super) static COALESCED: HeaderName = HeaderName::from_static("x-signalbox-coalesced");
static ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");
static RETRY_AFTER_MS: HeaderName = HeaderName::from_static("retry-after-ms");
static SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");
static OVERHEAD: HeaderName = HeaderName::from_static("x-signalbox-overhead-us");
static LIMIT_REQUESTS: HeaderName = HeaderName::from_static("x-ratelimit-limit-requests");
static REMAINING_REQUESTS: HeaderName = HeaderName::from_static("x-ratelimit-remaining-requests");
static LIMIT_TOKENS: HeaderName = HeaderName::from_static("x-ratelimit-limit-tokens");
static REMAINING_TOKENS: HeaderName = HeaderName::from_static("x-ratelimit-remaining-tokens");

/// As many as most answers have.
const USUAL_HEADERS: usize = 16;

/// What every answer carries.
pub(super) fn header(
    record: &Record,
    status: u16,
    content_type: &'static str,
) -> Result<Parts, GatewayError> {
    let build = || -> Result<Parts, http::Error> {
        let (mut head, ()) = http::Response::builder().status(status).body(())?.into_parts();
        head.headers = HeaderMap::with_capacity(USUAL_HEADERS);
        let headers = &mut head.headers;
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        if let Some(model) = &record.model {
            headers.insert(&MODEL, model.name.as_str().parse()?);
        }
        if let Some(deployment) = &record.deployment {
            headers.insert(&DEPLOYMENT, deployment.id.as_str().parse()?);
            headers.insert(&ATTEMPTS, record.attempts.into());
            let fallback = if record.fallback { "true" } else { "false" };
            headers.insert(&FALLBACK, HeaderValue::from_static(fallback));
        }
        if let Some(decision) = &record.routed {
            headers.insert(&ROUTE, decision.text().parse()?);
        }
        if let Some(mark) = record.cache {
            headers.insert(&CACHE, HeaderValue::from_static(mark.as_str()));
            headers.insert(&CACHE_STATUS, mark.status(record.coalesced).try_into()?);
            if let Mark::Hit { age, .. } | Mark::Stale { age, .. } | Mark::Semantic { age, .. } = mark {
                headers.insert(AGE, age.into());
            }
        }
        add_own(headers, record)?;
        Ok(head)
    };
    build().map_err(|_| INVALID)
}

/// The header of an answer that several requests share.
pub fn followed(shared: &ResponseHeader, record: &Record) -> Result<Box<ResponseHeader>, GatewayError> {
    let build = || -> Result<ResponseHeader, http::Error> {
        let mut head = Parts::from(shared.clone());
        add_own(&mut head.headers, record)?;
        if record.coalesced {
            head.headers.insert(&COALESCED, HeaderValue::from_static("true"));
            if let Some(mark) = record.cache {
                head.headers.insert(&CACHE_STATUS, mark.status(true).try_into()?);
            }
            // The one that asked first pays.
            if let Some(cost) = head.headers.get_mut(&COST) {
                *cost = Micros(0).to_string().try_into()?;
            }
        }
        Ok(head.into())
    };
    build().map(Box::new).map_err(|_| INVALID)
}

/// What differs from one request to the next.
fn add_own(headers: &mut HeaderMap, record: &Record) -> Result<(), http::Error> {
    headers.insert(&REQUEST_ID, record.request_id.parse()?);
    if record.client == providers::WireFormat::Anthropic {
        headers.insert(&ANTHROPIC_REQUEST_ID, record.request_id.parse()?);
    }
    let overhead = u64::try_from(record.overhead().as_micros()).unwrap_or(u64::MAX);
    headers.insert(&OVERHEAD, overhead.into());
    if let Some(limits) = record.limits_left() {
        if let Some((limit, left)) = limits.requests {
            headers.insert(&LIMIT_REQUESTS, limit.into());
            headers.insert(&REMAINING_REQUESTS, left.into());
        }
        if let Some((limit, left)) = limits.tokens {
            headers.insert(&LIMIT_TOKENS, limit.into());
            headers.insert(&REMAINING_TOKENS, left.into());
        }
    }
    Ok(())
}

pub(super) fn put(
    head: &mut Parts,
    name: &'static HeaderName,
    value: impl TryInto<HeaderValue>,
) -> Result<(), GatewayError> {
    head.headers.insert(name, value.try_into().map_err(|_| INVALID)?);
    Ok(())
}
