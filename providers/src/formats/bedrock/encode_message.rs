//! The messages of the neutral request, spelt for Converse.

use std::borrow::Cow;

use serde_json::{Map, Value, json};

use super::family::Family;
use super::opaque::write_redacted;
use crate::Untranslatable;
use crate::canonical::{CachePoint, Maker, Media, Message, Part, Role};
use crate::fields::{inexpressible, misshapen};

/// The longest id of a tool call.
const CALL_ID_CHARS: usize = 64;
/// The longest name of a document.
const NAME_CHARS: usize = 200;

/// The list for `system`: text and cache points.
pub(super) fn encode_instructions(system: &[Part], family: Family) -> Vec<Value> {
    let encode = |part: &Part| match part {
        Part::Text { text, .. } => encode_text(text),
        Part::CachePoint(point) if family.takes_cache_points() => Some(cache_point(point, family)),
        // Instructions are text.
        _ => None,
    };
    system.iter().filter_map(encode).collect()
}

/// Turns alternate: what several tools answered, and the text after it, is one turn of the user.
///
/// # Errors
/// When the format has no form for a piece of the conversation.
pub(super) fn encode_messages(messages: &[Message], family: Family) -> Result<Vec<Value>, Untranslatable> {
    let mut encoder = Encoder { family, documents: 0 };
    let mut turns: Vec<(Role, Vec<Value>)> = Vec::new();
    for message in messages {
        let path = format!("messages[{}].content", message.index);
        let mut blocks = Vec::with_capacity(message.parts.len());
        for (index, part) in message.parts.iter().enumerate() {
            blocks.extend(encoder.part(part, &format!("{path}[{index}]"))?);
        }
        match turns.last_mut() {
            Some((role, so_far)) if *role == message.role => so_far.extend(blocks),
            _ => turns.push((message.role, blocks)),
        }
    }
    let turns = turns.into_iter().filter(|(_, blocks)| !blocks.is_empty());
    Ok(turns
        .map(|(role, blocks)| {
            let role = if role == Role::User { "user" } else { "assistant" };
            json!({ "role": role, "content": blocks })
        })
        .collect())
}

/// A cut for the provider's cache; only Claude's has a choice of times.
pub(super) fn cache_point(point: &CachePoint, family: Family) -> Value {
    match point.ttl.as_deref().filter(|_| family.reads_claude()) {
        Some(ttl) => json!({ "cachePoint": { "type": "default", "ttl": ttl } }),
        None => json!({ "cachePoint": { "type": "default" } }),
    }
}

/// Bedrock refuses blank text, which OpenAI's clients send beside tool calls.
fn encode_text(text: &str) -> Option<Value> {
    (!text.trim().is_empty()).then(|| json!({ "text": text }))
}

struct Encoder {
    family: Family,
    /// Documents so far: each needs a name of its own.
    documents: usize,
}

impl Encoder {
    fn part(&mut self, part: &Part, path: &str) -> Result<Option<Value>, Untranslatable> {
        Ok(match part {
            Part::Text { text, .. } => encode_text(text),
            Part::Image(media) => Some(encode_image(media, path)?),
            Part::Document { media, name } => Some(self.document(media, name.as_deref(), path)?),
            Part::ToolCall { id, name, arguments } => Some(json!({
                "toolUse": { "toolUseId": self.call_id(id), "name": name, "input": input(arguments, path)? }
            })),
            Part::ToolResult { call_id, parts, is_error } => {
                Some(self.tool_result(call_id, parts, *is_error, path)?)
            }
            Part::Reasoning { text, signature: Some(signature) }
                if signature.maker == Maker::Anthropic && self.family.reads_claude() =>
            {
                let shown = json!({ "text": text, "signature": signature.value });
                Some(json!({ "reasoningContent": { "reasoningText": shown } }))
            }
            Part::SealedReasoning(sealed)
                if sealed.maker == Maker::Anthropic && self.family.reads_claude() =>
            {
                let redacted = write_redacted(&sealed.value);
                Some(json!({ "reasoningContent": { "redactedContent": redacted } }))
            }
            Part::CachePoint(point) if self.family.takes_cache_points() => {
                Some(cache_point(point, self.family))
            }
            // Thoughts of another maker, and hints that this one does not take.
            Part::Reasoning { .. } | Part::SealedReasoning(_) | Part::CachePoint(_) => None,
        })
    }

    fn tool_result(
        &mut self,
        call_id: &str,
        parts: &[Part],
        is_error: bool,
        path: &str,
    ) -> Result<Value, Untranslatable> {
        let mut content = Vec::with_capacity(parts.len());
        for (index, part) in parts.iter().enumerate() {
            let path = format!("{path}.content[{index}]");
            match part {
                Part::Text { .. } | Part::Image(_) | Part::Document { .. } => {
                    content.extend(self.part(part, &path)?);
                }
                // Cuts stand between blocks of a message, not inside one.
                Part::CachePoint(_) => {}
                _ => return Err(inexpressible(&path, "this content of a tool result")),
            }
        }
        let mut result = Map::new();
        result.insert("toolUseId".to_owned(), self.call_id(call_id).into());
        result.insert("content".to_owned(), content.into());
        if is_error {
            result.insert("status".to_owned(), "error".into());
        }
        Ok(json!({ "toolResult": result }))
    }

