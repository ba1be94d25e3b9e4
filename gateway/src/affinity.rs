//! Which requests belong together? Those with one prompt prefix, whose provider has it in its prompt
//! cache, or those of one session. Only hashes leave this file.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, SeqAccess, Visitor};
use serde_json::value::RawValue;
use twox_hash::XxHash3_64;

use crate::config::Affinity;
use crate::conversation::Conversation;
use crate::request::Request;

/// What names the end user: OpenAI's `user`, Anthropic's `metadata.user_id`.
#[derive(Deserialize)]
struct EndUser<'a> {
    #[serde(borrow)]
    user: Option<Cow<'a, str>>,
    #[serde(borrow)]
    metadata: Option<Metadata<'a>>,
}

#[derive(Deserialize)]
struct Metadata<'a> {
    #[serde(borrow)]
    user_id: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    role: Option<Cow<'a, str>>,
}

/// What this request has in common with those it belongs to; None when it belongs to none.
pub fn key(affinity: Affinity, request: &Request) -> Option<u64> {
    match affinity {
        Affinity::Off => None,
        Affinity::ByPrefix => prefix(&request.head.model, &request.body),
        Affinity::BySession => request.session.or_else(|| user(&request.body)),
    }
}

/// The key of a session that the client names itself.
pub fn session(name: &[u8]) -> u64 {
    XxHash3_64::oneshot(name)
}

fn user(body: &[u8]) -> Option<u64> {
    let fields: EndUser<'_> = serde_json::from_slice(body).ok()?;
    let user = fields.user.or_else(|| fields.metadata.and_then(|metadata| metadata.user_id))?;
    Some(session(user.as_bytes()))
}

fn prefix(model: &str, body: &[u8]) -> Option<u64> {
    beginning(model, &Conversation::read(body)?)
}

/// Model, tools, system text, and the conversation up to the first message of the user: what stays as the conversation
/// grows.
pub fn beginning(model: &str, prompt: &Conversation<'_>) -> Option<u64> {
    let mut key = XxHash3_64::oneshot(model.as_bytes());
    for field in [prompt.tools, prompt.system, prompt.instructions, prompt.system_instruction] {
        key = then(key, field.map_or("", RawValue::get));
    }
    let conversation = prompt.turns()?.get();
    if !conversation.starts_with('[') {
        return Some(then(key, conversation));
    }
    // It ends with an error by design: the rest of the list is not read.
    let _ = serde_json::Deserializer::from_str(conversation).deserialize_seq(FirstTurn(&mut key));
    Some(key)
}

fn then(key: u64, text: &str) -> u64 {
    XxHash3_64::oneshot_with_seed(key, text.as_bytes())
}

/// Hashes messages up to the first of the user.
struct FirstTurn<'k>(&'k mut u64);

impl<'de> Visitor<'de> for FirstTurn<'_> {
    type Value = ();

    fn expecting(&self, text: &mut fmt::Formatter<'_>) -> fmt::Result {
        text.write_str("a list of messages")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut messages: A) -> Result<(), A::Error> {
        while let Some(message) = messages.next_element::<&'de RawValue>()? {
            *self.0 = then(*self.0, message.get());
            let role = serde_json::from_str::<Message<'_>>(message.get()).ok().and_then(|it| it.role);
            // Google's clients may leave the role out.
            if role.is_none_or(|role| role == "user") {
                return Ok(());
            }
        }
        while messages.next_element::<IgnoredAny>()?.is_some() {}
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(body: &str) -> Option<u64> {
        prefix("m", body.as_bytes())
    }

    #[test]
    fn a_conversation_keeps_its_key_while_it_grows() {
        let begin = r#"{"role":"system","content":"s"},{"role":"user","content":"u"}"#;
        let first = of(&format!(r#"{{"model":"m","messages":[{begin}]}}"#));
        let later = of(&format!(
            r#"{{"stream":true,"messages":[{begin},{{"role":"assistant","content":"a"}},{{"role":"user","content":"v"}}],"model":"m"}}"#
        ));
        assert!(first.is_some());
        assert_eq!(first, later);
    }

    #[test]
    fn system_text_tools_and_first_message_each_make_another_key() {
        let bodies = [
            r#"{"messages":[{"role":"user","content":"u"}]}"#,
            r#"{"messages":[{"role":"user","content":"v"}]}"#,
            r#"{"system":"s","messages":[{"role":"user","content":"u"}]}"#,
            r#"{"tools":[1],"messages":[{"role":"user","content":"u"}]}"#,
            r#"{"messages":[{"role":"system","content":"s"},{"role":"user","content":"u"}]}"#,
            r#"{"instructions":"s","input":"u"}"#,
            r#"{"input":[{"role":"user","content":"u"}],"tools":[2]}"#,
            r#"{"contents":[{"parts":[{"text":"w"}]}]}"#,
            r#"{"prompt":"u"}"#,
        ];
        let keys: std::collections::BTreeSet<_> = bodies.iter().map(|body| of(body).unwrap()).collect();
        assert_eq!(keys.len(), bodies.len());
        assert_ne!(prefix("m", bodies[0].as_bytes()), prefix("n", bodies[0].as_bytes()));
    }

    #[test]
    fn what_is_no_conversation_has_no_key() {
        assert_eq!(of("--delimiter"), None);
        assert_eq!(of("{}"), None);
        assert_eq!(user(b"{}"), None);
    }

    #[test]
    fn a_session_is_named_by_either_format() {
        let key = Some(session(b"u1"));
        assert_eq!(user(br#"{"user":"u1"}"#), key);
        assert_eq!(user(br#"{"metadata":{"user_id":"u1"}}"#), key);
    }
}
