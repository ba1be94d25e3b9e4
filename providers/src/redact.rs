//! Removes what looks like a credential from text that a provider wrote. Providers echo the key they
//! refuse, and that key is ours, not the client's.

/// How the keys of known providers begin.
const PREFIXES: [&str; 17] = [
    "sk-", "sk_", "pk-", "gsk_", "xai-", "aiza", "hf_", "nvapi-", "pplx-", "csk-", "fw_", "r8_", "tgp_",
    "eyj", "key-", "ghp_", "akia",
];

/// What stands before a key that has no prefix of its own.
const LABELS: [&str; 10] = [
    "bearer ",
    "basic ",
    "key=",
    "token=",
    "secret=",
    "api-key: ",
    "api key: ",
    "api_key: ",
    "key provided: ",
    "authorization: ",
];

const PREFIXED_MIN_BYTES: usize = 8;
const LABELLED_MIN_BYTES: usize = 4;
const OBVIOUS_MIN_BYTES: usize = 16;

/// `text` with each credential replaced by `[redacted]`.
pub(crate) fn redact(text: &str) -> String {
    // ASCII lower case keeps every byte offset.
    let lower = text.to_ascii_lowercase();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    let mut previous_is_word = false;
    while let (Some(rest), Some(lower_rest)) = (text.get(at..), lower.get(at..)) {
        let Some(character) = rest.chars().next() else { break };
        if !previous_is_word && let Some((label, credential)) = credential_at(lower_rest) {
            out.push_str(rest.get(..label).unwrap_or_default());
            out.push_str("[redacted]");
            at += label + credential;
            continue;
        }
        previous_is_word = character.is_ascii_alphanumeric();
        out.push(character);
        at += character.len_utf8();
    }
    out
}

/// Length of the label to keep and of the credential behind it.
fn credential_at(lower: &str) -> Option<(usize, usize)> {
    if PREFIXES.iter().any(|prefix| lower.starts_with(prefix)) {
        let length = run_length(lower);
        return (length >= PREFIXED_MIN_BYTES).then_some((0, length));
    }
    let label = LABELS.iter().find(|label| lower.starts_with(**label))?;
    let behind = lower.get(label.len()..)?;
    let unquoted = behind.trim_start_matches([' ', '"', '\'', '`']);
    let kept = label.len() + (behind.len() - unquoted.len());
    let length = run_length(unquoted);
    let run = unquoted.get(..length)?;
    let odd = run.bytes().any(|byte| !byte.is_ascii_alphabetic());
    (length >= OBVIOUS_MIN_BYTES || (length >= LABELLED_MIN_BYTES && odd)).then_some((kept, length))
}

fn run_length(text: &str) -> usize {
    let run =
        text.bytes().take_while(|byte| byte.is_ascii_alphanumeric() || b"-_.*+/=~".contains(byte)).count();
    text.get(..run).map_or(0, |run| run.trim_end_matches('.').len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_replaced_by_prefix_and_by_label() {
        for (text, clean) in [
            ("key sk-proj-abc_123***xyz is wrong", "key [redacted] is wrong"),
            ("Authorization: Bearer abc.def-123", "Authorization: Bearer [redacted]"),
            ("GET /v1?key=AIzaSyD-12345&alt=sse", "GET /v1?key=[redacted]&alt=sse"),
            ("?api_key=0123456789abcdef", "?api_key=[redacted]"),
            ("Your api key: ****-key is invalid", "Your api key: [redacted] is invalid"),
            ("Incorrect API key provided: invalid-key. You", "Incorrect API key provided: [redacted]. You"),
            ("token \"gsk_0123456789\"", "token \"[redacted]\""),
        ] {
            assert_eq!(redact(text), clean);
        }
    }

    #[test]
    fn ordinary_words_stay() {
        for text in
            ["a task-force of experts", "Missing bearer token", "sk-1", "the key: value pair", "naïve – 你好"]
        {
            assert_eq!(redact(text), text);
        }
    }
}