    /// Claude and Nova take letters, digits, `_` and `-`; calls that another model made may have more. A
    /// call and its result are changed alike.
    fn call_id<'a>(&self, id: &'a str) -> Cow<'a, str> {
        let fits = |character: char| character.is_ascii_alphanumeric() || "_-".contains(character);
        if matches!(self.family, Family::Other | Family::GptOss)
            || id.chars().all(fits) && id.len() <= CALL_ID_CHARS
        {
            return Cow::Borrowed(id);
        }
        let plain = |character: char| if fits(character) { character } else { '_' };
        // Ids differ at their end rather than at their beginning.
        let skipped = id.chars().count().saturating_sub(CALL_ID_CHARS);
        Cow::Owned(id.chars().skip(skipped).map(plain).collect())
    }

    fn document(&mut self, media: &Media, name: Option<&str>, path: &str) -> Result<Value, Untranslatable> {
        let format = match media {
            Media::Base64 { media_type, .. } => document_format(media_type),
            Media::Url(url) => url.rsplit_once('.').and_then(|(_, ending)| known_ending(ending)),
        };
        let format = format.ok_or_else(|| inexpressible(path, "a document of this type"))?;
        self.documents += 1;
        let name = document_name(name.unwrap_or_default(), self.documents);
        Ok(json!({ "document": { "format": format, "name": name, "source": encode_source(media, path)? } }))
    }
}

/// A name in the characters that Bedrock takes; numbered from the second document on.
fn document_name(name: &str, number: usize) -> String {
    let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
    let fits = |character: char| character.is_ascii_alphanumeric() || "-()[]".contains(character);
    let mut out = String::new();
    for word in stem.split(|character| !fits(character)).filter(|word| !word.is_empty()) {
        if !out.is_empty() {
            out.push(' ');
        }
        out.push_str(word);
    }
    out.truncate(NAME_CHARS - 24);
    let out = out.trim_end();
    match (out.is_empty(), number) {
        (true, number) => format!("document-{number}"),
        (false, 1) => out.to_owned(),
        (false, number) => format!("{out} {number}"),
    }
}

fn encode_image(media: &Media, path: &str) -> Result<Value, Untranslatable> {
    let kind = match media {
        Media::Base64 { media_type, .. } => media_type.strip_prefix("image/"),
        Media::Url(url) => url.rsplit_once('.').map(|(_, ending)| ending),
    };
    let format = match kind.map(str::to_ascii_lowercase).as_deref() {
        Some("png") => "png",
        Some("jpeg" | "jpg") => "jpeg",
        Some("gif") => "gif",
        Some("webp") => "webp",
        _ if matches!(media, Media::Url(url) if !is_in_s3(url)) => return encode_source(media, path),
        _ => return Err(inexpressible(path, "an image of this type")),
    };
    Ok(json!({ "image": { "format": format, "source": encode_source(media, path)? } }))
}

/// Bedrock fetches from S3 alone.
fn encode_source(media: &Media, path: &str) -> Result<Value, Untranslatable> {
    match media {
        Media::Base64 { payload, .. } => Ok(json!({ "bytes": payload })),
        Media::Url(url) if is_in_s3(url) => Ok(json!({ "s3Location": { "uri": url } })),
        Media::Url(_) => Err(inexpressible(path, "media by its web address")),
    }
}

fn is_in_s3(url: &str) -> bool {
    url.starts_with("s3://")
}

fn document_format(media_type: &str) -> Option<&'static str> {
    Some(match media_type.split(';').next().unwrap_or(media_type).trim() {
        "application/pdf" => "pdf",
        "text/plain" => "txt",
        "text/markdown" => "md",
        "text/html" => "html",
        "text/csv" => "csv",
        "application/msword" => "doc",
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document" => "docx",
        "application/vnd.ms-excel" => "xls",
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet" => "xlsx",
        _ => return None,
    })
}

fn known_ending(ending: &str) -> Option<&'static str> {
    const ENDINGS: [&str; 9] = ["pdf", "txt", "md", "html", "csv", "doc", "docx", "xls", "xlsx"];
    ENDINGS.into_iter().find(|known| known.eq_ignore_ascii_case(ending))
}

fn input(arguments: &str, path: &str) -> Result<Value, Untranslatable> {
    serde_json::from_str::<Map<String, Value>>(arguments)
        .map(Value::Object)
        .map_err(|_| misshapen(path, "the text of a JSON object"))
}
