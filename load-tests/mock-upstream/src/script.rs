//! An answer compiled to bytes, pauses and faults.
//!
//! Owns the response heads and the faults of whole answers. It must not touch a socket: `downstream`
//! performs what is written here, and knows nothing of formats.

use std::io::Write;
use std::time::{Duration, SystemTime};

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::behaviour::Fault;
use crate::digits::{push_decimal, push_hexadecimal};
use crate::request::{Context, Format};

/// One act of a script. `Write` ends are positions in [`Script::bytes`], in rising order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Wait(Duration),
    Write {
        end: usize,
        content: bool,
    },
    /// RST: SO_LINGER 0, then close.
    Reset,
    /// FIN, then close.
    Close,
    /// Nothing more until the other side closes.
    Hang,
}

/// What is to be sent. No steps: all bytes in one write.
#[derive(Debug, Default)]
pub(crate) struct Script {
    pub(crate) bytes: Vec<u8>,
    pub(crate) steps: Vec<Step>,
    /// The most bytes of one write.
    pub(crate) split: Option<usize>,
    /// A pause after each write of one byte.
    pub(crate) drip: Option<Duration>,
    pub(crate) keep_alive: bool,
    pub(crate) stream: bool,
}

/// A whole answer before faults.
pub(crate) struct Whole {
    pub(crate) status: u16,
    pub(crate) content_type: &'static str,
    pub(crate) body: Vec<u8>,
}

impl Whole {
    pub(crate) fn json(status: u16, body: Vec<u8>) -> Self {
        Self { status, content_type: "application/json", body }
    }
}

const BIG_HEADER_BYTES: usize = 128 << 10;
/// What a TLS alert looks like to a client that speaks HTTP.
const GARBAGE: &[u8] = b"\x15\x03\x03\x00\x02\x02\x28 this is not HTTP\r\n\r\n";

const OPENAI_HEADERS: &str = "openai-organization: mock\r\nopenai-version: 2020-10-01\r\n\
    openai-processing-ms: 1\r\nx-ratelimit-limit-requests: 10000\r\nx-ratelimit-limit-tokens: 2000000\r\n\
    x-ratelimit-reset-requests: 6ms\r\nx-ratelimit-reset-tokens: 1ms\r\n";
const ANTHROPIC_HEADERS: &str = "anthropic-organization-id: mock\r\n\
    anthropic-ratelimit-requests-limit: 10000\r\nanthropic-ratelimit-requests-reset: 2030-01-01T00:00:00Z\r\n\
    anthropic-ratelimit-tokens-limit: 2000000\r\nanthropic-ratelimit-tokens-reset: 2030-01-01T00:00:00Z\r\n";

impl Script {
    /// Compiles an answer that is not a stream.
    pub(crate) fn whole(context: &Context<'_>, whole: Whole, out: Vec<u8>) -> Self {
        let mut script = Self::begin(context, out);
        let behaviour = &context.behaviour;
        if script.prelude(context, behaviour.ttft.unwrap_or_default()) {
            return script;
        }
        let mut body = whole.body;
        if behaviour.fault == Some(Fault::Malformed) {
            body.truncate(body.len() / 2);
        }
        if behaviour.gzip {
            body = gzip(&body);
        }
        context.write_head(&mut script.bytes, whole.status, whole.content_type);
        script.bytes.extend_from_slice(b"content-length: ");
        push_decimal(&mut script.bytes, body.len() as u64);
        script.bytes.extend_from_slice(b"\r\n\r\n");
        let cut =
            behaviour.truncate || (behaviour.fault.is_some_and(Fault::cuts) && behaviour.after.is_some());
        let sent = if cut { body.len() / 2 } else { body.len() };
        script.bytes.extend_from_slice(body.get(..sent).unwrap_or_default());
        if cut {
            script.write(false);
            script.steps.push(behaviour.fault.and_then(Fault::step).unwrap_or(Step::Close));
        } else if !script.steps.is_empty() {
            script.write(false);
        }
        script
    }

    /// The shared start of whole answers and streams.
    pub(crate) fn begin(context: &Context<'_>, mut out: Vec<u8>) -> Self {
        out.clear();
        let behaviour = &context.behaviour;
        Self {
            bytes: out,
            steps: Vec::new(),
            split: behaviour.split,
            drip: behaviour.drip.then(|| behaviour.gap.unwrap_or_default()),
            keep_alive: context.keep_alive,
            stream: false,
        }
    }

    /// What comes before the head: the delay, or a fault instead of it (then `true`).
    pub(crate) fn prelude(&mut self, context: &Context<'_>, ttft: Duration) -> bool {
        let behaviour = &context.behaviour;
        if !ttft.is_zero() {
            self.steps.push(Step::Wait(ttft));
        }
        if behaviour.garbage {
            self.bytes.extend_from_slice(GARBAGE);
            self.write(false);
            self.steps.push(Step::Close);
            return true;
        }
        match behaviour.fault.and_then(Fault::step) {
            Some(step) if behaviour.after.is_none() => {
                self.steps.push(step);
                true
            }
            _ => false,
        }
    }

