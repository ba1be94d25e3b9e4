//! The messages of a request, read without keeping them.
//!
//! Owns what the mock remembers of a conversation: its length and its last turns. Texts are borrowed
//! from the body unless JSON escapes force a copy.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// The text of a message: a string, or parts of which the texts are joined.
#[derive(Clone, Debug, Default)]
pub(super) struct Content<'a> {
    pub(super) text: Cow<'a, str>,
    /// Characters of all texts.
    pub(super) chars: u64,
    /// One part is Anthropic's `tool_result`.
    pub(super) tool_result: bool,
}

/// What is left of the messages.
#[derive(Debug, Default)]
pub(super) struct Conversation<'a> {
    pub(super) messages: usize,
    pub(super) chars: u64,
    /// The last user message that has text.
    pub(super) last_user: Cow<'a, str>,
    /// The text of a last message by the assistant: the answer goes on from there.
    pub(super) prefill: Option<Cow<'a, str>>,
    pub(super) ends_with_tool_result: bool,
}

impl<'a> Conversation<'a> {
    fn add(&mut self, role: &str, content: Content<'a>) {
        self.messages += 1;
        self.chars += content.chars;
        self.ends_with_tool_result = role == "tool" || content.tool_result;
        self.prefill = None;
        match role {
            "user" if !content.text.is_empty() => self.last_user = content.text,
            "assistant" => self.prefill = Some(content.text),
            _ => {}
        }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Content<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ContentVisitor)
    }
}

struct ContentVisitor;

impl<'de> Visitor<'de> for ContentVisitor {
    type Value = Content<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string or an array of content parts")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        let chars = text.chars().count() as u64;
        Ok(Content { text: Cow::Borrowed(text), chars, tool_result: false })
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        let chars = text.chars().count() as u64;
        Ok(Content { text: Cow::Owned(text.to_owned()), chars, tool_result: false })
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Content::default())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut parts: A) -> Result<Self::Value, A::Error> {
        let mut content = Content::default();
        while let Some(part) = parts.next_element::<Part<'de>>()? {
            content.chars += part.content.chars;
            content.tool_result |= part.tool_result;
            if part.tool_result || part.content.text.is_empty() {
                continue;
            }
            if content.text.is_empty() {
                content.text = part.content.text;
            } else {
                let joined = content.text.to_mut();
                joined.push('\n');
                joined.push_str(&part.content.text);
            }
        }
        Ok(content)
    }
}

struct Part<'a> {
    content: Content<'a>,
    tool_result: bool,
}

impl<'de: 'a, 'a> Deserialize<'de> for Part<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(serde::Deserialize)]
        struct Wire<'a> {
            #[serde(borrow, default, rename = "type")]
            kind: Content<'a>,
            #[serde(borrow)]
            text: Option<Content<'a>>,
            #[serde(borrow)]
            content: Option<Content<'a>>,
        }
        let wire = Wire::deserialize(deserializer)?;
        Ok(Self {
            content: wire.text.or(wire.content).unwrap_or_default(),
            tool_result: wire.kind.text == "tool_result",
        })
    }
}

/// Role and content; every other field of a message is passed over.
struct Message<'a> {
    role: Content<'a>,
    content: Content<'a>,
}

impl<'de: 'a, 'a> Deserialize<'de> for Message<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MessageVisitor;

        impl<'de> Visitor<'de> for MessageVisitor {
            type Value = Message<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a message object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Self::Value, A::Error> {
                let mut message = Message { role: Content::default(), content: Content::default() };
                while let Some(name) = fields.next_key::<Content<'de>>()? {
                    match name.text.as_ref() {
                        "role" => message.role = fields.next_value()?,
                        "content" => message.content = fields.next_value()?,
                        _ => {
                            fields.next_value::<IgnoredAny>()?;
                        }
                    }
                }
                Ok(message)
            }
        }

        deserializer.deserialize_map(MessageVisitor)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Conversation<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ConversationVisitor;

        impl<'de> Visitor<'de> for ConversationVisitor {
            type Value = Conversation<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array of messages")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut messages: A) -> Result<Self::Value, A::Error> {
                let mut conversation = Conversation::default();
                while let Some(message) = messages.next_element::<Message<'de>>()? {
                    conversation.add(&message.role.text, message.content);
                }
                Ok(conversation)
            }
        }

        deserializer.deserialize_seq(ConversationVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Conversation<'_> {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn the_last_user_text_is_found_and_borrowed() {
        let conversation = read(
            r#"[{"role":"system","content":"be kind"},{"role":"user","name":"x","content":"hello there"}]"#,
        );
        assert!(matches!(conversation.last_user, Cow::Borrowed("hello there")));
        assert_eq!((conversation.messages, conversation.chars), (2, 18));
    }

    #[test]
    fn the_texts_of_parts_are_joined_and_images_passed_over() {
        let conversation = read(
            r#"[{"role":"user","content":[{"type":"text","text":"a\nb"},{"type":"image_url","image_url":{"url":"x"}},{"type":"text","text":"c"}]}]"#,
        );
        assert_eq!(conversation.last_user, "a\nb\nc");
    }

    #[test]
    fn a_tool_result_of_either_format_is_seen() {
        assert!(read(r#"[{"role":"tool","tool_call_id":"1","content":"42"}]"#).ends_with_tool_result);
        let anthropic =
            r#"[{"role":"user","content":[{"type":"tool_result","tool_use_id":"1","content":"42"}]}]"#;
        assert!(read(anthropic).ends_with_tool_result);
        assert!(!read(r#"[{"role":"user","content":"42"}]"#).ends_with_tool_result);
    }
}
