//! From an accepted connection to its requests: how many connections there may be, and how long each may
//! take to say what it wants. A request's own limits are the phases' business.

use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use pingora::apps::{HttpServerApp, ServerApp};
use pingora::protocols::http::ServerSession;
use pingora::protocols::l4::stream::Stream as PlainStream;
use pingora::protocols::{ALPN, Stream};
use pingora::proxy::HttpProxy;
use pingora::server::ShutdownWatch;
use tokio::io::AsyncReadExt;

use super::Edge;
use crate::app::App;

/// How HTTP/2 without TLS begins (RFC 9113, 3.4).
const H2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// How long a connection that was not announced to close waits for another request while the process ends.
const LINGER: Duration = Duration::from_secs(1);

tokio::task_local! {
    /// Whether the header of the request that this task serves has been read.
    static HEADER_READ: Cell<bool>;
}

/// The public listener's application: Pingora's proxy behind limits on connections.
pub struct FrontDoor {
    app: Arc<App>,
    proxy: Arc<HttpProxy<Edge>>,
}

impl FrontDoor {
    /// In front of this proxy.
    pub fn new(app: Arc<App>, proxy: HttpProxy<Edge>) -> Self {
        Self { app, proxy: Arc::new(proxy) }
    }

    /// The requests of one connection, one after the other. The first header must be here within
    /// `header_time` of the connection's opening, every other one within `idle_time` of the answer before
    /// it: whoever sends a header byte by byte is cut off like whoever sends nothing.
    async fn http1(&self, stream: Stream, shutdown: &ShutdownWatch) {
        let mut session = ServerSession::new_http1(stream);
        // Pingora asks for some time here; the one that counts is ours, below.
        session.set_keepalive(if *shutdown.borrow() { None } else { Some(0) });
        let mut time = self.app.snapshot.load().limits.header_time.0;
        loop {
            let serving = self.proxy.process_new_http(session, shutdown);
            let served = HEADER_READ.scope(Cell::new(false), in_time(time, serving)).await;
            let Some((mut stream, settings)) = served.map(|reused| reused.consume()) else { return };
            if self.app.is_closing() {
                let Some(with_request) = lingered(stream).await else { return };
                stream = with_request;
            }
            session = ServerSession::new_http1(stream);
            if let Some(settings) = settings {
                settings.apply_to_session(&mut session);
            }
            time = self.app.snapshot.load().limits.idle_time.0;
        }
    }
}

#[async_trait]
impl ServerApp for FrontDoor {
    async fn process_new(self: &Arc<Self>, stream: Stream, shutdown: &ShutdownWatch) -> Option<Stream> {
        let limits = self.app.snapshot.load().limits;
        let digest = stream.get_socket_digest();
        let address = digest.as_ref().and_then(|digest| Some(digest.peer_addr()?.as_inet()?.ip()));
        let Some(_connection) =
            self.app.connections.enter(address, limits.connections, limits.connections_per_address)
        else {
            self.app.metrics.overload.shed("connections");
            return None;
        };
        let is_http2 = stream.selected_alpn_proto() == Some(ALPN::H2);
        let (stream, is_http2) = if stream.as_any().is::<PlainStream>() {
            let stream = stream.into_any().downcast::<PlainStream>().ok()?;
            pingora_timeout::timeout(limits.header_time.0, begins_with_preface(stream)).await.ok()??
        } else {
            (stream, is_http2)
        };
        if is_http2 {
            return self.proxy.process_new(stream, shutdown).await;
        }
        self.http1(stream, shutdown).await;
        None
    }

    async fn cleanup(&self) {
        self.proxy.http_cleanup().await;
    }
}

/// Called as soon as a request's header is here. HTTP/2 has a task for each request, which nobody times.
pub(super) fn header_read() {
    let _ = HEADER_READ.try_with(|read| read.set(true));
}

/// Ends what it serves when the header is not read in time.
async fn in_time<T>(time: Duration, serving: impl Future<Output = Option<T>>) -> Option<T> {
    tokio::pin!(serving);
    tokio::select! {
        biased;
        served = &mut serving => return served,
        () = pingora_timeout::sleep(time) => {}
    }
    if HEADER_READ.with(Cell::get) { serving.await } else { None }
}

/// An answer that began before the process was asked to end has kept its connection open, and the client's next
/// request may be on its way; Pingora would no longer wait for it. None when there is none. With TLS nothing can be
/// read ahead, and Pingora decides.
async fn lingered(stream: Stream) -> Option<Stream> {
    if !stream.as_any().is::<PlainStream>() {
        return Some(stream);
    }
    let mut stream = stream.into_any().downcast::<PlainStream>().ok()?;
    let mut first = [0];
    match pingora_timeout::timeout(LINGER, stream.read(&mut first)).await {
        Ok(Ok(1)) => {
            stream.rewind(&first);
            Some(stream)
        }
        _ => None,
    }
}

/// Is it HTTP/2 without TLS? Pingora's own look waits for 24 bytes, which a short request has not.
async fn begins_with_preface(mut stream: Box<PlainStream>) -> Option<(Stream, bool)> {
    let mut seen = [0; H2_PREFACE.len()];
    let mut length = 0;
    while length < seen.len() && seen.get(..length) == H2_PREFACE.get(..length) {
        match stream.read(seen.get_mut(length..)?).await.ok()? {
            0 => break,
            read => length += read,
        }
    }
    stream.rewind(seen.get(..length)?);
    Some((stream, &seen[..] == H2_PREFACE))
}