    /// Ends one write at the bytes so far.
    pub(crate) fn write(&mut self, content: bool) {
        self.steps.push(Step::Write { end: self.bytes.len(), content });
    }
}

impl Fault {
    /// The fault as an act on the socket, if it is one.
    pub(crate) fn step(self) -> Option<Step> {
        match self {
            Self::Hang => Some(Step::Hang),
            Self::Reset => Some(Step::Reset),
            Self::Close => Some(Step::Close),
            Self::Malformed | Self::NoDone | Self::ErrorEvent => None,
        }
    }

    fn cuts(self) -> bool {
        self.step().is_some()
    }
}

impl Context<'_> {
    /// Status line and headers up to the framing header, which the caller adds.
    pub(crate) fn write_head(&self, out: &mut Vec<u8>, status: u16, content_type: &str) {
        if status == 200 {
            out.extend_from_slice(b"HTTP/1.1 200 OK\r\ncontent-type: ");
        } else {
            out.extend_from_slice(b"HTTP/1.1 ");
            push_decimal(out, status.into());
            out.push(b' ');
            out.extend_from_slice(reason(status).as_bytes());
            out.extend_from_slice(b"\r\ncontent-type: ");
        }
        out.extend_from_slice(content_type.as_bytes());
        out.extend_from_slice(b"\r\n");
        let remaining = self.behaviour.remaining.unwrap_or(9_999);
        let (fixed, requests, tokens, request_id, width) = match self.format {
            Format::OpenAi => (
                OPENAI_HEADERS,
                "x-ratelimit-remaining-requests: ",
                "\r\nx-ratelimit-remaining-tokens: ",
                "\r\nx-request-id: req_",
                32,
            ),
            Format::Anthropic => (
                ANTHROPIC_HEADERS,
                "anthropic-ratelimit-requests-remaining: ",
                "\r\nanthropic-ratelimit-tokens-remaining: ",
                "\r\nrequest-id: req_",
                24,
            ),
        };
        out.extend_from_slice(fixed.as_bytes());
        out.extend_from_slice(requests.as_bytes());
        push_decimal(out, remaining);
        out.extend_from_slice(tokens.as_bytes());
        push_decimal(out, remaining);
        out.extend_from_slice(request_id.as_bytes());
        push_hexadecimal(out, self.id, width);
        out.extend_from_slice(b"\r\n");
        self.write_wishes(out);
    }

    fn write_wishes(&self, out: &mut Vec<u8>) {
        let behaviour = &self.behaviour;
        // Writing to a Vec cannot fail.
        if let Some(seconds) = behaviour.retry_after {
            let _ = write!(out, "retry-after: {seconds}\r\n");
        }
        if let Some(milliseconds) = behaviour.retry_after_ms {
            let _ = write!(out, "retry-after-ms: {milliseconds}\r\n");
        }
        if let Some(seconds) = behaviour.retry_after_date {
            let _ = write!(out, "retry-after: {}\r\n", http_date(self.created + seconds));
        }
        if behaviour.gzip {
            out.extend_from_slice(b"content-encoding: gzip\r\n");
        }
        if behaviour.big_header {
            out.extend_from_slice(b"x-big: ");
            out.resize(out.len() + BIG_HEADER_BYTES, b'a');
            out.extend_from_slice(b"\r\n");
        }
        if !self.keep_alive {
            out.extend_from_slice(b"connection: close\r\n");
        } else if self.http_10 {
            out.extend_from_slice(b"connection: keep-alive\r\n");
        }
    }
}

/// Seconds since 1970.
pub(crate) fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |age| age.as_secs())
}

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    // Writing to a Vec cannot fail.
    let _ = encoder.write_all(body);
    encoder.finish().unwrap_or_default()
}

/// IMF-fixdate (RFC 9110, section 5.6.7). Days to date after Howard Hinnant's `civil_from_days`,
/// <https://howardhinnant.github.io/date_algorithms.html>.
fn http_date(seconds: u64) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] =
        ["Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec", "Jan", "Feb"];
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let year = year_of_era + era * 400 + u64::from(month >= 10);
    let day_name = DAYS.get((days % 7) as usize).unwrap_or(&"Thu");
    let month_name = MONTHS.get(month as usize).unwrap_or(&"Mar");
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{day_name}, {day:02} {month_name} {year} {hour:02}:{minute:02}:{second:02} GMT")
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        204 => "No Content",
        400 => "Bad Request",
        401 => "Unauthorized",
        402 => "Payment Required",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        409 => "Conflict",
        413 => "Content Too Large",
        422 => "Unprocessable Content",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        529 => "Overloaded",
        _ => "Unknown",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_http_date_matches_the_example_of_rfc_9110() {
        assert_eq!(http_date(784_111_777), "Sun, 06 Nov 1994 08:49:37 GMT");
    }

    #[test]
    fn an_http_date_knows_leap_days_and_the_turn_of_the_year() {
        assert_eq!(http_date(1_709_164_800), "Thu, 29 Feb 2024 00:00:00 GMT");
        assert_eq!(http_date(1_735_689_599), "Tue, 31 Dec 2024 23:59:59 GMT");
    }
}
