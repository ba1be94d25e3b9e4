//! Claude's redacted thinking. Anthropic writes it as text; Bedrock takes that text for bytes and writes
//! those in base64 once more. The neutral form holds Anthropic's text, so that it goes back on either way.

use aws_smithy_types::base64;

use crate::canonical::{Maker, Signature};

/// What stands before bytes that are no text; they go back to Bedrock only.
const NO_TEXT: &str = "blob.";

/// `redactedContent`, read.
pub(super) fn read_redacted(written: &str) -> Signature {
    let text = base64::decode(written).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let value = text.unwrap_or_else(|| format!("{NO_TEXT}{written}"));
    Signature { maker: Maker::Anthropic, value }
}

/// `redactedContent`, written.
pub(super) fn write_redacted(value: &str) -> String {
    value.strip_prefix(NO_TEXT).map_or_else(|| base64::encode(value), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redacted_thinking_comes_back_as_it_was_whether_it_is_text_or_not() {
        // "EtkE" in base64, and two bytes that are no UTF-8.
        for (written, value) in [("RXRrRQ==", "EtkE"), ("//4=", "blob.//4=")] {
            let read = read_redacted(written);
            assert_eq!(read.value, value);
            assert_eq!(write_redacted(&read.value), written);
        }
    }
}
