//! Amazon's binary event stream (`application/vnd.amazon.eventstream`), rewritten as the server-sent
//! events that the rest of the crate reads. Owns frames and their checksums; knows nothing of payloads.
//! Specification: <https://smithy.io/2.0/aws/amazon-eventstream.html>.

use aws_smithy_eventstream::frame::read_message_from;
use aws_smithy_types::event_stream::Message;
use bytes::{BufMut, Bytes, BytesMut};
use serde_json::json;

use crate::StreamFault;
use crate::sse::MAX_EVENT_BYTES;

/// Two lengths and a checksum, before headers and payload; the shortest frame has a checksum behind it.
const PRELUDE_BYTES: usize = 12;
const LEAST_FRAME_BYTES: usize = PRELUDE_BYTES + 4;

/// The state between two chunks. Holds at most one unfinished frame.
#[derive(Debug, Default)]
pub(crate) struct EventStreamFramer {
    pending: BytesMut,
}

impl EventStreamFramer {
    /// Each frame that is whole once `chunk` has arrived, as an event `{"<event type>": <payload>}`; an
    /// exception as `{"error": {"type": …, "message": …}}`. Good frames before a bad one come out with it.
    pub(crate) fn feed(&mut self, chunk: &[u8]) -> (Bytes, Option<StreamFault>) {
        self.pending.extend_from_slice(chunk);
        let mut out = BytesMut::new();
        loop {
            let length = match frame_length(&self.pending) {
                Ok(Some(length)) if length <= self.pending.len() => length,
                Ok(_) => return (out.freeze(), None),
                Err(fault) => return (out.freeze(), Some(fault)),
            };
            let frame = self.pending.split_to(length).freeze();
            match read_message_from(frame) {
                Ok(message) => write_event(&message, &mut out),
                Err(error) => {
                    let reason = format!("a frame of the event stream is broken: {error}");
                    return (out.freeze(), Some(StreamFault::Malformed(reason)));
                }
            }
        }
    }
}

/// None when there are too few bytes to tell.
fn frame_length(pending: &[u8]) -> Result<Option<usize>, StreamFault> {
    let Some(length) = pending.first_chunk::<4>() else { return Ok(None) };
    match usize::try_from(u32::from_be_bytes(*length)) {
        Ok(length) if length < LEAST_FRAME_BYTES => {
            Err(StreamFault::Malformed("a frame of the event stream is too short".to_owned()))
        }
        Ok(length) if length <= MAX_EVENT_BYTES => Ok(Some(length)),
        _ => Err(StreamFault::TooLong),
    }
}

fn write_event(message: &Message, out: &mut BytesMut) {
    let find = |name: &str| {
        let header = message.headers().iter().find(|header| header.name().as_str() == name)?;
        header.value().as_string().ok().map(|text| text.as_str())
    };
    out.put_slice(b"data: ");
    match find(":message-type") {
        Some("exception" | "error") => {
            let kind = find(":exception-type").or_else(|| find(":error-code"));
            let told = serde_json::from_slice::<serde_json::Value>(message.payload()).unwrap_or_default();
            let told = ["message", "Message"].iter().find_map(|field| told.get(field)?.as_str());
            let text = told.or_else(|| find(":error-message")).or(kind).unwrap_or_default();
            out.put_slice(json!({ "error": { "type": kind, "message": text } }).to_string().as_bytes());
        }
        _ => {
            let name = crate::splice::json_string(find(":event-type").unwrap_or_default());
            out.put_slice(b"{");
            out.put_slice(name.as_bytes());
            out.put_slice(b":");
            // A line end in JSON stands between two values, where a space means the same.
            let one_line = |byte: &u8| if matches!(byte, b'\n' | b'\r') { b' ' } else { *byte };
            out.extend(message.payload().iter().map(one_line));
            out.put_slice(b"}");
        }
    }
    out.put_slice(b"\n\n");
}

#[cfg(test)]
mod tests {
    use aws_smithy_eventstream::frame::write_message_to;
    use aws_smithy_types::event_stream::{Header, HeaderValue};

    use super::*;

    fn frame(headers: &[(&'static str, &'static str)], payload: &'static str) -> Vec<u8> {
        let mut message = Message::new(Bytes::from_static(payload.as_bytes()));
        for (name, value) in headers {
            message = message.add_header(Header::new(*name, HeaderValue::String((*value).into())));
        }
        let mut bytes = Vec::new();
        write_message_to(&message, &mut bytes).unwrap();
        bytes
    }

    fn event(name: &'static str, payload: &'static str) -> Vec<u8> {
        frame(&[(":message-type", "event"), (":event-type", name)], payload)
    }

    #[test]
    fn frames_come_out_as_events_however_they_are_cut() {
        let stream = [event("a", "{\"x\":1}"), event("b", "{\n\"y\": 2}")].concat();
        for piece in 1..=stream.len() {
            let mut framer = EventStreamFramer::default();
            let mut out = Vec::new();
            for chunk in stream.chunks(piece) {
                let (events, fault) = framer.feed(chunk);
                assert_eq!(fault, None);
                out.extend_from_slice(&events);
            }
            assert_eq!(
                String::from_utf8(out).unwrap(),
                "data: {\"a\":{\"x\":1}}\n\ndata: {\"b\":{ \"y\": 2}}\n\n"
            );
        }
    }

    #[test]
    fn an_exception_becomes_an_error() {
        let exception = [(":message-type", "exception"), (":exception-type", "throttlingException")];
        for (headers, payload, expected) in [
            (&exception[..], "{\"message\":\"slow down\"}", ("throttlingException", "slow down")),
            (&exception[..], "", ("throttlingException", "throttlingException")),
            (
                &[(":message-type", "error"), (":error-code", "500"), (":error-message", "broken")],
                "",
                ("500", "broken"),
            ),
        ] {
            let (events, _) = EventStreamFramer::default().feed(&frame(headers, payload));
            let expected = format!(
                "data: {{\"error\":{{\"type\":\"{}\",\"message\":\"{}\"}}}}\n\n",
                expected.0, expected.1
            );
            assert_eq!(events, expected);
        }
    }

    #[test]
    fn a_flipped_bit_is_found_and_what_came_before_is_kept() {
        let good = event("a", "{}");
        let bad = event("b", "{}");
        for at in 4..bad.len() {
            let mut stream = [good.clone(), bad.clone()].concat();
            stream[good.len() + at] ^= 1;
            let (events, fault) = EventStreamFramer::default().feed(&stream);
            assert_eq!(events, "data: {\"a\":{}}\n\n");
            assert!(matches!(fault, Some(StreamFault::Malformed(_))), "byte {at}");
        }
    }

    #[test]
    fn a_length_beyond_the_limit_or_below_the_least_is_refused() {
        let feed = |bytes: &[u8]| EventStreamFramer::default().feed(bytes).1;
        assert_eq!(feed(&[0xff; 4]), Some(StreamFault::TooLong));
        assert!(matches!(feed(&[0, 0, 0, 15]), Some(StreamFault::Malformed(_))));
        assert_eq!(feed(b"\0\0\0"), None);
    }
}
