//! How a provider's opaque token travels through a client of another family: with its maker's name in
//! front, so that it is known again when the client sends it back.

use std::borrow::Cow;

use crate::canonical::{Maker, Signature};

const MARK: &str = "sbx.";

/// The token for a client whose own family is `own`: verbatim, or behind `sbx.<maker>.`.
pub(crate) fn write_signature(signature: &Signature, own: Maker) -> Cow<'_, str> {
    if signature.maker == own {
        return Cow::Borrowed(&signature.value);
    }
    Cow::Owned(format!("{MARK}{}.{}", name(signature.maker), signature.value))
}

/// The token a client sends back; one without a mark is by `own`.
pub(crate) fn read_signature(text: String, own: Maker) -> Signature {
    let marked = text.strip_prefix(MARK).and_then(|rest| rest.split_once('.'));
    match marked.and_then(|(maker, value)| Some((maker_named(maker)?, value))) {
        Some((maker, value)) => Signature { maker, value: value.to_owned() },
        None => Signature { maker: own, value: text },
    }
}

fn name(maker: Maker) -> &'static str {
    match maker {
        Maker::Anthropic => "anthropic",
        Maker::Gemini => "gemini",
        Maker::OpenAi => "openai",
    }
}

fn maker_named(name: &str) -> Option<Maker> {
    match name {
        "anthropic" => Some(Maker::Anthropic),
        "gemini" => Some(Maker::Gemini),
        "openai" => Some(Maker::OpenAi),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_of_any_maker_survives_a_client_of_any_family() {
        let makers = [Maker::Anthropic, Maker::Gemini, Maker::OpenAi];
        for maker in makers {
            for own in makers {
                let signature = Signature { maker, value: "a.b=".to_owned() };
                let written = write_signature(&signature, own).into_owned();
                assert_eq!(written == "a.b=", maker == own);
                assert_eq!(read_signature(written, own), signature);
            }
        }
    }

    #[test]
    fn a_token_that_only_looks_marked_is_the_familys_own() {
        for text in ["sbx.", "sbx.nobody.x", "sbx.gemini"] {
            let read = read_signature(text.to_owned(), Maker::Anthropic);
            assert_eq!((read.maker, read.value.as_str()), (Maker::Anthropic, text));
        }
    }
}
