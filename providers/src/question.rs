//! The question that a conversation ends in, and where it stands: what is left of the body is what an answer to another
//! wording of it must share. Reads only requests whose last message is a user's text and nothing else.

use std::borrow::Cow;
use std::ops::Range;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::Operation;
use crate::formats::{offset_in, text_of};

/// The last question of a conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastQuestion {
    /// Its text.
    pub text: String,
    /// Where in the body its message lies.
    pub span: Range<usize>,
}

#[derive(Deserialize)]
struct Conversation<'a> {
    #[serde(borrow)]
    messages: Option<Vec<&'a RawValue>>,
    #[serde(borrow)]
    input: Option<&'a RawValue>,
}

/// A message with another member is more than its text.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Message<'a> {
    #[serde(borrow)]
    role: Cow<'a, str>,
    #[serde(borrow)]
    content: &'a RawValue,
    #[serde(borrow, default, deserialize_with = "crate::optional_text")]
    r#type: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TextPart<'a> {
    #[serde(borrow)]
    r#type: Cow<'a, str>,
    #[serde(borrow)]
    text: Cow<'a, str>,
}

/// The last question of a request; None when its last message is no user's text.
pub fn last_question(operation: Operation, body: &[u8]) -> Option<LastQuestion> {
    let body = std::str::from_utf8(body).ok()?;
    let conversation: Conversation<'_> = serde_json::from_str(body).ok()?;
    let last = match operation {
        Operation::ChatCompletions | Operation::Messages => conversation.messages?.last().copied()?,
        Operation::Responses => {
            let input = conversation.input?;
            if let Some(text) = text_of(input) {
                return Some(LastQuestion { text: text.into_owned(), span: span_in(body, input) });
            }
            serde_json::from_str::<Vec<&RawValue>>(input.get()).ok()?.last().copied()?
        }
        _ => return None,
    };
    let message: Message<'_> = serde_json::from_str(last.get()).ok()?;
    let is_message = message.r#type.is_none_or(|kind| kind == "message");
    let text = (is_message && message.role == "user").then(|| text(message.content))??;
    Some(LastQuestion { text, span: span_in(body, last) })
}

fn text(content: &RawValue) -> Option<String> {
    if let Some(text) = text_of(content) {
        return Some(text.into_owned());
    }
    let parts: Vec<TextPart<'_>> = serde_json::from_str(content.get()).ok()?;
    let is_text = |part: &TextPart<'_>| part.r#type == "text" || part.r#type == "input_text";
    (!parts.is_empty() && parts.iter().all(is_text))
        .then(|| parts.iter().map(|part| &*part.text).collect::<Vec<_>>().join("\n"))
}

fn span_in(body: &str, raw: &RawValue) -> Range<usize> {
    let start = offset_in(body, raw);
    start..start + raw.get().len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn finds(operation: Operation, body: &str, text: &str, message: &str) {
        let found = last_question(operation, body.as_bytes()).unwrap();
        assert_eq!((found.text.as_str(), &body[found.span]), (text, message));
    }

    #[test]
    fn the_last_message_of_the_user_is_found_in_each_format() {
        let message = r#"{"role":"user","content":"a \"b\""}"#;
        let body = format!(r#"{{"messages":[{{"role":"system","content":"s"}}, {message}],"model":"m"}}"#);
        finds(Operation::ChatCompletions, &body, "a \"b\"", message);
        let message = r#"{"content":[{"type":"text","text":"a"},{"type":"text","text":"b"}],"role":"user"}"#;
        finds(Operation::Messages, &format!(r#"{{"messages":[{message}]}}"#), "a\nb", message);
        finds(Operation::Responses, r#"{"input":"why?"}"#, "why?", "\"why?\"");
        let message = r#"{"type":"message","role":"user","content":[{"type":"input_text","text":"why?"}]}"#;
        finds(Operation::Responses, &format!(r#"{{"input":[{message}]}}"#), "why?", message);
    }

    #[test]
    fn what_is_more_than_a_users_text_is_no_question() {
        for message in [
            r#"{"role":"assistant","content":"a"}"#,
            r#"{"role":"tool","content":"a","tool_call_id":"1"}"#,
            r#"{"role":"user","content":"a","name":"x"}"#,
            r#"{"role":"user","content":[]}"#,
            r#"{"role":"user","content":null}"#,
            r#"{"role":"user","content":[{"type":"image_url","image_url":{"url":"x"}}]}"#,
            r#"{"role":"user","content":[{"type":"text","text":"a","cache_control":{"type":"ephemeral"}}]}"#,
            "3",
        ] {
            let body = format!(r#"{{"messages":[{message}],"input":[{message}]}}"#);
            for operation in [Operation::ChatCompletions, Operation::Responses, Operation::Embeddings] {
                assert_eq!(last_question(operation, body.as_bytes()), None, "{message}");
            }
        }
        assert_eq!(last_question(Operation::ChatCompletions, b"{}"), None);
    }
}
