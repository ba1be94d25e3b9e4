//! Changes single values inside a body and leaves every other byte alone, because providers' prompt
//! caches are keyed by the bytes.

use std::ops::Range;

use bytes::{BufMut, Bytes, BytesMut};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::RequestHead;
use crate::formats::offset_in;
use crate::request_head::even_null;

const OPTIONS: &str = r#"{"include_usage":true}"#;

/// The body with the literal at `span` (see [`RequestHead::model_span`](crate::RequestHead)) replaced
/// by `upstream_model`. A cheap clone when they are equal already or the span does not fit the body.
pub fn splice_model(body: &Bytes, span: &Range<usize>, upstream_model: &str) -> Bytes {
    let literal = json_string(upstream_model);
    match body.get(span.clone()) {
        Some(present) if present != literal.as_bytes() => splice(body, span, literal.as_bytes()),
        _ => body.clone(),
    }
}

/// The body with another model, in which the usage chunk is asked for too. The head is the body's own.
pub(crate) fn splice_model_and_usage(
    body: &Bytes,
    model_span: &Range<usize>,
    head: &RequestHead,
    upstream_model: &str,
) -> Bytes {
    let Some((span, asking)) = asking_for_usage(body, head) else {
        return splice_model(body, model_span, upstream_model);
    };
    // What stands first must not be moved before it is replaced.
    if span.start < model_span.start {
        let body = splice_model(body, model_span, upstream_model);
        splice(&body, &span, asking.as_bytes())
    } else {
        splice_model(&splice(body, &span, asking.as_bytes()), model_span, upstream_model)
    }
}

/// Where in the body to say `stream_options.include_usage`, and how; None when it cannot be said.
fn asking_for_usage(body: &[u8], head: &RequestHead) -> Option<(Range<usize>, String)> {
    #[derive(Deserialize)]
    struct StreamOptions<'a> {
        #[serde(borrow, default, deserialize_with = "even_null")]
        include_usage: Option<&'a RawValue>,
    }
    let Some(span) = &head.stream_options_span else {
        // Behind the last field: the model at least stands before it.
        let end = body.iter().rposition(|byte| *byte == b'}')?;
        return Some((end..end, format!(",\"stream_options\":{OPTIONS}")));
    };
    let options = std::str::from_utf8(body.get(span.clone())?).ok()?;
    let Some(inner) = options.strip_prefix('{') else { return Some((span.clone(), OPTIONS.to_owned())) };
    if let Some(present) = serde_json::from_str::<StreamOptions<'_>>(options).ok()?.include_usage {
        let start = span.start + offset_in(options, present);
        return Some((start..start + present.get().len(), "true".to_owned()));
    }
    let comma = if inner.trim_ascii_start().starts_with('}') { "" } else { "," };
    Some((span.start + 1..span.start + 1, format!("\"include_usage\":true{comma}")))
}

/// The body without the member `name`, whose value lies at `span`, and the comma that parts it from the next; None when
/// the member is not written plainly.
pub fn without_member(body: &[u8], name: &str, span: &Range<usize>) -> Option<Bytes> {
    let before = body.get(..span.start)?.trim_ascii_end().strip_suffix(b":")?.trim_ascii_end();
    let before = before.strip_suffix(b"\"")?.strip_suffix(name.as_bytes())?.strip_suffix(b"\"")?;
    let behind = body.get(span.end..)?;
    let next = behind.trim_ascii_start();
    Some(match next.strip_prefix(b",") {
        Some(next) => Bytes::from([before, next].concat()),
        None => {
            let before = before.trim_ascii_end();
            Bytes::from([before.strip_suffix(b",").unwrap_or(before), behind].concat())
        }
    })
}

