//! What a question is looked up by. The hashes are not made to withstand somebody who looks for collisions, so both are
//! seeded with secrets of the installation, and a hit has to agree in two of them.

use std::cell::RefCell;

use xxhash_rust::xxh3::{xxh3_64_with_seed, xxh3_128_with_seed};

use super::canonical;
use super::purges::Purge;

/// Changes when the stream below does: what was kept under another one is not found.
const FORMAT: u8 = 1;

/// Members of a request that say who asks, or how the answer is sent, and nothing about the answer. `model` is given
/// beside the body, resolved.
const IGNORED: [&str; 10] = [
    "model",
    "user",
    "metadata",
    "stream",
    "stream_options",
    "store",
    "service_tier",
    "safety_identifier",
    "prompt_cache_key",
    "cache",
];

/// A larger stream's buffer is given back.
const KEPT_BUFFER: usize = 1 << 20;

thread_local! {
    static STREAM: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Everything that decides about an answer.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// Who shares answers: the kind of the scope and its id.
    pub scope: (&'a str, &'a str),
    /// A part of the scope's cache, as the client names it.
    pub namespace: &'a str,
    /// What is asked of the model: chat, embeddings, …
    pub operation: &'a str,
    /// The public name of the model.
    pub model: &'a str,
    /// The version of the prompt that was made from a template; empty without one.
    pub prompt_version: &'a str,
    /// Whatever else changes an answer, such as headers that go on to the provider.
    pub rest: &'a [(&'a str, &'a [u8])],
    /// The request's body, a JSON object.
    pub body: &'a [u8],
}

/// What a question is looked up by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    /// The key proper.
    pub hash: u128,
    /// Compared on a hit.
    pub(super) check: u64,
    pub(super) scope: u64,
    pub(super) model: u64,
    pub(super) namespace: u64,
}

/// This body cannot be looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the body is no JSON object whose values can be told apart")]
pub struct NoKey;

/// Makes keys, with the secrets of one installation.
#[derive(Clone, Copy)]
pub struct Keyer {
    seeds: [u64; 2],
}

impl std::fmt::Debug for Keyer {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Keyer")
    }
}

impl Keyer {
    pub(super) fn new(seeds: [u64; 2]) -> Self {
        Self { seeds }
    }

    /// The secrets.
    pub(super) fn seeds(&self) -> [u64; 2] {
        self.seeds
    }

    /// The key of a question.
    ///
    /// # Errors
    /// When its body cannot be told from another one.
    pub fn key(&self, question: &Question<'_>) -> Result<Key, NoKey> {
        STREAM.with_borrow_mut(|stream| {
            stream.clear();
            let key = self.write(question, stream);
            if stream.capacity() > KEPT_BUFFER {
                *stream = Vec::new();
            }
            key
        })
    }

    fn write(&self, question: &Question<'_>, stream: &mut Vec<u8>) -> Result<Key, NoKey> {
        let Question { scope: (kind, id), namespace, operation, model, prompt_version, rest, body } =
            question;
        stream.push(FORMAT);
        for part in [*kind, *id, *namespace, *operation, *model, *prompt_version] {
            canonical::text(part.as_bytes(), stream);
        }
        stream.push(u8::try_from(rest.len()).map_err(|_| NoKey)?);
        for (name, value) in *rest {
            canonical::text(name.as_bytes(), stream);
            canonical::text(value, stream);
        }
        canonical::append(body, &IGNORED, stream).map_err(|_| NoKey)?;
        let [seed, other] = self.seeds;
        Ok(Key {
            hash: xxh3_128_with_seed(stream, seed),
            check: xxh3_64_with_seed(stream, other),
            scope: self.purged(&Purge::Scope(kind, id)),
            model: self.purged(&Purge::Model(model)),
            namespace: self.purged(&Purge::Namespace((kind, id), namespace)),
        })
    }

