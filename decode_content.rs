//! The turns of a Gemini request.

use serde_json::{Map, Value};

use super::encode_part::read_token;
use super::schema::camel;
use crate::Untranslatable;
use crate::canonical::{Media, Message, Part, Role, Signature};
use crate::fields::{inexpressible, misshapen, need_object, need_text, take, take_flag, take_list, take_text};

/// Calls and answers of one conversation. Older clients give no ids: calls are counted, and an answer
/// belongs to the first call of its tool that has none yet.
#[derive(Default)]
struct Calls {
    made: usize,
    /// Id and tool of the calls that wait for their answer.
    open: Vec<(String, String)>,
}

/// An object of Google's own, with its fields in one spelling: its JSON takes `inline_data` for
/// `inlineData`.
pub(super) fn fields(value: Value, path: &str) -> Result<Map<String, Value>, Untranslatable> {
    let map = need_object(value, path)?;
    Ok(map.into_iter().map(|(field, value)| (camel(&field), value)).collect())
}

/// Takes `contents` out of the body. Turns of one side that follow each other become one: a client that
/// keeps a stream keeps every event as a turn.
pub(super) fn take_contents(map: &mut Map<String, Value>) -> Result<Vec<Message>, Untranslatable> {
    let mut calls = Calls::default();
    let mut messages: Vec<Message> = Vec::new();
    for (index, content) in take_one_or_list(map, "contents")?.into_iter().enumerate() {
        let path = format!("contents[{index}]");
        let mut content = fields(content, &path)?;
        let role = match take_text(&mut content, "role", &path)?.as_deref() {
            None | Some("user" | "function" | "") => Role::User,
            Some("model") => Role::Assistant,
            Some(_) => return Err(misshapen(&format!("{path}.role"), "user or model")),
        };
        let parts = take_parts(&mut content, &path, &mut calls)?;
        match messages.last_mut() {
            Some(last) if last.role == Role::Assistant && role == last.role => {
                parts.into_iter().for_each(|part| add(&mut last.parts, part));
            }
            _ => {
                let mut joined = Vec::with_capacity(parts.len());
                if role == Role::Assistant {
                    parts.into_iter().for_each(|part| add(&mut joined, part));
                } else {
                    joined = parts;
                }
                messages.push(Message { index, role, parts: joined });
            }
        }
    }
    Ok(messages)
}

/// The texts of `systemInstruction`.
pub(super) fn system_parts(content: Value) -> Result<Vec<Part>, Untranslatable> {
    let path = "systemInstruction";
    if let Value::String(text) = content {
        return Ok(vec![Part::text(text)]);
    }
    let parts = take_parts(&mut fields(content, path)?, path, &mut Calls::default())?;
    if parts.iter().all(|part| matches!(part, Part::Text { .. })) {
        return Ok(parts);
    }
    Err(inexpressible(path, "something that is no text"))
}

/// Google's JSON takes one element for a list of one.
fn take_one_or_list(map: &mut Map<String, Value>, field: &str) -> Result<Vec<Value>, Untranslatable> {
    match take(map, field) {
        Some(one @ (Value::Object(_) | Value::String(_))) => Ok(vec![one]),
        Some(other) => {
            map.insert(field.to_owned(), other);
            take_list(map, field, "")
        }
        None => Ok(Vec::new()),
    }
}

fn take_parts(
    content: &mut Map<String, Value>,
    path: &str,
    calls: &mut Calls,
) -> Result<Vec<Part>, Untranslatable> {
    let mut out = Vec::new();
    for (index, part) in take_one_or_list(content, "parts")?.into_iter().enumerate() {
        let path = format!("{path}.parts[{index}]");
        take_part(fields(part, &path)?, &path, calls, &mut out)?;
    }
    Ok(out)
}

