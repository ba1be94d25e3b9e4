//! Which requests belong together? Those with one prompt prefix, whose provider has it in its prompt
//! cache, or those of one session. Only hashes leave this file.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, SeqAccess, Visitor};
use serde_json::value::RawValue;
use twox_hash::XxHash3_64;

use crate::config::Affinity;
use crate::conversation::{Conversation, Turn};
use crate::request::Request;

/// What names the end user: OpenAI's `user`, Anthropic's `metadata.user_id`.
#[derive(Deserialize)]
struct EndUser<'a> {
    #[serde(borrow, default, deserialize_with = "providers::optional_text")]
    user: Option<Cow<'a, str>>,
    #[serde(borrow)]
    metadata: Option<Metadata<'a>>,
}

#[derive(Deserialize)]
struct Metadata<'a> {
    #[serde(borrow, default, deserialize_with = "providers::optional_text")]
    user_id: Option<Cow<'a, str>>,
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
    let conversation = Conversation::read(body)?;
    let mut beginning = Beginning::of(model, &conversation)?;
    if !conversation.is_plain() {
        let turns = conversation.turns()?.get();
        // It ends with an error by design: the rest of the list is not read.
        let _ = serde_json::Deserializer::from_str(turns).deserialize_seq(FirstTurns(&mut beginning));
    }
    Some(beginning.key)
}

/// The key of model, tools, system text, and the conversation up to the first turn of the user: what stays as the conversation
/// grows. None without a conversation.
pub fn beginning(model: &str, conversation: &Conversation<'_>, turns: &[Turn<'_>]) -> Option<u64> {
    let mut beginning = Beginning::of(model, conversation)?;
    let _ = turns.iter().find(|turn| beginning.ends_with(turn));
    Some(beginning.key)
}

fn then(key: u64, text: &str) -> u64 {
    XxHash3_64::oneshot_with_seed(key, text.as_bytes())
}

/// What has been hashed so far.
struct Beginning {
    key: u64,
}

impl Beginning {
    /// Before the first turn.
    fn of(model: &str, conversation: &Conversation<'_>) -> Option<Self> {
        let mut key = XxHash3_64::oneshot(model.as_bytes());
        let before = [
            conversation.tools,
            conversation.system,
            conversation.instructions,
            conversation.system_instruction,
        ];
        for field in before {
            key = then(key, field.map_or("", RawValue::get));
        }
        let turns = conversation.turns()?;
        if conversation.is_plain() {
            key = then(key, turns.get());
        }
        Some(Self { key })
    }

    /// Goes on with a turn; true when that is the user's, or may be: Google's clients may leave the role out.
    fn ends_with(&mut self, turn: &Turn<'_>) -> bool {
        let said = [turn.said(), turn.output].into_iter().flatten().map(RawValue::get);
        let key = then(self.key, turn.role.as_deref().or(turn.kind.as_deref()).unwrap_or_default());
        self.key = said.fold(key, then);
        turn.role.as_deref().is_none_or(|role| role == "user")
    }
}

/// Goes on with turns up to the first of the user.
struct FirstTurns<'b>(&'b mut Beginning);

impl<'de> Visitor<'de> for FirstTurns<'_> {
    type Value = ();

    fn expecting(&self, text: &mut fmt::Formatter<'_>) -> fmt::Result {
        text.write_str("a list of turns")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut turns: A) -> Result<(), A::Error> {
        while let Some(turn) = turns.next_element::<Turn<'de>>()? {
            if self.0.ends_with(&turn) {
                return Ok(());
            }
        }
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
    fn the_turns_read_already_make_the_same_key() {
        for body in [
            r#"{"messages":[{"role":"system","content":"s"},{"role":"user","content":"u"},{"role":"user","content":"v"}]}"#,
            r#"{"input":"u"}"#,
            r#"{"contents":[{"parts":[{"text":"w"}]},{"role":"model","parts":[]}]}"#,
        ] {
            let conversation = Conversation::read(body.as_bytes()).unwrap();
            assert_eq!(beginning("m", &conversation, &conversation.read_turns()), of(body), "{body}");
        }
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
