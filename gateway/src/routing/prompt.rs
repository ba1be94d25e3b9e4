//! What the classifier reads: the text of the user's last turn, in every client's format.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

/// Where each format keeps the conversation.
#[derive(Deserialize)]
struct Conversation<'a> {
    #[serde(borrow)]
    messages: Option<&'a RawValue>,
    #[serde(borrow)]
    input: Option<&'a RawValue>,
    #[serde(borrow)]
    contents: Option<&'a RawValue>,
    #[serde(borrow)]
    prompt: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Turn<'a> {
    #[serde(borrow)]
    role: Option<Cow<'a, str>>,
    #[serde(borrow)]
    content: Option<&'a RawValue>,
    #[serde(borrow)]
    parts: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Part<'a> {
    Text(#[serde(borrow)] Cow<'a, str>),
    Piece {
        #[serde(borrow)]
        text: Option<Cow<'a, str>>,
    },
}

/// The text of the last turn of the user that has any: results of tools and pictures have none.
pub fn last_user_text(body: &[u8]) -> Option<Cow<'_, str>> {
    let conversation: Conversation<'_> = serde_json::from_slice(body).ok()?;
    let Conversation { messages, input, contents, prompt } = conversation;
    let raw = [messages, input, contents, prompt].into_iter().flatten().next()?;
    if prompt.is_some() || raw.get().starts_with('"') {
        return text(raw);
    }
    let turns: Vec<Turn<'_>> = serde_json::from_str(raw.get()).ok()?;
    let is_user = |turn: &Turn<'_>| match turn.role.as_deref() {
        Some(role) => role == "user",
        // Google's clients may leave the role out.
        None => contents.is_some(),
    };
    turns.iter().rev().filter(|turn| is_user(turn)).find_map(|turn| text(turn.content.or(turn.parts)?))
}

/// A string, or the text in a list of parts.
fn text(raw: &RawValue) -> Option<Cow<'_, str>> {
    let raw = raw.get();
    if raw.starts_with('"') {
        let text: Quoted<'_> = serde_json::from_str(raw).ok()?;
        return Some(text.0).filter(|text| !text.trim().is_empty());
    }
    let parts: Vec<Part<'_>> = serde_json::from_str(raw).ok()?;
    let mut texts = parts.into_iter().filter_map(|part| match part {
        Part::Text(text) => Some(text),
        Part::Piece { text } => text,
    });
    let first = texts.next()?;
    let joined = texts.fold(first, |joined, text| Cow::Owned(format!("{joined}\n{text}")));
    Some(joined).filter(|text| !text.trim().is_empty())
}

#[derive(Deserialize)]
struct Quoted<'a>(#[serde(borrow)] Cow<'a, str>);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_turn_of_the_user_is_found_in_every_format() {
        for body in [
            r#"{"messages":[{"role":"user","content":"old"},{"role":"assistant","content":"a"},{"role":"user","content":"new"}]}"#,
            r#"{"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"x"}},{"type":"text","text":"new"}]}]}"#,
            r#"{"messages":[{"role":"user","content":"new"},{"role":"user","content":[{"type":"tool_result","content":"42"}]}]}"#,
            r#"{"input":"new"}"#,
            r#"{"input":[{"role":"user","content":[{"type":"input_text","text":"new"}]},{"type":"function_call_output","output":"1"}]}"#,
            r#"{"contents":[{"parts":[{"text":"new"}]},{"role":"model","parts":[{"text":"a"}]}]}"#,
            r#"{"prompt":"new"}"#,
            r#"{"prompt":["new"]}"#,
        ] {
            assert_eq!(last_user_text(body.as_bytes()).as_deref(), Some("new"), "{body}");
        }
    }

    #[test]
    fn a_request_without_text_of_a_user_has_none() {
        for body in [
            "{}",
            "[",
            r#"{"messages":[]}"#,
            r#"{"messages":[{"role":"system","content":"s"}]}"#,
            r#"{"input":7}"#,
        ] {
            assert_eq!(last_user_text(body.as_bytes()), None, "{body}");
        }
    }

    #[test]
    fn escapes_and_several_parts_are_read() {
        let body = br#"{"messages":[{"role":"user","content":[{"type":"text","text":"a\"b"},{"type":"text","text":"c"}]}]}"#;
        assert_eq!(last_user_text(body).as_deref(), Some("a\"b\nc"));
    }
}
