//! The raw pass-through of `/{provider}/…`: files, audio, anything the pipeline does not know. Pingora's
//! own upstream leg streams it; only the credential, the host and the path change.

use std::sync::Arc;
use std::time::{Duration, Instant};

use domain::FailureKind;
use http::{StatusCode, Uri, header};
use pingora::http::RequestHeader;
use pingora::upstreams::peer::HttpPeer;
use pingora::{Error, ErrorSource, ErrorType, Result};

use super::Downstream;
use super::metered::Metered;
use crate::app::App;
use crate::error::GatewayError;
use crate::keys::Principal;
use crate::phases::{admit, authenticate};
use crate::request::Record;
use crate::telemetry::TraceContext;
use crate::upstream::Deployment;

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

/// The provider that the path names, with one of its credentials, if the key may use it and can pay for it.
pub(super) async fn enter(
    app: &App,
    downstream: &Downstream<'_>,
    record: &mut Record,
) -> Result<(Arc<Deployment>, Metered), GatewayError> {
    let snapshot = app.snapshot.load_full();
    let path = downstream.path();
    let (name, rest) = split(path);
    if !snapshot.providers.contains_key(name) {
        return Err(GatewayError::UnknownPath {
            method: downstream.method().to_owned(),
            path: path.to_owned(),
        });
    }
    let principal = authenticate::run(app, &snapshot, downstream)?;
    record.principal = Some(principal.clone());
    if !principal.may_pass_through(name) {
        return Err(GatewayError::ModelNotAllowed { model: format!("{name}/*") });
    }
    if has_dot_segments(path) {
        return Err(GatewayError::Framing("The path has `.` or `..` in it: write it out."));
    }
    admit::run(app, &snapshot, &principal, record).await?;
    let chosen = choose(snapshot.direct(name), &principal, Instant::now()).cloned().ok_or_else(|| {
        let reason = "there is no credential for it that this key may use: its operator has to add one";
        GatewayError::UpstreamFailed { kind: FailureKind::Credential, reason: reason.to_owned() }
    })?;
    let length = downstream.header("content-length").and_then(|text| std::str::from_utf8(text).ok());
    let length = length.and_then(|text| text.trim().parse().ok()).unwrap_or(0);
    let metered = Metered::begin(snapshot.clone(), chosen.clone(), rest, length, record).await?;
    Ok((chosen, metered))
}

/// The provider's name, and the path below it.
fn split(path: &str) -> (&str, &str) {
    let path = path.trim_start_matches('/');
    path.split_once('/').unwrap_or((path, ""))
}

/// By weight, among those of the best priority that are not out; when all are out, among all.
fn choose<'a>(
    deployments: &'a [Arc<Deployment>],
    principal: &Principal,
    now: Instant,
) -> Option<&'a Arc<Deployment>> {
    let may_use = |it: &&Arc<Deployment>| it.weight > 0 && it.may_use(principal.credentials.as_deref());
    let mut usable: Vec<_> = deployments.iter().filter(may_use).collect();
    if usable.iter().any(|it| it.state.cooldown.may_admit(now)) {
        usable.retain(|it| it.state.cooldown.may_admit(now));
    }
    let best = usable.iter().map(|it| it.priority()).min()?;
    usable.retain(|it| it.priority() == best);
    let mut drawn = fastrand::u64(0..usable.iter().map(|it| u64::from(it.weight)).sum());
    usable.into_iter().find(|it| {
        let is_it = drawn < u64::from(it.weight);
        drawn = drawn.saturating_sub(u64::from(it.weight));
        is_it
    })
}

/// What an answer's status says of the credential that was used.
pub(super) fn observe(deployment: Option<&Deployment>, status: StatusCode) {
    let Some(deployment) = deployment.filter(|deployment| deployment.credential.is_some()) else { return };
    if status == StatusCode::UNAUTHORIZED {
        deployment.credential_refused(Instant::now());
    } else if status.is_success() {
        deployment.state.cooldown.succeeded();
    }
}

/// A path that leads out of the provider's base path must not reach it with our credential.
fn has_dot_segments(path: &str) -> bool {
    let decoded = path.replace("%2e", ".").replace("%2E", ".").replace("%2f", "/").replace("%2F", "/");
    decoded.split(['/', '\\']).any(|segment| segment == "." || segment == "..")
}

/// Where it goes.
pub(super) async fn peer(deployment: Option<&Deployment>) -> Result<Box<HttpPeer>> {
    let deployment = deployment.ok_or_else(|| Error::explain(ErrorType::InternalError, "no provider"))?;
    let found = tokio::time::timeout(CONNECT_TIMEOUT, deployment.provider.resolver.peer()).await;
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
    deployment: Option<&Deployment>,
    trace: Option<&TraceContext>,
) -> Result<()> {
    let deployment = deployment.ok_or_else(|| Error::explain(ErrorType::InternalError, "no provider"))?;
    let provider = &deployment.provider;
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
    let credential = deployment.credential.as_ref().and_then(|credential| credential.header.as_ref());
    for (name, value) in provider.headers.iter().chain(credential) {
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
        _ => GatewayError::UpstreamFailed { kind: FailureKind::Connect, reason },
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
