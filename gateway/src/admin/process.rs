//! What the process says of itself: metrics, health, readiness.

use std::time::Instant;

use http::StatusCode;

use super::call::Call;
use super::deployments;
use super::fault::Fault;
use super::reply::Reply;

pub(super) async fn metrics(call: Call) -> Result<Reply, Fault> {
    let app = &call.app;
    deployments::measure(&call.snapshot, app.metrics, Instant::now());
    if let Some(answers) = &app.answers {
        let shared = answers.shared.as_ref().map(|shared| shared.stats());
        app.metrics.cache.show(&answers.exact.stats(), shared);
        if let Some(semantic) = &answers.semantic {
            app.metrics.cache.show_semantic(&semantic.stats());
        }
    }
    app.metrics.log_dropped.set(i64::try_from(app.access_log.dropped()).unwrap_or(i64::MAX));
    let content_type = "text/plain; version=0.0.4; charset=utf-8";
    Ok(Reply::new(StatusCode::OK, content_type, app.metrics.expose()))
}

pub(super) async fn health(_: Call) -> Result<Reply, Fault> {
    Ok(Reply::text(StatusCode::OK, "ok\n"))
}

pub(super) async fn readiness(call: Call) -> Result<Reply, Fault> {
    Ok(if call.app.is_draining() {
        Reply::text(StatusCode::SERVICE_UNAVAILABLE, "draining\n")
    } else {
        Reply::text(StatusCode::OK, "ready\n")
    })
}
