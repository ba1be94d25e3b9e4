//! `contents` and `systemInstruction` of a request.

use std::collections::{HashMap, HashSet, VecDeque};

use serde_json::{Map, Value};

use super::decode_request::{need_message, take_several};
use super::signature::{plain_base64, read_signature};
use crate::Untranslatable;
use crate::canonical::{Media, Message, Part, Role, Signature};
use crate::fields::{inexpressible, misshapen, need_text, take, take_flag, take_text};

/// Takes `systemInstruction` out of the body.
pub(super) fn take_instruction(map: &mut Map<String, Value>) -> Result<Vec<Part>, Untranslatable> {
    let Some(instruction) = take(map, "systemInstruction") else { return Ok(Vec::new()) };
    let path = "systemInstruction";
    let mut instruction = need_message(instruction, path)?;
    let mut parts = Vec::new();
    for (index, part) in take_several(&mut instruction, "parts").into_iter().enumerate() {
        let path = format!("{path}.parts[{index}]");
        match take_text(&mut need_message(part, &path)?, "text", &path)? {
            Some(text) => parts.push(Part::text(text)),
            None => return Err(inexpressible(&path, "an instruction that is not text")),
        }
    }
    Ok(parts)
}

/// Takes `contents` out of the body.
pub(super) fn take_contents(map: &mut Map<String, Value>) -> Result<Vec<Message>, Untranslatable> {
    let mut messages: Vec<Message> = Vec::new();
    let mut calls = Calls::default();
    for (index, content) in take_several(map, "contents").into_iter().enumerate() {
        let path = format!("contents[{index}]");
        let mut content = need_message(content, &path)?;
        let role = match take_text(&mut content, "role", &path)?.as_deref() {
            None | Some("" | "user" | "function") => Role::User,
            Some("model") => Role::Assistant,
            Some(_) => return Err(misshapen(&format!("{path}.role"), "user or model")),
        };
        // Google's SDKs keep each event of a stream as a content of its own.
        let goes_on =
            role == Role::Assistant && messages.last().is_some_and(|last| last.role == Role::Assistant);
        if !goes_on {
            messages.push(Message { index, role, parts: Vec::new() });
        }
        let Some(message) = messages.last_mut() else { continue };
        for (index, part) in take_several(&mut content, "parts").into_iter().enumerate() {
            take_part(part, &format!("{path}.parts[{index}]"), &mut calls, &mut message.parts)?;
            let is_empty = |part: &mut Part| matches!(part, Part::Text { text, .. } if text.is_empty());
            if goes_on {
                message.parts.pop_if(is_empty);
            }
        }
    }
    Ok(messages)
}

/// The calls of the conversation so far. Google tells them apart by name and order, other formats by
/// an id.
#[derive(Default)]
struct Calls {
    ids: HashSet<String>,
    answered: HashSet<String>,
    /// By name, the first call first.
    waiting: HashMap<String, VecDeque<String>>,
}

impl Calls {
    fn call(&mut self, id: Option<String>, name: &str) -> String {
        let mut number = self.ids.len();
        let id = id.filter(|id| !id.is_empty()).unwrap_or_else(|| {
            while self.ids.contains(&format!("call_{number}")) {
                number += 1;
            }
            format!("call_{number}")
        });
        self.ids.insert(id.clone());
        self.waiting.entry(name.to_owned()).or_default().push_back(id.clone());
        id
    }

    /// The call that a result of this name belongs to.
    fn result(&mut self, id: Option<String>, name: &str) -> Option<String> {
        let known = id.filter(|id| self.ids.contains(id));
        let id = known.or_else(|| {
            let waiting = self.waiting.get_mut(name)?;
            std::iter::from_fn(|| waiting.pop_front()).find(|id| !self.answered.contains(id))
        })?;
        self.answered.insert(id.clone());
        Some(id)
    }
}

