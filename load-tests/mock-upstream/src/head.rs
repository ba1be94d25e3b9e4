//! A request's head: start line and the few headers the mock acts upon.
//!
//! Owns the framing rules (RFC 9112, section 6). Positions point into the connection's inbox, so that
//! the body can be read behind the head without copying it.

use std::mem::MaybeUninit;
use std::ops::Range;

/// Heads above this are refused with 431.
pub(crate) const MAX_HEAD_BYTES: usize = 64 << 10;
/// Bodies above this are refused with 413.
pub(crate) const MAX_BODY_BYTES: usize = 64 << 20;
const MAX_HEADERS: usize = 128;

/// How the body is delimited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    Length(usize),
    Chunked,
}

/// Why a head cannot be served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HeadError {
    /// Not HTTP, or both lengths at once.
    Malformed,
    /// More than [`MAX_HEAD_BYTES`] or too many headers.
    TooLarge,
    /// The announced body is above [`MAX_BODY_BYTES`].
    BodyTooLarge,
}

/// One parsed head. All ranges are positions from the start of the request.
#[derive(Clone, Debug)]
pub(crate) struct Head {
    pub(crate) bytes: usize,
    pub(crate) framing: Framing,
    pub(crate) keep_alive: bool,
    pub(crate) http_10: bool,
    pub(crate) expects_continue: bool,
    pub(crate) anthropic_version: bool,
    method: Range<usize>,
    target: Range<usize>,
    mock: Option<Range<usize>>,
    authorization: Option<Range<usize>>,
    api_key: Option<Range<usize>>,
}

impl Head {
    /// `Ok(None)`: more bytes are needed.
    pub(crate) fn parse(inbox: &[u8]) -> Result<Option<Self>, HeadError> {
        // Not initialised: clearing 4 KiB for each request shows in the profile.
        let mut headers = [const { MaybeUninit::uninit() }; MAX_HEADERS];
        let mut request = httparse::Request::new(&mut []);
        let bytes = match request.parse_with_uninit_headers(inbox, &mut headers) {
            Ok(httparse::Status::Complete(bytes)) => bytes,
            Ok(httparse::Status::Partial) if inbox.len() > MAX_HEAD_BYTES => return Err(HeadError::TooLarge),
            Ok(httparse::Status::Partial) => return Ok(None),
            Err(httparse::Error::TooManyHeaders) => return Err(HeadError::TooLarge),
            Err(_) => return Err(HeadError::Malformed),
        };
        let (Some(method), Some(target), Some(version)) = (request.method, request.path, request.version)
        else {
            return Err(HeadError::Malformed);
        };
        let http_10 = version == 0;
        let mut head = Self {
            bytes,
            framing: Framing::Length(0),
            keep_alive: !http_10,
            http_10,
            expects_continue: false,
            anthropic_version: false,
            method: position(inbox, method.as_bytes()),
            target: position(inbox, target.as_bytes()),
            mock: None,
            authorization: None,
            api_key: None,
        };
        head.framing = head.read_headers(inbox, request.headers)?;
        Ok(Some(head))
    }

