//! The admin listener: metrics, health and the admin API, for operators and their machines, never for clients.
//!
//! `routes` is the table of all paths; each resource is a file; `call` is what was sent, `fault` how one is refused.

mod audit;
mod call;
mod caller;
mod credentials;
mod deployments;
mod fault;
mod keys;
mod litellm;
mod openapi;
mod process;
mod reconcile;
mod reply;
mod reports;
mod route;
mod routes;
mod spend;
mod teams;
mod users;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use http::{HeaderValue, Response, header};
use pingora::apps::http_app::ServeHttp;
use pingora::protocols::http::ServerSession;

use crate::app::App;

pub use openapi::document as openapi;

use call::Call;
use caller::Caller;
use fault::Fault;
use reply::Reply;
use route::Access;

/// The longest body.
const BODY: usize = 64 << 10;
/// How long it may take.
const BODY_TIME: Duration = Duration::from_secs(5);

/// Serves the admin listener.
pub struct Admin {
    app: Arc<App>,
}

impl Admin {
    /// For this process.
    pub fn new(app: Arc<App>) -> Self {
        Self { app }
    }

    async fn answer(&self, session: &mut ServerSession) -> Result<Reply, Fault> {
        let snapshot = self.app.snapshot.load_full();
        let head = session.req_header();
        let path = head.uri.path();
        let authorization = head.headers.get(header::AUTHORIZATION).map(HeaderValue::as_bytes);
        let (route, id) = match routes::find(&head.method, path) {
            Ok(found) => found,
            // Who may not call the API is not told what it has.
            Err(_) if path.starts_with("/api/") && !snapshot.admits_admin(authorization) => {
                return Err(no_token());
            }
            Err(methods) if methods.is_empty() => {
                return Err(Fault::not_found(format!("There is nothing here. Known: {}", routes::known())));
            }
            Err(methods) => return Err(Fault::method(&methods.join(", "))),
        };
        let caller = match (route.access, snapshot.has_admin_token()) {
            (Access::Anyone, _) | (Access::Open, false) => Caller::Anyone,
            (_, false) => {
                let message =
                    "Set `admin.token` in the configuration: without it nothing may be changed or listed.";
                return Err(Fault::unauthorized(message));
            }
            (_, true) if snapshot.admits_admin(authorization) => Caller::Root,
            (_, true) => return Err(no_token()),
        };
        let query = head.uri.query().unwrap_or_default().to_owned();
        let address =
            session.client_addr().and_then(|address| address.as_inet()).map(|it| it.ip().to_string());
        let body = read(session).await?;
        let call = Call {
            app: self.app.clone(),
            snapshot,
            id,
            query,
            body,
            caller,
            address: address.unwrap_or_default(),
        };
        (route.answer)(call).await
    }
}

fn no_token() -> Fault {
    Fault::unauthorized("Send admin.token as `Authorization: Bearer TOKEN`.")
}

async fn read(session: &mut ServerSession) -> Result<Bytes, Fault> {
    let collect = async {
        let mut body = BytesMut::new();
        // A client that breaks off has nobody to tell.
        while let Ok(Some(piece)) = session.read_request_body().await {
            if body.len() + piece.len() > BODY {
                return Err(Fault::too_large(BODY));
            }
            body.extend_from_slice(&piece);
        }
        Ok(body.freeze())
    };
    let read = tokio::time::timeout(BODY_TIME, collect).await.unwrap_or_else(|_| Err(Fault::too_slow()));
    if read.is_err() {
        // The rest of the body would be taken for a request.
        session.set_keepalive(None);
    }
    read
}

#[async_trait]
impl ServeHttp for Admin {
    async fn response(&self, session: &mut ServerSession) -> Response<Vec<u8>> {
        let is_head = session.req_header().method == http::Method::HEAD;
        let reply = self.answer(session).await.unwrap_or_else(|fault| fault.reply());
        let length = reply.body.len();
        let mut response = Response::new(if is_head { Vec::new() } else { reply.body });
        *response.status_mut() = reply.status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(reply.content_type));
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
        // Answers hold keys and figures: no cache may keep them.
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    }
}