/// A JSON string literal, quotes included.
pub(crate) fn json_string(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// `body` with `span` replaced; a span that does not fit changes nothing.
pub(crate) fn splice(body: &[u8], span: &Range<usize>, replacement: &[u8]) -> Bytes {
    let (Some(before), Some(after)) = (body.get(..span.start), body.get(span.end..)) else {
        return Bytes::copy_from_slice(body);
    };
    let mut out = BytesMut::with_capacity(before.len() + replacement.len() + after.len());
    out.put_slice(before);
    out.put_slice(replacement);
    out.put_slice(after);
    out.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Operation, read_request_head};

    fn spliced(body: &str, model: &str) -> Bytes {
        let head = read_request_head(Operation::ChatCompletions, "", body.as_bytes()).unwrap();
        splice_model(&Bytes::copy_from_slice(body.as_bytes()), &head.model_span.unwrap(), model)
    }

    #[test]
    fn only_the_model_literal_changes() {
        let body = "{ \"seed\": 9007199254740993,\t\"model\" :\"small\" , \"x\": 1.0e5 }\n";
        assert_eq!(spliced(body, "gpt-4o"), body.replace("\"small\"", "\"gpt-4o\""));
    }

    #[test]
    fn a_model_name_is_escaped() {
        assert_eq!(spliced(r#"{"model":"m"}"#, "a\"b\\c"), r#"{"model":"a\"b\\c"}"#);
    }

    #[test]
    fn a_member_goes_with_its_comma_and_every_other_byte_stays() {
        for (body, expected) in [
            (r#"{"cache":{"ttl":1},"model":"m"}"#, r#"{"model":"m"}"#),
            (r#"{"model":"m", "cache" : {"ttl":1} }"#, r#"{"model":"m" }"#),
            (r#"{"a":[1],"cache":{}, "model":"m"}"#, r#"{"a":[1], "model":"m"}"#),
        ] {
            let head = read_request_head(Operation::ChatCompletions, "", body.as_bytes()).unwrap();
            let (_, span) = head.caching.controls.unwrap();
            assert_eq!(without_member(body.as_bytes(), "cache", &span).unwrap(), expected);
        }
        assert_eq!(without_member(br#"{"c\u0061che":{}}"#, "cache", &(14..16)), None);
    }

    #[test]
    fn an_equal_model_costs_no_copy() {
        let body = Bytes::from_static(br#"{"model":"m"}"#);
        let same = splice_model(&body, &(9..12), "m");
        assert_eq!(same.as_ptr(), body.as_ptr());
    }

    #[test]
    fn the_usage_chunk_is_asked_for_and_every_other_byte_stays() {
        for (body, expected) in [
            (
                r#"{"model":"m","stream":true}"#,
                r#"{"model":"up","stream":true,"stream_options":{"include_usage":true}}"#,
            ),
            (
                "{ \"model\": \"m\" ,\"x\":\"}\" } \n",
                "{ \"model\": \"up\" ,\"x\":\"}\" ,\"stream_options\":{\"include_usage\":true}} \n",
            ),
            (
                r#"{"stream_options":null,"model":"m"}"#,
                r#"{"stream_options":{"include_usage":true},"model":"up"}"#,
            ),
            (
                r#"{"stream_options":{ },"model":"m"}"#,
                r#"{"stream_options":{"include_usage":true },"model":"up"}"#,
            ),
            (
                r#"{"model":"m","stream_options":{"include_obfuscation":false}}"#,
                r#"{"model":"up","stream_options":{"include_usage":true,"include_obfuscation":false}}"#,
            ),
            (
                r#"{"stream_options":{"x":{"include_usage":1}, "include_usage" : false },"model":"m"}"#,
                r#"{"stream_options":{"x":{"include_usage":1}, "include_usage" : true },"model":"up"}"#,
            ),
            (
                r#"{"model":"m","stream_options":{"include_usage":null}}"#,
                r#"{"model":"up","stream_options":{"include_usage":true}}"#,
            ),
        ] {
            let head = read_request_head(Operation::ChatCompletions, "", body.as_bytes()).unwrap();
            let body = Bytes::copy_from_slice(body.as_bytes());
            let sent = splice_model_and_usage(&body, head.model_span.as_ref().unwrap(), &head, "up");
            assert_eq!(sent, expected);
            assert!(read_request_head(Operation::ChatCompletions, "", &sent).unwrap().include_usage);
            assert_eq!(splice_model_and_usage(&body, head.model_span.as_ref().unwrap(), &head, "up"), sent);
        }
    }
}
