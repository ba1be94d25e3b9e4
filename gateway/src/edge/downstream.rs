//! The client's side of a request, as the phases see it: header, body, answer, and whether it is
//! still there.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderValue};
use pingora::http::ResponseHeader;
use pingora::proxy::Session;

use crate::app::App;
use crate::body_buffer::{BodyBuffer, TooLong};
use crate::client::Client;
use crate::contents::Capture;
use crate::error::GatewayError;
use crate::keys::Principal;
use crate::request::Record;

/// A larger rest, in bytes, is not worth reading.
const DRAIN_LIMIT: usize = 1 << 20;

/// How a client says that a request is not to be kept: ours, and Portkey's.
const NOT_TO_BE_KEPT: [(&str, &str); 2] =
    [("x-signalbox-store-prompts", "off"), ("x-portkey-debug", "false")];

/// One client request.
pub struct Downstream<'a> {
    session: &'a mut Session,
    app: &'a App,
    write_time: Duration,
    /// Hears what is said, of a key that wants it kept.
    capture: Option<Box<Capture>>,
}

impl<'a> Downstream<'a> {
    /// Wraps Pingora's session. A write may take no longer than `write_time`.
    pub(super) fn new(session: &'a mut Session, app: &'a App, write_time: Duration) -> Self {
        Self { session, app, write_time, capture: None }
    }

    /// What is said from here on is heard, if the key wants that kept.
    pub fn listen(&mut self, principal: &Arc<Principal>, record: &Record) {
        self.capture = self.begin_capture(principal, record);
    }

    /// Begins to hear what is said, if the key wants that kept, and its client does not say otherwise of this request.
    pub(super) fn begin_capture(&self, principal: &Arc<Principal>, record: &Record) -> Option<Box<Capture>> {
        if !principal.stores_prompts {
            return None;
        }
        let says = |(name, word): (&str, &str)| {
            self.header(name).is_some_and(|value| value.trim_ascii().eq_ignore_ascii_case(word.as_bytes()))
        };
        if NOT_TO_BE_KEPT.into_iter().any(says) {
            return None;
        }
        self.app.contents.begin(principal, &record.request_id, record.started)
    }

    /// Whoever heard what was said so far goes on.
    pub(super) fn capture(&mut self, capture: Option<Box<Capture>>) {
        self.capture = capture;
    }

    /// The method.
    pub fn method(&self) -> &str {
        self.session.downstream_session.req_header().method.as_str()
    }

    /// The path.
    pub fn path(&self) -> &str {
        self.session.downstream_session.req_header().uri.path()
    }

    /// The query, without its question mark.
    pub fn query(&self) -> Option<&str> {
        self.session.downstream_session.req_header().uri.query()
    }

