//! W3C Trace Context (<https://www.w3.org/TR/trace-context/>): the caller's trace goes on upstream
//! with a span of ours in between.

use std::fmt::Write;

use http::HeaderValue;

/// A valid `traceparent`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceContext {
    /// 32 lower-case hex digits.
    pub trace_id: String,
    /// The caller's flags, two hex digits.
    flags: String,
}

impl TraceContext {
    /// Reads a `traceparent` header; None when it is not valid, which by the standard counts as absent.
    pub fn parse(header: &str) -> Option<Self> {
        let mut parts = header.trim().split('-');
        let (version, trace_id, parent, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let hex = |text: &str, length: usize| {
            text.len() == length && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        };
        let nonzero = |text: &str| text.bytes().any(|byte| byte != b'0');
        let sound = hex(version, 2)
            && version != "ff"
            && (version != "00" || parts.next().is_none())
            && hex(trace_id, 32)
            && nonzero(trace_id)
            && hex(parent, 16)
            && nonzero(parent)
            && hex(flags, 2);
        sound.then(|| Self { trace_id: trace_id.to_owned(), flags: flags.to_owned() })
    }

    /// The header for the upstream, with a random span id.
    pub fn child_header(&self) -> Option<HeaderValue> {
        HeaderValue::try_from(self.child(fastrand::u64(1..))).ok()
    }

    fn child(&self, span_id: u64) -> String {
        let mut header = String::with_capacity(55);
        let _ = write!(header, "00-{}-{:016x}-{}", self.trace_id, span_id.max(1), self.flags);
        header
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn the_trace_id_and_flags_are_kept_and_the_span_is_new() {
        let child = TraceContext::parse(PARENT).unwrap().child(0xab);
        assert_eq!(child, "00-4bf92f3577b34da6a3ce929d0e0e4736-00000000000000ab-01");
    }

    #[test]
    fn an_invalid_header_counts_as_absent() {
        for header in
            ["", "00-0-0-0", &PARENT.to_uppercase(), &PARENT.replace('4', "g"), &format!("{PARENT}-x")]
        {
            assert_eq!(TraceContext::parse(header), None, "{header}");
        }
        assert_eq!(TraceContext::parse("00-00000000000000000000000000000000-00f067aa0ba902b7-01"), None);
    }
}