fn take_part(part: Value, path: &str, calls: &mut Calls, out: &mut Vec<Part>) -> Result<(), Untranslatable> {
    let mut part = need_message(part, path)?;
    let thought = take_flag(&mut part, "thought")?.unwrap_or(false);
    let signature = take_text(&mut part, "thoughtSignature", path)?.filter(|value| !value.is_empty());
    let signature = signature.map(read_signature);
    let text = take_text(&mut part, "text", path)?;
    if thought {
        take_thought(text.unwrap_or_default(), signature, out);
        return Ok(());
    }
    let signed = signature.is_some();
    out.extend(signature.map(|signed| Part::Reasoning { text: String::new(), signature: Some(signed) }));
    if let Some(text) = text {
        // An empty text only carries its signature.
        if !text.is_empty() || !signed {
            out.push(Part::text(text));
        }
    } else if let Some(data) = take(&mut part, "inlineData") {
        out.push(decode_inline(data, &format!("{path}.inlineData"))?);
    } else if let Some(file) = take(&mut part, "fileData") {
        out.push(decode_file(file, &format!("{path}.fileData"))?);
    } else if let Some(call) = take(&mut part, "functionCall") {
        let path = format!("{path}.functionCall");
        let mut call = need_message(call, &path)?;
        let name = need_text(&mut call, "name", &path)?;
        let args = take(&mut call, "args").unwrap_or_else(|| Value::Object(Map::new()));
        let id = calls.call(take_text(&mut call, "id", &path)?, &name);
        out.push(Part::ToolCall { id, name, arguments: args.to_string() });
    } else if let Some(result) = take(&mut part, "functionResponse") {
        out.push(decode_result(result, &format!("{path}.functionResponse"), calls)?);
    } else if let Some((kind, _)) = part.iter().find(|(_, value)| !value.is_null()) {
        return Err(inexpressible(&format!("{path}.{kind}"), "a part of the provider's own"));
    } else if !signed {
        return Err(misshapen(path, "a part with text, inlineData, fileData or a call"));
    }
    Ok(())
}

/// A client that keeps the pieces of a stream has one thought in several parts, the signature in the last.
fn take_thought(text: String, signature: Option<Signature>, out: &mut Vec<Part>) {
    match (out.last_mut(), signature) {
        (Some(Part::Reasoning { text: so_far, signature: open @ None }), signature) => {
            so_far.push_str(&text);
            *open = signature;
        }
        (_, Some(sealed)) if text.is_empty() => out.push(Part::SealedReasoning(sealed)),
        (_, signature) => out.push(Part::Reasoning { text, signature }),
    }
}

fn decode_result(result: Value, path: &str, calls: &mut Calls) -> Result<Part, Untranslatable> {
    let mut result = need_message(result, path)?;
    let name = need_text(&mut result, "name", path)?;
    let id = take_text(&mut result, "id", path)?;
    let call_id =
        calls.result(id, &name).ok_or_else(|| misshapen(path, "the result of a functionCall before it"))?;
    let response = take(&mut result, "response").unwrap_or_default();
    let is_error =
        response.as_object().is_some_and(|fields| fields.len() == 1 && fields.contains_key("error"));
    let mut parts = vec![Part::text(result_text(&response))];
    for (index, part) in take_several(&mut result, "parts").into_iter().enumerate() {
        let path = format!("{path}.parts[{index}]");
        let mut part = need_message(part, &path)?;
        if let Some(data) = take(&mut part, "inlineData") {
            parts.push(decode_inline(data, &path)?);
        } else if let Some(file) = take(&mut part, "fileData") {
            parts.push(decode_file(file, &path)?);
        } else {
            return Err(inexpressible(&path, "a part of the provider's own"));
        }
    }
    Ok(Part::ToolResult { call_id, parts, is_error })
}