    /// All headers.
    pub fn headers(&self) -> &HeaderMap {
        &self.session.downstream_session.req_header().headers
    }

    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        self.headers().get(name).map(HeaderValue::as_bytes)
    }

    /// The client's address.
    pub fn client_ip(&self) -> Option<IpAddr> {
        Some(self.session.downstream_session.client_addr()?.as_inet()?.ip())
    }

    /// True for HTTP/2.
    pub fn is_http2(&self) -> bool {
        self.session.downstream_session.is_http2()
    }

    /// What is wrong with the request on the wire. Two lengths for one body are how requests are
    /// smuggled past a proxy (RFC 9112, 11.2).
    pub(super) fn framing_fault(&self) -> Option<&'static str> {
        let headers = self.headers();
        let many = |name: header::HeaderName| headers.get_all(name).iter().nth(1).is_some();
        if headers.contains_key(header::CONTENT_LENGTH) && headers.contains_key(header::TRANSFER_ENCODING) {
            return Some("The request has both Content-Length and Transfer-Encoding: send one of them.");
        }
        if many(header::CONTENT_LENGTH) || many(header::HOST) {
            return Some("The request has Content-Length or Host more than once: send each once.");
        }
        if self.session.downstream_session.is_upgrade_req() {
            return Some("This gateway does not upgrade connections: send plain HTTP requests.");
        }
        None
    }

    /// Is the request's header longer than this, target included, or of more fields?
    pub(super) fn header_exceeds(&self, bytes: u64, fields: u32) -> bool {
        let head = self.session.downstream_session.req_header();
        let length = |(name, value): (&header::HeaderName, &HeaderValue)| {
            // A colon, a space and the line's end.
            name.as_str().len() + value.len() + 4
        };
        let target = head.raw_path().len();
        head.headers.len() > fields as usize
            || (target + head.headers.iter().map(length).sum::<usize>()) as u64 > bytes
    }

    /// The whole body.
    ///
    /// # Errors
    /// [`GatewayError::BodyTooLarge`], [`GatewayError::BodyTimeout`], [`GatewayError::ClientGone`].
    pub async fn read_body(&mut self, limit: u64, time: Duration) -> Result<Bytes, GatewayError> {
        let length = self
            .header("content-length")
            .and_then(|value| std::str::from_utf8(value).ok()?.parse::<u64>().ok());
        if length.is_some_and(|length| length > limit) {
            return Err(GatewayError::BodyTooLarge { limit });
        }
        let expects = self.header("expect").is_some_and(|value| value.eq_ignore_ascii_case(b"100-continue"));
        if expects && !self.is_http2() {
            let sent = self.session.downstream_session.write_continue_response().await;
            sent.map_err(|_| GatewayError::ClientGone)?;
        }
        let read = self.collect(limit, length.and_then(|length| usize::try_from(length).ok()));
        pingora_timeout::timeout(time, read).await.map_err(|_| GatewayError::BodyTimeout)?
    }

    async fn collect(&mut self, limit: u64, length: Option<usize>) -> Result<Bytes, GatewayError> {
        let mut body = BodyBuffer::new(usize::try_from(limit).unwrap_or(usize::MAX), length);
        loop {
            let chunk = self.session.downstream_session.read_request_body().await;
            let Some(chunk) = chunk.map_err(|_| GatewayError::ClientGone)? else { break };
            body.push(chunk).map_err(|TooLong| GatewayError::BodyTooLarge { limit })?;
        }
        let body = body.finish();
        if let Some(capture) = &mut self.capture {
            capture.prompt(&body);
        }
        Ok(body)
    }

    /// Closes the connection behind this answer.
    pub fn close_after(&mut self) {
        self.session.downstream_session.set_keepalive(None);
    }

    /// Reads what is left of the body within this time, or gives the connection up when that is too much.
    pub async fn drain(&mut self, time: Duration) {
        let session = &mut self.session.downstream_session;
        let rest = async {
            let mut drained = 0;
            while drained <= DRAIN_LIMIT {
                match session.read_request_body().await {
                    Ok(Some(chunk)) => drained += chunk.len(),
                    Ok(None) => return true,
                    Err(_) => return false,
                }
            }
            false
        };
        if !matches!(pingora_timeout::timeout(time, rest).await, Ok(true)) {
            self.close_after();
        }
    }
}

impl Client for Downstream<'_> {
    /// Resolves when the client has closed its connection or reset its stream. The body must have been read.
    async fn gone(&mut self) {
        while let Ok(Some(_)) = self.session.downstream_session.read_body_or_idle(true).await {}
    }

    fn has_answered(&self) -> bool {
        self.session.downstream_session.response_written().is_some_and(|head| !head.status.is_informational())
    }

    async fn write_head(&mut self, mut head: Box<ResponseHeader>, _: &Record) -> Result<(), GatewayError> {
        let is_chunked = !self.is_http2() && !head.headers.contains_key(header::CONTENT_LENGTH);
        if is_chunked && head.insert_header(header::TRANSFER_ENCODING, "chunked").is_err() {
            return Err(GatewayError::Framing("The answer's header has no room."));
        }
        if self.app.is_closing() {
            self.close_after();
        }
        self.session
            .downstream_session
            .write_response_header(head)
            .await
            .map_err(|_| GatewayError::ClientGone)
    }

    async fn write(&mut self, piece: Bytes, end: bool) -> Result<(), GatewayError> {
        if let Some(capture) = &mut self.capture {
            capture.answer(&piece);
        }
        // Pingora's own limit leaves the end of a body out.
        let written = self.session.downstream_session.write_response_body(piece, end);
        match pingora_timeout::timeout(self.write_time, written).await {
            Ok(Ok(())) => Ok(()),
            _ => Err(GatewayError::ClientGone),
        }
    }
}
