//! The admin listener: metrics and health, for operators and their machines, never for clients.

mod deployments;
mod spend;

use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use http::{HeaderValue, Response, StatusCode, Uri, header};
use pingora::apps::http_app::ServeHttp;
use pingora::protocols::http::ServerSession;

use crate::app::App;

/// Serves `/metrics`, `/healthz`, `/readyz` and the admin API below `/api`, which may ask for a token.
pub struct Admin {
    app: Arc<App>,
}

impl Admin {
    /// For this process.
    pub fn new(app: Arc<App>) -> Self {
        Self { app }
    }

    async fn answer(
        &self,
        method: &str,
        uri: &Uri,
        authorization: Option<&[u8]>,
    ) -> (StatusCode, &'static str, Vec<u8>) {
        let plain = "text/plain; charset=utf-8";
        if method != "GET" && method != "HEAD" {
            return (StatusCode::METHOD_NOT_ALLOWED, plain, b"GET only\n".to_vec());
        }
        let (path, snapshot) = (uri.path(), self.app.snapshot.load_full());
        if path.starts_with("/api/") && !snapshot.admits_admin(authorization) {
            let text = b"send admin.token as `Authorization: Bearer TOKEN`\n";
            return (StatusCode::UNAUTHORIZED, plain, text.to_vec());
        }
        match path {
            "/api/v1/deployments" => {
                (StatusCode::OK, "application/json", deployments::list(&snapshot, Instant::now()))
            }
            "/api/v1/spend" => {
                let (status, body) = spend::of(&self.app, uri.query()).await;
                (status, "application/json", body)
            }
            "/metrics" => {
                deployments::measure(&snapshot, self.app.metrics, Instant::now());
                let dropped = i64::try_from(self.app.access_log.dropped()).unwrap_or(i64::MAX);
                self.app.metrics.log_dropped.set(dropped);
                (StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", self.app.metrics.expose())
            }
            "/healthz" => (StatusCode::OK, plain, b"ok\n".to_vec()),
            "/readyz" if self.app.is_draining() => {
                (StatusCode::SERVICE_UNAVAILABLE, plain, b"draining\n".to_vec())
            }
            "/readyz" => (StatusCode::OK, plain, b"ready\n".to_vec()),
            _ => (
                StatusCode::NOT_FOUND,
                plain,
                b"known: /metrics /healthz /readyz /api/v1/deployments /api/v1/spend?key=NAME\n".to_vec(),
            ),
        }
    }
}

#[async_trait]
impl ServeHttp for Admin {
    async fn response(&self, session: &mut ServerSession) -> Response<Vec<u8>> {
        let head = session.req_header();
        let authorization = head.headers.get(header::AUTHORIZATION).map(HeaderValue::as_bytes);
        let (status, content_type, body) = self.answer(head.method.as_str(), &head.uri, authorization).await;
        let length = body.len();
        let mut response = Response::new(body);
        *response.status_mut() = status;
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(length));
        response
    }
}
