//! Changes one literal inside a body and leaves every other byte alone, because providers' prompt
//! caches are keyed by the bytes.

use std::ops::Range;

use bytes::{BufMut, Bytes, BytesMut};

/// The body with the literal at `span` (see [`RequestHead::model_span`](crate::RequestHead)) replaced
/// by `upstream_model`. A cheap clone when they are equal already or the span does not fit the body.
pub fn splice_model(body: &Bytes, span: &Range<usize>, upstream_model: &str) -> Bytes {
    let literal = json_string(upstream_model);
    match body.get(span.clone()) {
        Some(present) if present != literal.as_bytes() => splice(body, span, literal.as_bytes()),
        _ => body.clone(),
    }
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
    fn an_equal_model_costs_no_copy() {
        let body = Bytes::from_static(br#"{"model":"m"}"#);
        let same = splice_model(&body, &(9..12), "m");
        assert_eq!(same.as_ptr(), body.as_ptr());
    }
}