/// The fields that the reference names for a result hold it; anything else is the result itself.
fn result_text(response: &Value) -> String {
    let only = match response {
        Value::Object(fields) if fields.len() == 1 => {
            ["output", "error", "result"].iter().find_map(|field| fields.get(*field))
        }
        _ => None,
    };
    match only.unwrap_or(response) {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

fn decode_inline(data: Value, path: &str) -> Result<Part, Untranslatable> {
    let mut data = need_message(data, path)?;
    let media_type = need_text(&mut data, "mimeType", path)?;
    let name = take_text(&mut data, "displayName", path)?;
    let payload = plain_base64(&need_text(&mut data, "data", path)?);
    place(&media_type.clone(), Media::Base64 { media_type, payload }, name, path)
}

fn decode_file(file: Value, path: &str) -> Result<Part, Untranslatable> {
    let mut file = need_message(file, path)?;
    let url = need_text(&mut file, "fileUri", path)?;
    let name = take_text(&mut file, "displayName", path)?;
    let held = !url.starts_with("http") || url.contains("generativelanguage.googleapis.com/");
    if held {
        return Err(inexpressible(path, "a file that Google holds"));
    }
    let media_type = need_text(&mut file, "mimeType", path)?;
    place(&media_type, Media::Url(url), name, path)
}

fn place(media_type: &str, media: Media, name: Option<String>, path: &str) -> Result<Part, Untranslatable> {
    match media_type.split('/').next() {
        Some("image") => Ok(Part::Image(media)),
        Some("audio" | "video") => Err(inexpressible(path, media_type)),
        _ => Ok(Part::Document { media, name }),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::encode_contents::encode_contents;
    use super::super::signature::write_signature;
    use super::*;
    use crate::canonical::Maker;

    fn contents(contents: Value) -> Vec<Message> {
        let mut map = Map::from_iter([("contents".to_owned(), contents)]);
        take_contents(&mut map).unwrap()
    }

    #[test]
    fn the_pieces_of_one_streamed_thought_are_one_thought_with_its_signature() {
        let anthropic = Signature { maker: Maker::Anthropic, value: "s".to_owned() };
        let sealed = Signature { maker: Maker::OpenAi, value: "t".to_owned() };
        let turn = contents(json!([{ "role": "model", "parts": [
            { "text": "a", "thought": true },
            { "text": "b", "thought": true },
            { "text": "", "thought": true, "thought_signature": write_signature(&anthropic) },
            { "text": "", "thought": true, "thoughtSignature": write_signature(&sealed) },
            { "text": "Hi", "thoughtSignature": "google" },
        ] }]));
        let google = Signature { maker: Maker::Gemini, value: "google".to_owned() };
        assert_eq!(
            turn[0].parts,
            [
                Part::Reasoning { text: "ab".to_owned(), signature: Some(anthropic) },
                Part::SealedReasoning(sealed),
                Part::Reasoning { text: String::new(), signature: Some(google) },
                Part::text("Hi"),
            ]
        );
    }

    #[test]
    fn a_turn_whose_events_were_kept_one_by_one_is_one_turn() {
        let signed = Signature { maker: Maker::Anthropic, value: "s".to_owned() };
        let event = |part: Value| json!({ "role": "model", "parts": [part] });
        let turns = contents(json!([
            { "role": "user", "parts": [{ "text": "x" }] },
            event(json!({ "text": "hm", "thought": true })),
            event(json!({ "text": "", "thought": true, "thoughtSignature": write_signature(&signed) })),
            event(json!({ "text": "a" })),
            event(json!({ "functionCall": { "name": "f" } })),
            event(json!({ "functionCall": { "name": "g" } })),
            event(json!({ "text": "" })),
            { "role": "user", "parts": [{ "functionResponse": { "name": "f", "response": {} } }] },
            { "role": "user", "parts": [{ "functionResponse": { "name": "g", "response": {} } }] },
        ]));
        assert_eq!(turns.len(), 4);
        let call = |id: &str, name: &str| Part::ToolCall {
            id: id.to_owned(),
            name: name.to_owned(),
            arguments: "{}".to_owned(),
        };
        let thought = Part::Reasoning { text: "hm".to_owned(), signature: Some(signed) };
        assert_eq!(turns[1].parts, [thought, Part::text("a"), call("call_0", "f"), call("call_1", "g")]);
    }

    #[test]
    fn googles_signatures_come_back_on_the_parts_that_they_sign() {
        let turns = json!([
            { "role": "user", "parts": [{ "text": "x" }] },
            { "role": "model", "parts": [
                { "functionCall": { "id": "a", "name": "f", "args": {} }, "thoughtSignature": "s" },
                { "functionCall": { "id": "b", "name": "f", "args": {} } },
            ] },
            { "role": "user", "parts": [
                { "functionResponse": { "id": "a", "name": "f", "response": { "output": "1" } } },
                { "functionResponse": { "id": "b", "name": "f", "response": { "error": "2" } } },
            ] },
            { "role": "model", "parts": [{ "text": "y" }, { "text": "", "thoughtSignature": "t" }] },
        ]);
        let spelt = encode_contents(&contents(turns.clone()), true).unwrap();
        assert_eq!(Value::from(spelt), turns);
    }

    #[test]
    fn results_without_an_id_go_to_the_first_waiting_call_of_their_name() {
        let mut calls = Calls::default();
        let named = |name: &str, calls: &mut Calls| calls.result(None, name);
        assert_eq!(calls.call(None, "f"), "call_0");
        assert_eq!(calls.call(Some("call_2".to_owned()), "g"), "call_2");
        assert_eq!(calls.call(None, "f"), "call_3");
        assert_eq!(calls.result(Some("call_0".to_owned()), "f").as_deref(), Some("call_0"));
        assert_eq!(named("f", &mut calls).as_deref(), Some("call_3"));
        assert_eq!(named("f", &mut calls), None);
        assert_eq!(calls.result(Some("unknown".to_owned()), "g").as_deref(), Some("call_2"));
    }
}
