//! What of a request is read to route it: the text of the user's last turn, which the classifier scores, and the steps of
//! an agent so far, which rules ask for.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::conversation::{Conversation, Turn};

/// So much of a tool's result is searched for what tells an error.
const ERROR_HEAD_BYTES: usize = 64;
const ERROR_WORDS: [&str; 5] = ["error", "traceback", "exception", "failed", "fatal"];

/// How far an agent's conversation has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Steps {
    /// Turns of the user with text.
    pub turns: u64,
    /// Results of tools.
    pub tool_results: u64,
    /// Those that are errors, since the user's last turn.
    pub errors: u64,
    /// The last thing said is the result of a tool.
    pub after_tool: bool,
    /// There is a picture.
    pub has_images: bool,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Part<'a> {
    Text(#[serde(borrow)] Cow<'a, str>),
    Piece(#[serde(borrow)] Piece<'a>),
}

#[derive(Deserialize)]
struct Piece<'a> {
    #[serde(borrow, default, deserialize_with = "providers::optional_text")]
    text: Option<Cow<'a, str>>,
}

/// What a part is, without what is in it.
#[derive(Deserialize)]
struct Kind<'a> {
    #[serde(borrow, default, rename = "type", deserialize_with = "providers::optional_text")]
    kind: Option<Cow<'a, str>>,
    is_error: Option<bool>,
    #[serde(borrow)]
    content: Option<&'a RawValue>,
    #[serde(borrow, rename = "functionResponse")]
    function_response: Option<&'a RawValue>,
    #[serde(borrow, rename = "inlineData", alias = "inline_data")]
    inline_data: Option<&'a RawValue>,
    #[serde(borrow, rename = "fileData", alias = "file_data")]
    file_data: Option<&'a RawValue>,
}

/// The text of the last turn of the user that has any: results of tools and pictures have none.
pub fn last_user_text<'a>(conversation: &Conversation<'a>, turns: &[Turn<'a>]) -> Option<Cow<'a, str>> {
    if conversation.is_plain() {
        return text(conversation.turns()?);
    }
    let users = turns.iter().rev().filter(|turn| conversation.is_users(turn));
    users.into_iter().find_map(|turn| text(turn.said()?))
}

/// The steps so far; none where the conversation cannot be read.
pub fn steps(conversation: &Conversation<'_>, turns: &[Turn<'_>]) -> Steps {
    let mut steps = Steps::default();
    if conversation.is_plain() {
        steps.turns = 1;
        return steps;
    }
    for turn in turns {
        steps.after_tool = false;
        let is_result = turn.role.as_deref().is_some_and(|role| role == "tool" || role == "function")
            || turn.kind.as_deref() == Some("function_call_output");
        if is_result {
            steps.result(turn.said().or(turn.output).is_some_and(|said| tells_an_error(said.get())));
            continue;
        }
        if let Some(said) = turn.said() {
            steps.parts(said.get());
            if conversation.is_users(turn) && text(said).is_some() {
                steps.turns += 1;
                steps.errors = 0;
            }
        }
    }
    steps
}

impl Steps {
    fn result(&mut self, is_error: bool) {
        self.tool_results += 1;
        self.errors += u64::from(is_error);
        self.after_tool = true;
    }

    /// Results and pictures among the parts of a turn.
    fn parts(&mut self, said: &str) {
        if !said.starts_with('[') {
            return;
        }
        let parts: Vec<Kind<'_>> = serde_json::from_str(said).unwrap_or_default();
        for part in parts {
            match part.kind.as_deref() {
                Some("tool_result") => {
                    let told = part.content.is_some_and(|content| tells_an_error(content.get()));
                    self.result(part.is_error.unwrap_or(told));
                }
                Some("image" | "image_url" | "input_image") => self.has_images = true,
                _ => {}
            }
            if let Some(response) = part.function_response {
                self.result(response.get().contains("\"error\""));
            }
            self.has_images |= part.inline_data.is_some() || part.file_data.is_some();
        }
    }
}

/// Formats without a mark for it leave it to the text: an error is told at its beginning.
fn tells_an_error(result: &str) -> bool {
    let head = result.get(..result.floor_char_boundary(ERROR_HEAD_BYTES)).unwrap_or(result);
    let head = head.to_ascii_lowercase();
    ERROR_WORDS.iter().any(|word| head.contains(word)) && !head.contains("\"error\":null")
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
        Part::Piece(piece) => piece.text,
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

    fn said(body: &str) -> Option<String> {
        let conversation = Conversation::read(body.as_bytes())?;
        last_user_text(&conversation, &conversation.read_turns()).map(Cow::into_owned)
    }

    fn steps_of(body: &str) -> Steps {
        let conversation = Conversation::read(body.as_bytes()).unwrap();
        steps(&conversation, &conversation.read_turns())
    }

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
            assert_eq!(said(body).as_deref(), Some("new"), "{body}");
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
            assert_eq!(said(body), None, "{body}");
        }
    }

    #[test]
    fn escapes_and_several_parts_are_read() {
        let body = r#"{"messages":[{"role":"user","content":[{"type":"text","text":"a\"b"},{"type":"text","text":"c"}]}]}"#;
        assert_eq!(said(body).as_deref(), Some("a\"b\nc"));
    }

    #[test]
    fn an_agents_steps_are_counted_in_every_format() {
        for body in [
            r#"{"messages":[{"role":"user","content":"u"},{"role":"tool","content":"Error: no such file"},{"role":"tool","content":"42"}]}"#,
            r#"{"messages":[{"role":"user","content":"u"},{"role":"user","content":[{"type":"tool_result","is_error":true,"content":"x"},{"type":"tool_result","content":"42"}]}]}"#,
            r#"{"input":[{"role":"user","content":"u"},{"type":"function_call_output","output":"{\"error\": 1}"},{"type":"function_call_output","output":"42"}]}"#,
            r#"{"contents":[{"parts":[{"text":"u"}]},{"role":"user","parts":[{"functionResponse":{"response":{"error":"x"}}},{"functionResponse":{"response":{}}}]}]}"#,
        ] {
            let expected =
                Steps { turns: 1, tool_results: 2, errors: 1, after_tool: true, has_images: false };
            assert_eq!(steps_of(body), expected, "{body}");
        }
        let later = r#"{"messages":[{"role":"user","content":"u"},{"role":"tool","content":"Error"},{"role":"user","content":[{"type":"text","text":"v"},{"type":"image_url"}]}]}"#;
        assert_eq!(
            steps_of(later),
            Steps { turns: 2, tool_results: 1, errors: 0, after_tool: false, has_images: true }
        );
    }
}