    fn read_headers(&mut self, inbox: &[u8], headers: &[httparse::Header<'_>]) -> Result<Framing, HeadError> {
        let mut length = None;
        let mut chunked = false;
        for header in headers {
            let name = header.name;
            let is = |wanted: &str| name.eq_ignore_ascii_case(wanted);
            // The length of the name decides first: most headers are none of these.
            match name.len() {
                14 if is("content-length") => {
                    let stated = parse_length(header.value)?;
                    if length.is_some_and(|other| other != stated) {
                        return Err(HeadError::Malformed);
                    }
                    length = Some(stated);
                }
                17 if is("transfer-encoding") => {
                    if !header.value.eq_ignore_ascii_case(b"chunked") {
                        return Err(HeadError::Malformed);
                    }
                    chunked = true;
                }
                10 if is("connection") => {
                    if header.value.eq_ignore_ascii_case(b"close") {
                        self.keep_alive = false;
                    } else if header.value.eq_ignore_ascii_case(b"keep-alive") {
                        self.keep_alive = true;
                    }
                }
                6 if is("expect") => {
                    self.expects_continue = header.value.eq_ignore_ascii_case(b"100-continue");
                }
                6 if is("x-mock") => self.mock = Some(position(inbox, header.value)),
                13 if is("authorization") => self.authorization = Some(position(inbox, header.value)),
                7 if is("api-key") => self.api_key = Some(position(inbox, header.value)),
                9 if is("x-api-key") => self.api_key = Some(position(inbox, header.value)),
                17 if is("anthropic-version") => self.anthropic_version = true,
                _ => {}
            }
        }
        match (length, chunked) {
            // Two lengths are how requests are smuggled (RFC 9112, section 6.1).
            (Some(_), true) => Err(HeadError::Malformed),
            (None, true) => Ok(Framing::Chunked),
            (Some(length), false) if length > MAX_BODY_BYTES => Err(HeadError::BodyTooLarge),
            (length, false) => Ok(Framing::Length(length.unwrap_or(0))),
        }
    }

    pub(crate) fn method<'a>(&self, inbox: &'a [u8]) -> &'a str {
        text(inbox, &self.method)
    }

    /// Path and query as sent.
    pub(crate) fn target<'a>(&self, inbox: &'a [u8]) -> &'a str {
        text(inbox, &self.target)
    }

    /// The `x-mock` header.
    pub(crate) fn mock<'a>(&self, inbox: &'a [u8]) -> Option<&'a str> {
        self.mock.as_ref().map(|range| text(inbox, range))
    }

    /// The presented credential, whichever header carries it.
    pub(crate) fn credential<'a>(&self, inbox: &'a [u8]) -> Option<&'a str> {
        if let Some(range) = &self.api_key {
            return Some(text(inbox, range));
        }
        let value = text(inbox, self.authorization.as_ref()?);
        Some(value.strip_prefix("Bearer ").unwrap_or(value))
    }

    /// Every header in the order of arrival; a value that is not UTF-8 loses what is not.
    pub(crate) fn all_headers(inbox: &[u8]) -> Vec<(String, String)> {
        let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let mut request = httparse::Request::new(&mut headers);
        match request.parse(inbox) {
            Ok(_) => request.headers.iter().map(owned).collect(),
            Err(_) => Vec::new(),
        }
    }
}

fn owned(header: &httparse::Header<'_>) -> (String, String) {
    (header.name.to_owned(), String::from_utf8_lossy(header.value).into_owned())
}

fn parse_length(value: &[u8]) -> Result<usize, HeadError> {
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return Err(HeadError::Malformed);
    }
    // Digits that overflow are a body that is too large, not a malformed head.
    std::str::from_utf8(value).ok().and_then(|digits| digits.parse().ok()).ok_or(HeadError::BodyTooLarge)
}

/// Where `part`, which httparse borrowed from `inbox`, stands in it.
fn position(inbox: &[u8], part: &[u8]) -> Range<usize> {
    let start = (part.as_ptr() as usize).saturating_sub(inbox.as_ptr() as usize);
    start..start + part.len()
}

fn text<'a>(inbox: &'a [u8], range: &Range<usize>) -> &'a str {
    inbox.get(range.clone()).and_then(|bytes| std::str::from_utf8(bytes).ok()).unwrap_or("")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Option<Head>, HeadError> {
        Head::parse(text.as_bytes())
    }

    #[test]
    fn a_head_that_is_not_complete_asks_for_more() {
        assert!(parse("POST /v1/chat/completions HTTP/1.1\r\nContent-Le").unwrap().is_none());
    }

    #[test]
    fn a_head_with_both_lengths_is_refused() {
        let text = "POST / HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n";
        assert_eq!(parse(text).unwrap_err(), HeadError::Malformed);
    }

    #[test]
    fn two_different_content_lengths_are_refused() {
        let text = "POST / HTTP/1.1\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\n";
        assert_eq!(parse(text).unwrap_err(), HeadError::Malformed);
    }

    #[test]
    fn a_body_above_64_mib_is_refused_before_it_is_read() {
        let text = "POST / HTTP/1.1\r\nContent-Length: 67108865\r\n\r\n";
        assert_eq!(parse(text).unwrap_err(), HeadError::BodyTooLarge);
    }

    #[test]
    fn the_credential_is_found_in_each_header_that_may_carry_it() {
        for line in ["Authorization: Bearer k1", "x-api-key: k1", "Api-Key: k1"] {
            let text = format!("GET /v1/models HTTP/1.1\r\n{line}\r\n\r\n");
            let head = parse(&text).unwrap().unwrap();
            assert_eq!(head.credential(text.as_bytes()), Some("k1"), "{line}");
            assert_eq!(head.target(text.as_bytes()), "/v1/models");
        }
    }
}
