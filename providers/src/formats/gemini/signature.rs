//! `thoughtSignature`. Google's own are passed on as they are. Another maker's go to a client as
//! base64 of `sbx.{maker}.{value}`, since Google's SDKs decode the field and encode it again.

use base64::Engine;
use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};

use bytes::{BufMut, Bytes, BytesMut};

use crate::canonical::{Maker, Signature};

/// What stands before a signature that is not Google's.
const PREFIX: &str = "sbx.";

/// Takes Gemini calls whose signature got lost, or that another model made. Source:
/// <https://ai.google.dev/gemini-api/docs/thought-signatures>.
pub(super) const UNSIGNED: &str = "skip_thought_signature_validator";

const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A signature for a client.
pub(super) fn write_signature(signature: &Signature) -> String {
    let maker = match signature.maker {
        Maker::Gemini => return signature.value.clone(),
        Maker::Anthropic => "anthropic",
        Maker::OpenAi => "openai",
    };
    STANDARD.encode(format!("{PREFIX}{maker}.{}", signature.value))
}

/// A client's signature, with its maker.
pub(super) fn read_signature(value: String) -> Signature {
    foreign(&value).unwrap_or(Signature { maker: Maker::Gemini, value })
}

fn foreign(value: &str) -> Option<Signature> {
    // Base64 of the prefix, as far as the next letter does not change it.
    if !value.starts_with("c2J4L") {
        return None;
    }
    let text = String::from_utf8(LENIENT.decode(plain_base64(value)).ok()?).ok()?;
    let (maker, value) = text.strip_prefix(PREFIX)?.split_once('.')?;
    let maker = match maker {
        "anthropic" => Maker::Anthropic,
        "openai" => Maker::OpenAi,
        _ => return None,
    };
    Some(Signature { maker, value: value.to_owned() })
}

/// A body for Google without the signatures that Google cannot read, as they stand in a conversation
/// that another maker's model began. Every other byte stays.
pub(crate) fn without_foreign(body: &Bytes) -> Bytes {
    let mut out = BytesMut::new();
    let mut kept = 0;
    for quote in memchr::memmem::find_iter(body, b"\"c2J4L") {
        let start = quote + 1;
        let literal = body.get(start..).and_then(|rest| rest.split(|byte| *byte == b'"').next());
        let Some(literal) = literal.filter(|_| start >= kept) else { continue };
        if std::str::from_utf8(literal).ok().and_then(foreign).is_some() {
            out.put_slice(body.get(kept..start).unwrap_or_default());
            out.put_slice(UNSIGNED.as_bytes());
            kept = start + literal.len();
        }
    }
    if kept == 0 {
        return body.clone();
    }
    out.put_slice(body.get(kept..).unwrap_or_default());
    out.freeze()
}

/// Base64 in its usual alphabet and with its padding: Google takes both alphabets and its SDKs write
/// the one for URLs, others take only this one.
pub(super) fn plain_base64(text: &str) -> String {
    let mut out: String = text
        .chars()
        .map(|c| {
            if c == '-' {
                '+'
            } else if c == '_' {
                '/'
            } else {
                c
            }
        })
        .collect();
    if !out.ends_with('=') {
        out.extend(std::iter::repeat_n('=', (4 - out.len() % 4) % 4));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_makers_signature_survives_a_client_that_decodes_and_encodes_it() {
        for (maker, value) in [
            (Maker::Gemini, "CiwBjz1rX1V3xLK9+/=="),
            (Maker::Gemini, "c2J4Lg=="),
            (Maker::Anthropic, "EqQBCg??~~+/=="),
            (Maker::OpenAi, "gAAAA>>>_-"),
        ] {
            let signature = Signature { maker, value: value.to_owned() };
            let written = write_signature(&signature);
            assert_eq!(read_signature(written.clone()), signature);
            let for_urls = written.replace('+', "-").replace('/', "_");
            if maker != Maker::Gemini {
                assert_eq!(read_signature(for_urls.trim_end_matches('=').to_owned()), signature);
            }
        }
    }

    #[test]
    fn only_what_google_cannot_read_is_taken_out_of_its_own_body() {
        let foreign = write_signature(&Signature { maker: Maker::Anthropic, value: "s+/".to_owned() });
        let body = |signature: &str| {
            format!(
                r#"{{"parts":[{{"text":"c2J4L","thoughtSignature": "{signature}"}},{{"x":"{signature}"}}], "n":1.0}}"#
            )
        };
        let cleaned = without_foreign(&Bytes::from(body(&foreign)));
        assert_eq!(cleaned, body(UNSIGNED));
        let own = Bytes::from(body("CiwBjz1r"));
        assert_eq!(without_foreign(&own).as_ptr(), own.as_ptr());
        for cut in ["\"c2J4L", "\"c2J4LmFudGhyb3BpYy5z"] {
            without_foreign(&Bytes::from(cut));
        }
    }

    #[test]
    fn base64_for_urls_becomes_the_usual_one() {
        assert_eq!(plain_base64("_-8"), "/+8=");
        assert_eq!(plain_base64("/+8="), "/+8=");
        assert_eq!(plain_base64(""), "");
    }
}
