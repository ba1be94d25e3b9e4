//! The admin listener: metrics, health and the admin API, for operators and their machines, never for clients.
//!
//! `routes` is the table of all paths; each resource is a file; `call` is what was sent, `fault` how one is refused.

mod admins;
mod audit;
mod cache;
mod cache_warm;
mod call;
mod caller;
mod contents;
mod credentials;
mod deployments;
mod erase;
mod explain;
mod fault;
mod identify;
mod keys;
mod ledger;
mod litellm;
mod login_gate;
mod openapi;
mod process;
mod reconcile;
mod reply;
mod reports;
mod requests;
mod route;
mod routes;
mod scope;
mod session;
mod site;
mod spend;
mod teams;
mod users;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Response, header};
use pingora::apps::http_app::ServeHttp;
use pingora::protocols::http::ServerSession;

use crate::app::App;
use crate::edge::GuessLimiter;
use crate::snapshot::Snapshot;

pub use openapi::document as openapi;

use call::Call;
use caller::Caller;
use fault::Fault;
use identify::{identify, nobody_can};
use login_gate::LoginGate;
use reply::Reply;
use route::{Access, Route};

/// The longest body, and the longest with answers in it.
const BODY: usize = 64 << 10;
const LONGEST_BODY: usize = 8 << 20;
/// How long it may take.
const BODY_TIME: Duration = Duration::from_secs(5);

/// Serves the admin listener.
pub struct Admin {
    app: Arc<App>,
    gate: Arc<LoginGate>,
}

impl Admin {
    /// For this process.
    pub fn new(app: Arc<App>) -> Self {
        Self { app, gate: Arc::default() }
    }

    async fn answer(&self, session: &mut ServerSession) -> Result<Reply, Fault> {
        let snapshot = self.app.snapshot.load_full();
        let head = session.req_header();
        let (headers, path) = (&head.headers, head.uri.path());
        let address = session.client_addr().and_then(|address| address.as_inet()).map(|it| it.ip());
        let (route, id) = match routes::find(&head.method, path) {
            Ok(found) => found,
            Err(methods) => {
                return Err(self.nothing_there(&snapshot, headers, address, path, &methods).await);
            }
        };
        let caller = self.caller(&snapshot, headers, address, route).await?;
        caller.admit(route)?;
        let (site, is_secure) = (site::site(headers), site::is_secure(headers));
        caller.guard(&head.method, site, headers.get("x-csrf-token").map(HeaderValue::as_bytes))?;
        let query = head.uri.query().unwrap_or_default().to_owned();
        let longest = if path == cache_warm::PATH { LONGEST_BODY } else { BODY };
        let body = read(session, longest).await?;
        let call = Call {
            app: self.app.clone(),
            snapshot,
            id,
            query,
            body,
            caller,
            address: address.map(|address| address.to_string()).unwrap_or_default(),
            site,
            is_secure,
            gate: self.gate.clone(),
        };
        (route.answer)(call).await
    }

    /// Who calls a route, or why nobody may.
    async fn caller(
        &self,
        snapshot: &Snapshot,
        headers: &HeaderMap,
        address: Option<IpAddr>,
        route: &Route,
    ) -> Result<Caller, Fault> {
        if route.access == Access::Anyone {
            return Ok(Caller::Anyone);
        }
        if let Some(caller) = identify(&self.app, snapshot, headers).await? {
            return Ok(caller);
        }
        let is_open = matches!(route.access, Access::Open | Access::OpenOwner);
        if is_open && nobody_can(&self.app, snapshot).await? {
            return Ok(Caller::Anyone);
        }
        Err(self.stranger(snapshot, headers, address))
    }

    /// Nobody is known by what was sent; an address that sends one wrong token after the other has to wait.
    fn stranger(&self, snapshot: &Snapshot, headers: &HeaderMap, address: Option<IpAddr>) -> Fault {
        let limit = snapshot.limits.failed_auth;
        if identify::has_token(headers) && self.app.guess_limiter.failed(address, limit) {
            let message = "Too many wrong tokens came from this address: wait, and send a right one.";
            return Fault::too_many(message, GuessLimiter::WINDOW);
        }
        no_token()
    }

    /// Who may not call the API is not told what it has.
    async fn nothing_there(
        &self,
        snapshot: &Snapshot,
        headers: &HeaderMap,
        address: Option<IpAddr>,
        path: &str,
        methods: &[&str],
    ) -> Fault {
        if path.starts_with("/api/") && snapshot.has_admin_token() {
            match identify(&self.app, snapshot, headers).await {
                Ok(Some(_)) => {}
                Ok(None) => return self.stranger(snapshot, headers, address),
                Err(fault) => return fault,
            }
        }
        if methods.is_empty() {
            return Fault::not_found(format!("There is nothing here. Known: {}", routes::known()));
        }
        Fault::method(&methods.join(", "))
    }
}

fn no_token() -> Fault {
    Fault::unauthorized(
        "Send `admin.token` of the configuration, a token of an account or a virtual key as `Authorization: Bearer \
         TOKEN`, or sign in: POST /api/v1/session. Without `admin.token` and accounts nothing may be changed or listed; \
         `signalbox admins create` makes an account.",
    )
}

async fn read(session: &mut ServerSession, longest: usize) -> Result<Bytes, Fault> {
    let collect = async {
        let mut body = BytesMut::new();
        // A client that breaks off has nobody to tell.
        while let Ok(Some(piece)) = session.read_request_body().await {
            if body.len() + piece.len() > longest {
                return Err(Fault::too_large(longest));
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
        headers.extend(reply.headers.into_iter().map(|(name, value)| (Some(name), value)));
        response
    }
}