    /// What a purge is remembered by.
    pub(super) fn purged(&self, purge: &Purge<'_>) -> u64 {
        // Each hash is the seed of the next: no part runs into another one.
        let hash = |kind: u64, parts: &[&str]| {
            let seed = self.seeds[1] ^ kind;
            parts.iter().fold(seed, |seed, part| xxh3_64_with_seed(part.as_bytes(), seed))
        };
        match purge {
            Purge::All => 0,
            Purge::Scope(kind, id) => hash(1, &[kind, id]),
            Purge::Model(model) => hash(2, &[model]),
            Purge::Namespace((kind, id), namespace) => hash(3, &[kind, id, namespace]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &str = r#"{"messages":[{"role":"user","content":"Hello"}],"temperature":0}"#;

    fn question(body: &str) -> Question<'_> {
        Question {
            scope: ("team", "red"),
            namespace: "",
            operation: "chat",
            model: "small",
            prompt_version: "",
            rest: &[("anthropic-beta", b"x")],
            body: body.as_bytes(),
        }
    }

    fn key(question: &Question<'_>) -> Key {
        Keyer::new([1, 2]).key(question).unwrap()
    }

    #[test]
    fn every_part_of_a_question_is_in_its_key() {
        let plain = question(BODY);
        let others = [
            Question { scope: ("org", "red"), ..plain },
            Question { scope: ("team", "blue"), ..plain },
            Question { namespace: "n", ..plain },
            Question { operation: "messages", ..plain },
            Question { model: "Small", ..plain },
            Question { prompt_version: "2", ..plain },
            Question { rest: &[("anthropic-beta", b"y")], ..plain },
            Question { rest: &[("openai-beta", b"x")], ..plain },
            Question { rest: &[], ..plain },
            // Pieces do not run into each other.
            Question { scope: ("tea", "mred"), ..plain },
            Question { namespace: "ch", operation: "at", ..plain },
        ];
        for other in &others {
            let (one, other) = (key(&plain), key(other));
            assert_ne!((one.hash, one.check), (other.hash, other.check), "{other:?}");
            assert_ne!(one.hash, other.hash);
            assert_ne!(one.check, other.check);
        }
    }

    #[test]
    fn every_field_of_a_body_is_in_the_key_but_those_that_say_nothing_about_the_answer() {
        let with = |field: &str, value: &str| {
            format!(
                r#"{{"messages":[{{"role":"user","content":"Hello"}}],"temperature":0,"{field}":{value}}}"#
            )
        };
        let plain = key(&question(BODY));
        let counted = [
            "tools",
            "tool_choice",
            "parallel_tool_calls",
            "response_format",
            "top_p",
            "top_k",
            "n",
            "max_tokens",
            "max_completion_tokens",
            "max_output_tokens",
            "stop",
            "stop_sequences",
            "presence_penalty",
            "frequency_penalty",
            "logit_bias",
            "logprobs",
            "top_logprobs",
            "seed",
            "reasoning_effort",
            "reasoning",
            "thinking",
            "verbosity",
            "modalities",
            "audio",
            "prediction",
            "system",
            "instructions",
            "input",
            "text",
            "truncation",
            "previous_response_id",
            "include",
            "background",
            "web_search_options",
            "dimensions",
            "encoding_format",
            "functions",
            "function_call",
            "guardrails",
            "a_field_of_tomorrow",
            "User",
            "models",
        ];
        let mut seen = std::collections::HashSet::from([plain.hash]);
        for field in counted {
            for value in ["1", "2", r#""x""#, "null", "[1]"] {
                let body = with(field, value);
                assert!(seen.insert(key(&question(&body)).hash), "{field}: {value}");
            }
        }
        for field in IGNORED {
            for value in ["true", r#""x""#, r#"{"a":1}"#] {
                assert_eq!(key(&question(&with(field, value))), plain, "{field}");
            }
        }
    }

    #[test]
    fn every_part_of_a_message_is_in_the_key() {
        let bodies = [
            r#"{"messages":[{"role":"user","content":"Hello"}]}"#,
            r#"{"messages":[{"role":"user","content":"hello"}]}"#,
            r#"{"messages":[{"role":"user","content":"Hello "}]}"#,
            r#"{"messages":[{"role":"system","content":"Hello"}]}"#,
            r#"{"messages":[{"role":"user","content":"Hello","name":"a"}]}"#,
            r#"{"messages":[{"role":"user","content":[{"type":"text","text":"Hello"}]}]}"#,
            r#"{"messages":[{"role":"user","content":"Hello"},{"role":"user","content":"Hello"}]}"#,
            r#"{"messages":[{"role":"user","content":"Hello","tool_call_id":"1"}]}"#,
            r#"{"messages":[{"role":"user","content":"Hello","metadata":1}]}"#,
            r#"{"messages":[]}"#,
        ];
        let keys: std::collections::HashSet<_> =
            bodies.iter().map(|body| key(&question(body)).hash).collect();
        assert_eq!(keys.len(), bodies.len());
    }

    #[test]
    fn another_installation_has_other_keys() {
        let question = question(BODY);
        let one = Keyer::new([1, 2]).key(&question).unwrap();
        let other = Keyer::new([3, 4]).key(&question).unwrap();
        assert_ne!(one.hash, other.hash);
        assert_ne!(one.check, other.check);
    }

    #[test]
    fn a_body_that_is_no_object_has_no_key() {
        assert_eq!(Keyer::new([1, 2]).key(&question("[1]")), Err(NoKey));
    }
}
