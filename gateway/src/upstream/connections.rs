//! Connections to providers: idle ones taken or new ones made by Pingora, and given back. A request goes out as one write:
//! Pingora's own client flushes the header before it has the body, and for the second packet the provider wakes up a
//! second time.

use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use pingora::connectors::{ConnectorOptions, TransportConnector};
use pingora::http::RequestHeader;
use pingora::protocols::Stream;
use pingora::protocols::http::v1::client::{HttpSession, http_req_header_to_wire};
use pingora::upstreams::peer::{HttpPeer, Peer};
use pingora::{Error, ErrorType, OrErr};
use tokio::io::AsyncWriteExt;

use super::idle::Idle;
use super::resolve::IDLE_CONNECTION;

/// A longer body is not copied behind the header, and costs another packet anyway.
const ONE_WRITE: usize = 16 << 10;

/// The connections of all providers.
pub struct Connections {
    connector: TransportConnector,
    idle: Idle,
}

impl Connections {
    /// Keeps so many idle ones for each worker thread.
    pub fn new(idle: usize) -> Self {
        let connector = TransportConnector::new(Some(ConnectorOptions::new(idle)));
        Self { connector, idle: Idle::new(idle, IDLE_CONNECTION) }
    }

    /// A connection, and whether it has served before.
    ///
    /// # Errors
    /// When none can be made.
    pub(super) async fn get(&self, peer: &HttpPeer) -> Result<(Stream, bool), Box<Error>> {
        match self.idle.take(peer.reuse_hash()) {
            Some(stream) => Ok((stream, true)),
            // Boxed: what it takes to connect is large, and every future around it would be copied with it.
            None => Ok((Box::pin(self.connector.new_stream(peer)).await?, false)),
        }
    }

    /// Takes a connection back whose answer was read to its end; any other is closed.
    pub(super) async fn release(&self, mut session: Box<HttpSession>, peer: &HttpPeer) {
        session.respect_keepalive();
        if let Some(stream) = session.reuse().await {
            self.idle.keep(peer.reuse_hash(), stream);
        }
    }

    /// Closes idle connections that are too old or that their provider has closed. To be called every second.
    pub fn sweep(&self) {
        self.idle.sweep();
    }
}

/// Sends a request whose header names the body's length; the session reads the answer.
///
/// # Errors
/// `WriteTimedout` when the provider does not take it within `limit`, `WriteError` when the connection is broken.
pub(super) async fn send(
    mut stream: Stream,
    peer: &HttpPeer,
    header: &RequestHeader,
    body: &Bytes,
    limit: Duration,
) -> Result<Box<HttpSession>, Box<Error>> {
    let mut head = http_req_header_to_wire(header)
        .ok_or_else(|| Error::explain(ErrorType::InvalidHTTPHeader, "the request line is not valid HTTP"))?;
    let written = pingora_timeout::timeout(limit, write(&mut stream, &mut head, body)).await;
    written
        .map_err(|_| Error::explain(ErrorType::WriteTimedout, "while writing the request"))?
        .or_err(ErrorType::WriteError, "while writing the request")?;
    // A session is large, and goes from hand to hand.
    Ok(Box::new(HttpSession::new_with_options(stream, peer)))
}

async fn write(stream: &mut Stream, head: &mut BytesMut, body: &Bytes) -> std::io::Result<()> {
    if body.len() <= ONE_WRITE {
        head.put_slice(body);
        stream.write_all(head).await?;
    } else {
        stream.write_all(head).await?;
        stream.write_all(body).await?;
    }
    stream.flush().await
}
