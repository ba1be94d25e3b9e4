//! Documents of text, which some formats give in base64 and others want as it is.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// The text in a base64 payload; None when it is no base64 or no UTF-8.
pub(crate) fn decode_text(payload: &str) -> Option<String> {
    String::from_utf8(STANDARD.decode(payload).ok()?).ok()
}
