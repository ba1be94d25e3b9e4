//! The turns of the neutral request, spelt as `contents`.

use std::collections::HashMap;

use serde_json::{Map, Value, json};

use super::signature::UNSIGNED;
use crate::Untranslatable;
use crate::canonical::{Maker, Media, Message, Part, Role, Signature};
use crate::fields::{inexpressible, misshapen};

/// Spells the turns. What follows each other from one side is one turn, because the answers to several
/// calls have to stand together.
pub(super) fn encode_contents(messages: &[Message], sign: bool) -> Result<Vec<Value>, Untranslatable> {
    let mut turns: Vec<(Role, Turn)> = Vec::new();
    let mut names = HashMap::new();
    for message in messages {
        let path = format!("messages[{}].content", message.index);
        if turns.last().is_none_or(|(role, _)| *role != message.role) {
            turns.push((message.role, Turn::default()));
        }
        let Some((_, turn)) = turns.last_mut() else { continue };
        for (index, part) in message.parts.iter().enumerate() {
            turn.take(part, &format!("{path}[{index}]"), &mut names)?;
        }
    }
    Ok(turns
        .into_iter()
        .map(|(role, turn)| (role, turn.close(sign && role == Role::Assistant)))
        .filter(|(_, parts)| !parts.is_empty())
        .map(|(role, parts)| {
            json!({ "role": if role == Role::User { "user" } else { "model" }, "parts": parts })
        })
        .collect())
}

/// The parts of one turn so far.
#[derive(Default)]
struct Turn {
    parts: Vec<Map<String, Value>>,
    /// Signs the next part that is no thought.
    signature: Option<String>,
    first_call: Option<usize>,
}

impl Turn {
    fn take<'a>(
        &mut self,
        part: &'a Part,
        path: &str,
        names: &mut HashMap<&'a str, &'a str>,
    ) -> Result<(), Untranslatable> {
        match part {
            Part::Text { text, .. } => {
                // Google refuses empty text, which OpenAI's clients send beside tool calls.
                if !text.is_empty() {
                    self.push("text", text.clone().into());
                }
            }
            Part::Image(media) => self.media(media, "image/jpeg"),
            Part::Document { media, .. } => self.media(media, "application/pdf"),
            Part::ToolCall { id, name, arguments } => {
                names.insert(id, name);
                let args = parse_arguments(arguments, path)?;
                self.first_call.get_or_insert(self.parts.len());
                self.push("functionCall", json!({ "id": id, "name": name, "args": args }));
            }
            Part::ToolResult { call_id, parts, is_error } => {
                let name = names
                    .get(call_id.as_str())
                    .ok_or_else(|| misshapen(path, "the result of a call that stands before it"))?;
                self.push("functionResponse", encode_result(call_id, name, parts, *is_error, path)?);
            }
            Part::Reasoning { text, signature: Some(Signature { maker: Maker::Gemini, value }) } => {
                if !text.is_empty() {
                    let mut thought = Map::new();
                    thought.insert("text".to_owned(), text.clone().into());
                    thought.insert("thought".to_owned(), true.into());
                    self.parts.push(thought);
                }
                self.signature = Some(value.clone());
            }
            // Nobody but its maker reads it.
            Part::Reasoning { .. } | Part::SealedReasoning(_) | Part::CachePoint(_) => {}
        }
        Ok(())
    }

    fn media(&mut self, media: &Media, fallback: &str) {
        let (field, value) = encode_media(media, fallback);
        self.push(field, value);
    }

    fn push(&mut self, field: &str, value: Value) {
        let mut part = Map::new();
        part.insert(field.to_owned(), value);
        if let Some(signature) = self.signature.take() {
            part.insert("thoughtSignature".to_owned(), signature.into());
        }
        self.parts.push(part);
    }

    /// With `sign`, the first call gets a signature if it has none; the calls beside it need none.
    fn close(mut self, sign: bool) -> Vec<Map<String, Value>> {
        if self.signature.is_some() {
            self.push("text", "".into());
        }
        if let Some(call) = self.first_call.filter(|_| sign).and_then(|index| self.parts.get_mut(index)) {
            call.entry("thoughtSignature").or_insert_with(|| UNSIGNED.into());
        }
        self.parts
    }
}

fn parse_arguments(arguments: &str, path: &str) -> Result<Value, Untranslatable> {
    if arguments.trim().is_empty() {
        return Ok(Value::Object(Map::new()));
    }
    serde_json::from_str::<Map<String, Value>>(arguments)
        .map(Value::Object)
        .map_err(|_| misshapen(path, "the text of a JSON object"))
}

/// A result is an object: one that the tool wrote as JSON goes as it is, other text in the field that
/// the reference names for it.
fn encode_result(
    id: &str,
    name: &str,
    parts: &[Part],
    is_error: bool,
    path: &str,
) -> Result<Value, Untranslatable> {
    let (mut texts, mut media) = (Vec::new(), Vec::new());
    for part in parts {
        match part {
            Part::Text { text, .. } => texts.push(text.as_str()),
            Part::Image(image) => media.push(encode_media(image, "image/jpeg")),
            Part::Document { media: document, .. } => media.push(encode_media(document, "application/pdf")),
            Part::CachePoint(_) => {}
            _ => return Err(inexpressible(path, "a tool result that is neither text nor media")),
        }
    }
    let text = texts.join("\n");
    let response = match serde_json::from_str::<Map<String, Value>>(&text) {
        Ok(object) if !is_error => Value::Object(object),
        _ if is_error => json!({ "error": text }),
        _ => json!({ "output": text }),
    };
    let mut out = json!({ "id": id, "name": name, "response": response });
    if let (false, Some(out)) = (media.is_empty(), out.as_object_mut()) {
        let media = media.into_iter().map(|(field, value)| json!({ field: value })).collect();
        out.insert("parts".to_owned(), media);
    }
    Ok(out)
}

fn encode_media(media: &Media, fallback: &str) -> (&'static str, Value) {
    match media {
        Media::Base64 { media_type, payload } => {
            ("inlineData", json!({ "mimeType": media_type, "data": payload }))
        }
        Media::Url(url) => ("fileData", json!({ "mimeType": media_type(url, fallback), "fileUri": url })),
    }
}

/// Vertex AI wants a type beside every address; other formats have none, and the name often tells.
fn media_type<'a>(url: &str, fallback: &'a str) -> &'a str {
    let path = url.split(['?', '#']).next().unwrap_or(url);
    let ending = path.rsplit_once('.').map_or("", |(_, ending)| ending).to_ascii_lowercase();
    match ending.as_str() {
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "webp" => "image/webp",
        "gif" => "image/gif",
        "heic" => "image/heic",
        "heif" => "image/heif",
        "pdf" => "application/pdf",
        "txt" | "md" => "text/plain",
        "html" | "htm" => "text/html",
        "csv" => "text/csv",
        _ => fallback,
    }
}