fn take_part(
    mut part: Map<String, Value>,
    path: &str,
    calls: &mut Calls,
    out: &mut Vec<Part>,
) -> Result<(), Untranslatable> {
    let signature = take_text(&mut part, "thoughtSignature", path)?;
    let signature = signature.filter(|token| !token.is_empty()).map(read_token);
    let text = take_text(&mut part, "text", path)?;
    if take_flag(&mut part, "thought")?.unwrap_or(false) {
        match (text, signature) {
            (None, Some(sealed)) => out.push(Part::SealedReasoning(sealed)),
            (text, signature) => {
                out.push(Part::Reasoning { text: text.unwrap_or_default(), signature });
            }
        }
        return Ok(());
    }
    sign(out, signature);
    if let Some(text) = text {
        if !text.is_empty() {
            out.push(Part::text(text));
        }
    } else if let Some(data) = take(&mut part, "inlineData") {
        let path = format!("{path}.inlineData");
        let mut data = fields(data, &path)?;
        let media_type = need_text(&mut data, "mimeType", &path)?;
        let name = take_text(&mut data, "displayName", &path)?;
        let payload = need_text(&mut data, "data", &path)?.replace('-', "+").replace('_', "/");
        out.push(media(Media::Base64 { media_type: media_type.clone(), payload }, &media_type, name, &path)?);
    } else if let Some(data) = take(&mut part, "fileData") {
        let path = format!("{path}.fileData");
        let mut data = fields(data, &path)?;
        let media_type = take_text(&mut data, "mimeType", &path)?.unwrap_or_else(|| "image/*".to_owned());
        let name = take_text(&mut data, "displayName", &path)?;
        let uri = need_text(&mut data, "fileUri", &path)?;
        let held = uri.starts_with("gs://") || uri.contains("generativelanguage.googleapis.com");
        if held || uri.contains("youtube.com/") || uri.contains("youtu.be/") {
            return Err(inexpressible(&path, "a file that only Google can fetch"));
        }
        out.push(media(Media::Url(uri), &media_type, name, &path)?);
    } else if let Some(call) = take(&mut part, "functionCall") {
        out.push(calls.call(call, &format!("{path}.functionCall"))?);
    } else if let Some(answer) = take(&mut part, "functionResponse") {
        out.push(calls.answer(answer, &format!("{path}.functionResponse"))?);
    } else if let Some(kind) = part.keys().next() {
        return Err(inexpressible(path, kind));
    }
    Ok(())
}

/// A signature belongs to the part behind it.
fn sign(out: &mut Vec<Part>, signature: Option<Signature>) {
    out.extend(signature.map(|signature| Part::Reasoning { text: String::new(), signature: Some(signature) }));
}

fn media(media: Media, kind: &str, name: Option<String>, path: &str) -> Result<Part, Untranslatable> {
    match kind.split('/').next() {
        Some("image") => Ok(Part::Image(media)),
        Some("audio" | "video") => Err(inexpressible(path, kind)),
        _ => Ok(Part::Document { media, name }),
    }
}

/// Joins the pieces of a streamed answer: thoughts up to their signature, and texts.
fn add(parts: &mut Vec<Part>, part: Part) {
    match (parts.last_mut(), part) {
        (
            Some(Part::Reasoning { text, signature: signature @ None }),
            Part::Reasoning { text: piece, signature: next },
        ) => {
            text.push_str(&piece);
            *signature = next;
        }
        (Some(Part::Text { text, .. }), Part::Text { text: piece, .. }) => text.push_str(&piece),
        (_, part) => parts.push(part),
    }
}

impl Calls {
    fn call(&mut self, call: Value, path: &str) -> Result<Part, Untranslatable> {
        let mut call = fields(call, path)?;
        self.made += 1;
        let id = take_text(&mut call, "id", path)?.filter(|id| !id.is_empty());
        let id = id.unwrap_or_else(|| format!("call_{}", self.made));
        let name = need_text(&mut call, "name", path)?;
        let args = take(&mut call, "args").unwrap_or_else(|| Value::Object(Map::new()));
        self.open.push((id.clone(), name.clone()));
        Ok(Part::ToolCall { id, name, arguments: args.to_string() })
    }

    fn answer(&mut self, answer: Value, path: &str) -> Result<Part, Untranslatable> {
        let mut answer = fields(answer, path)?;
        let id = take_text(&mut answer, "id", path)?.filter(|id| !id.is_empty());
        let name = take_text(&mut answer, "name", path)?.unwrap_or_default();
        let at = match &id {
            Some(id) => self.open.iter().position(|(open, _)| open == id),
            None => self.open.iter().position(|(_, tool)| *tool == name),
        };
        let open = at.map(|at| self.open.remove(at).0);
        let call_id = open.or(id).ok_or_else(|| {
            misshapen(path, &format!("the answer to a call before it; there is none of {name:?}"))
        })?;
        let (mut parts, is_error) = read_response(take(&mut answer, "response").unwrap_or_default());
        for (index, part) in take_list(&mut answer, "parts", path)?.into_iter().enumerate() {
            let path = format!("{path}.parts[{index}]");
            take_part(fields(part, &path)?, &path, self, &mut parts)?;
        }
        Ok(Part::ToolResult { call_id, parts, is_error })
    }
}

/// The text of a tool's answer: what stands alone under Google's keys, else the object as JSON.
fn read_response(response: Value) -> (Vec<Part>, bool) {
    let plain = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let (text, is_error) = match &response {
        Value::Null => (String::new(), false),
        Value::Object(map) if map.len() == 1 => match map.iter().next() {
            Some((key, value)) if key == "error" => (plain(value), true),
            Some((key, value)) if key == "output" || key == "result" => (plain(value), false),
            _ => (response.to_string(), false),
        },
        other => (plain(other), false),
    };
    let parts = if text.is_empty() { Vec::new() } else { vec![Part::text(text)] };
    (parts, is_error)
}
