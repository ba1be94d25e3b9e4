//! The conversation of the neutral request, spelt as `instructions` and `input`.

use serde_json::{Value, json};

use crate::Untranslatable;
use crate::canonical::{Maker, Media, Message, Part, Role, Signature};
use crate::fields::inexpressible;
use crate::formats::data_url::write_url;

/// The instructions as one text.
pub(super) fn instructions(system: &[Part]) -> Option<String> {
    let texts = Part::texts(system);
    (!texts.is_empty()).then(|| texts.join("\n\n"))
}

/// The turns as one list of items.
pub(super) fn encode_input(messages: &[Message]) -> Result<Vec<Value>, Untranslatable> {
    let mut items = Vec::with_capacity(messages.len());
    for message in messages {
        let path = format!("messages[{}].content", message.index);
        match message.role {
            Role::User => encode_user(message, &path, &mut items)?,
            Role::Assistant => encode_assistant(message, &path, &mut items)?,
        }
    }
    Ok(items)
}

/// A tool's answer is an item of its own, between what stands before and behind it.
fn encode_user(message: &Message, path: &str, items: &mut Vec<Value>) -> Result<(), Untranslatable> {
    let mut content = Vec::new();
    for (index, part) in message.parts.iter().enumerate() {
        let path = format!("{path}[{index}]");
        match part {
            Part::ToolResult { call_id, parts, .. } => {
                flush("user", &mut content, items);
                let output = encode_output(parts, &path)?;
                items.push(json!({ "type": "function_call_output", "call_id": call_id, "output": output }));
            }
            Part::CachePoint(_) => {}
            part => content.push(encode_part(part, &path)?),
        }
    }
    flush("user", &mut content, items);
    Ok(())
}

fn encode_assistant(message: &Message, path: &str, items: &mut Vec<Value>) -> Result<(), Untranslatable> {
    let mut content = Vec::new();
    for (index, part) in message.parts.iter().enumerate() {
        match part {
            Part::Text { text, .. } if text.is_empty() => {}
            Part::Text { text, .. } => content.push(json!({ "type": "output_text", "text": text })),
            Part::ToolCall { id, name, arguments } => {
                flush("assistant", &mut content, items);
                items.push(json!({
                    "type": "function_call", "call_id": id, "name": name, "arguments": arguments
                }));
            }
            Part::Reasoning { text, signature: Some(signature) } if is_own(signature) => {
                flush("assistant", &mut content, items);
                items.push(reasoning(Some(text).filter(|text| !text.is_empty()), signature));
            }
            Part::SealedReasoning(signature) if is_own(signature) => {
                flush("assistant", &mut content, items);
                items.push(reasoning(None, signature));
            }
            // Thinking is for the provider that signed it.
            Part::Reasoning { .. } | Part::SealedReasoning(_) | Part::CachePoint(_) => {}
            Part::Image(_) | Part::Document { .. } | Part::ToolResult { .. } => {
                return Err(inexpressible(&format!("{path}[{index}]"), "this content of the assistant"));
            }
        }
    }
    flush("assistant", &mut content, items);
    Ok(())
}

fn flush(role: &str, content: &mut Vec<Value>, items: &mut Vec<Value>) {
    if !content.is_empty() {
        let content = std::mem::take(content);
        items.push(json!({ "type": "message", "role": role, "content": content }));
    }
}

fn is_own(signature: &Signature) -> bool {
    signature.maker == Maker::OpenAi
}

/// Without the id it once had: that would ask for an item the provider has kept.
fn reasoning(text: Option<&String>, signature: &Signature) -> Value {
    let summary: Vec<Value> =
        text.map(|text| json!({ "type": "summary_text", "text": text })).into_iter().collect();
    json!({ "type": "reasoning", "summary": summary, "encrypted_content": signature.value })
}

/// A string as long as it is text: every server takes that.
fn encode_output(parts: &[Part], path: &str) -> Result<Value, Untranslatable> {
    if parts.iter().all(|part| matches!(part, Part::Text { .. } | Part::CachePoint(_))) {
        return Ok(Part::texts(parts).join("\n").into());
    }
    let kept = parts.iter().filter(|part| !matches!(part, Part::CachePoint(_)));
    kept.map(|part| encode_part(part, path)).collect()
}

fn encode_part(part: &Part, path: &str) -> Result<Value, Untranslatable> {
    match part {
        Part::Text { text, .. } => Ok(json!({ "type": "input_text", "text": text })),
        Part::Image(media) => Ok(json!({ "type": "input_image", "image_url": write_url(media) })),
        Part::Document { media: media @ Media::Base64 { .. }, name } => {
            let name = name.as_deref().unwrap_or("document.pdf");
            Ok(json!({ "type": "input_file", "filename": name, "file_data": write_url(media) }))
        }
        Part::Document { media: Media::Url(url), .. } => Ok(json!({ "type": "input_file", "file_url": url })),
        Part::ToolCall { .. } => Err(inexpressible(path, "a tool call of the user")),
        Part::ToolResult { .. } => Err(inexpressible(path, "a tool result within a tool result")),
        Part::Reasoning { .. } | Part::SealedReasoning(_) => Err(inexpressible(path, "thinking of the user")),
        Part::CachePoint(_) => Err(inexpressible(path, "a cache point")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_own_thoughts_go_back_and_in_their_place() {
        let signed = |maker, value: &str| Signature { maker, value: value.to_owned() };
        let thought = |maker| Part::Reasoning { text: "Hm.".to_owned(), signature: Some(signed(maker, "h")) };
        let parts = vec![
            Part::SealedReasoning(signed(Maker::OpenAi, "g")),
            thought(Maker::OpenAi),
            thought(Maker::Anthropic),
            Part::SealedReasoning(signed(Maker::Gemini, "x")),
            Part::Reasoning { text: "Hm.".to_owned(), signature: None },
            Part::text("Yes."),
        ];
        let message = Message { index: 0, role: Role::Assistant, parts };
        let expected = json!([
            { "type": "reasoning", "summary": [], "encrypted_content": "g" },
            { "type": "reasoning", "summary": [{ "type": "summary_text", "text": "Hm." }], "encrypted_content": "h" },
            { "type": "message", "role": "assistant", "content": [{ "type": "output_text", "text": "Yes." }] },
        ]);
        assert_eq!(Value::from(encode_input(&[message]).unwrap()), expected);
    }
}
