//! Opaque tokens in `encrypted_content`: OpenAI's own as they are, another maker's under a prefix that
//! names it, so that the thinking of any model comes back to it through a client that only stores it.

use crate::canonical::{Maker, Signature};

const FOREIGN: [(Maker, &str); 2] = [(Maker::Anthropic, "sbx.anthropic."), (Maker::Gemini, "sbx.gemini.")];

/// The token as a client keeps it.
pub(super) fn write(signature: &Signature) -> String {
    let prefix = FOREIGN.iter().find(|(maker, _)| *maker == signature.maker).map_or("", |(_, prefix)| prefix);
    format!("{prefix}{}", signature.value)
}

/// The token that a client brings back.
pub(super) fn read(text: &str) -> Signature {
    for (maker, prefix) in FOREIGN {
        if let Some(value) = text.strip_prefix(prefix) {
            return Signature { maker, value: value.to_owned() };
        }
    }
    let value = text.strip_prefix("sbx.openai.").unwrap_or(text);
    Signature { maker: Maker::OpenAi, value: value.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_of_any_maker_comes_back_as_it_was() {
        for (maker, written) in [
            (Maker::OpenAi, "gAAAA=="),
            (Maker::Anthropic, "sbx.anthropic.gAAAA=="),
            (Maker::Gemini, "sbx.gemini.gAAAA=="),
        ] {
            let signature = Signature { maker, value: "gAAAA==".to_owned() };
            assert_eq!(write(&signature), written);
            assert_eq!(read(written), signature);
        }
    }
}
