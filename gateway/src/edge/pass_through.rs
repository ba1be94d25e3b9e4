//! The raw pass-through of `/{provider}/…`: files, audio, anything the pipeline does not know. Pingora's
//! own upstream leg streams it; only the credential, the host and the path change.

use std::sync::Arc;
use std::time::Duration;

use http::{Uri, header};
use pingora::http::RequestHeader;
use pingora::upstreams::peer::HttpPeer;
use pingora::{Error, ErrorSource, ErrorType, Result};

use super::Downstream;
use super::metered::Metered;
use crate::app::App;
use crate::error::GatewayError;
use crate::phases::{admit, authenticate};
use crate::request::Record;
use crate::telemetry::TraceContext;
use crate::upstream::Provider;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const READ_TIMEOUT: Duration = Duration::from_secs(600);

/// What a client sends for us, or to fool whoever is behind us.
const STRIPPED: [&str; 9] = [
    "authorization",
    "x-api-key",
    "api-key",
    "x-goog-api-key",
    "cookie",
    "expect",
    "forwarded",
    "x-forwarded-for",
    "x-forwarded-host",
];

/// The provider that the path names, if the key may use it and can pay for it.
pub(super) async fn enter(
    app: &App,
    downstream: &Downstream<'_>,
    record: &mut Record,
) -> Result<(Arc<Provider>, Metered), GatewayError> {
    let snapshot = app.snapshot.load_full();
    let path = downstream.path();
    let (name, rest) = split(path);
    let Some(provider) = snapshot.providers.get(name) else {
        return Err(GatewayError::UnknownPath {
            method: downstream.method().to_owned(),
            path: path.to_owned(),
        });
    };
    let principal = authenticate::run(app, &snapshot, downstream)?;
    record.principal = Some(principal.clone());
    if !principal.may_pass_through(name) {
        return Err(GatewayError::ModelNotAllowed { model: format!("{name}/*") });
    }
    if has_dot_segments(path) {
        return Err(GatewayError::Framing("The path has `.` or `..` in it: write it out."));
    }
    admit::run(app, &snapshot, &principal, record).await?;
    let length = downstream.header("content-length").and_then(|text| std::str::from_utf8(text).ok());
    let length = length.and_then(|text| text.trim().parse().ok()).unwrap_or(0);
    let provider = provider.clone();
    let metered = Metered::begin(snapshot.clone(), provider.clone(), rest, length, record).await?;
    Ok((provider, metered))
}

/// The provider's name, and the path below it.
fn split(path: &str) -> (&str, &str) {
    let path = path.trim_start_matches('/');
    path.split_once('/').unwrap_or((path, ""))
}

/// A path that leads out of the provider's base path must not reach it with our credential.
fn has_dot_segments(path: &str) -> bool {
    let decoded = path.replace("%2e", ".").replace("%2E", ".").replace("%2f", "/").replace("%2F", "/");
    decoded.split(['/', '\\']).any(|segment| segment == "." || segment == "..")
}

/// Where it goes.
pub(super) async fn peer(provider: Option<&Provider>) -> Result<Box<HttpPeer>> {
    let provider = provider.ok_or_else(|| Error::explain(ErrorType::InternalError, "no provider"))?;
    let found = tokio::time::timeout(CONNECT_TIMEOUT, provider.resolver.peer()).await;
    let found = found.map_err(|_| Error::explain(ErrorType::ConnectTimedout, "name resolution"))?;
    let peer = found.map_err(|reason| Error::explain(ErrorType::ConnectError, reason))?;
    let mut peer = Box::new(HttpPeer::clone(&peer));
    peer.options.connection_timeout = Some(CONNECT_TIMEOUT);
    peer.options.total_connection_timeout = Some(CONNECT_TIMEOUT);
    peer.options.read_timeout = Some(READ_TIMEOUT);
    peer.options.write_timeout = Some(READ_TIMEOUT);
    Ok(peer)
}

/// What it says.
pub(super) fn rewrite(
    client: &RequestHeader,
    upstream: &mut RequestHeader,
    provider: Option<&Provider>,
    trace: Option<&TraceContext>,
) -> Result<()> {
    let provider = provider.ok_or_else(|| Error::explain(ErrorType::InternalError, "no provider"))?;
    for name in STRIPPED {
        upstream.remove_header(name);
    }
    let (_, rest) = split(client.uri.path());
    // The base URL has the version in it already, and clients are used to writing it too.
    let rest =
        if provider.origin.path.ends_with("/v1") { rest.strip_prefix("v1/").unwrap_or(rest) } else { rest };
    let path = provider.path(&format!("/{rest}"), client.uri.query());
    let uri: Uri = path.parse().map_err(|_| Error::explain(ErrorType::InvalidHTTPHeader, "path"))?;
    upstream.set_uri(uri);
    for (name, value) in &provider.headers {
        upstream.insert_header(name, value)?;
    }
    if let Some(value) = trace.and_then(TraceContext::child_header) {
        upstream.insert_header("traceparent", value)?;
    }
    upstream.insert_header(header::ACCEPT_ENCODING, "identity")
}

/// How Pingora's failure looks to the client.
pub(super) fn failure(error: &Error) -> GatewayError {
    if *error.esource() == ErrorSource::Downstream {
        return GatewayError::ClientGone;
    }
    let reason = format!("the provider could not be reached ({})", error.etype().as_str());
    match error.etype() {
        ErrorType::ReadTimedout | ErrorType::ConnectTimedout | ErrorType::WriteTimedout => {
            GatewayError::UpstreamTimeout { reason }
        }
        _ => GatewayError::UpstreamFailed { kind: domain::FailureKind::Connect, reason },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_that_climb_are_found_however_they_are_written() {
        for path in ["/p/../x", "/p/./x", "/p/%2e%2e/x", "/p/a%2f..%2fb", "/p/..\\x"] {
            assert!(has_dot_segments(path), "{path}");
        }
        assert!(!has_dot_segments("/p/v1/files/file-a..b.txt"));
    }
}
