//! Signed and sealed reasoning in chat messages, which OpenAI's own format has no place for:
//! OpenRouter's `reasoning_details`, LiteLLM's `thinking_blocks`, and the `extra_content` in which Google
//! signs a tool call. References: <https://openrouter.ai/docs/use-cases/reasoning-tokens> and
//! <https://ai.google.dev/gemini-api/docs/thought-signatures>.

use serde_json::{Map, Value, json};

use crate::canonical::{Maker, Part, Signature};
use crate::formats::signature::{read_signature, write_signature};

/// Who reads what is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reader {
    /// Gives it back to us: a token carries its maker's name.
    Client,
    /// Takes its own token.
    Provider,
}

/// One entry of `reasoning_details` for readable reasoning.
pub(super) fn text_detail(index: usize, text: &str, signature: Option<&Signature>, reader: Reader) -> Value {
    let mut detail = Map::new();
    detail.insert("type".to_owned(), "reasoning.text".into());
    detail.insert("text".to_owned(), text.into());
    if let Some(signature) = signature {
        detail.insert("signature".to_owned(), token(signature, reader).into());
    }
    detail
        .insert("format".to_owned(), signature.map_or("unknown", |signature| format(signature.maker)).into());
    detail.insert("index".to_owned(), index.into());
    Value::Object(detail)
}

/// One entry of `reasoning_details` for sealed reasoning.
pub(super) fn sealed_detail(index: usize, sealed: &Signature, reader: Reader) -> Value {
    let (data, format) = (token(sealed, reader), format(sealed.maker));
    json!({ "type": "reasoning.encrypted", "data": data, "format": format, "index": index })
}

/// `reasoning_details` of a whole message; empty when nothing in it is signed or sealed, because plain
/// reasoning has a field of its own.
pub(super) fn details(parts: &[Part], reader: Reader) -> Vec<Value> {
    let mut out = Vec::new();
    let mut opaque = false;
    for (at, part) in parts.iter().enumerate() {
        match part {
            Part::Reasoning { text, signature } => {
                let calls = matches!(parts.get(at + 1), Some(Part::ToolCall { .. }));
                let signature = signature.as_ref().filter(|signature| !(calls && signs_call(signature)));
                opaque |= signature.is_some();
                if signature.is_some() || !text.is_empty() {
                    out.push(text_detail(out.len(), text, signature, reader));
                }
            }
            Part::SealedReasoning(sealed) => {
                opaque = true;
                out.push(sealed_detail(out.len(), sealed, reader));
            }
            _ => {}
        }
    }
    if opaque { out } else { Vec::new() }
}

/// A signature that stands in the tool call behind it.
pub(super) fn signs_call(signature: &Signature) -> bool {
    signature.maker == Maker::Gemini
}

/// The signature of the call behind `part`.
pub(super) fn call_signature(part: Option<&Part>) -> Option<&Signature> {
    match part {
        Some(Part::Reasoning { signature: Some(signature), .. }) if signs_call(signature) => Some(signature),
        _ => None,
    }
}

/// `extra_content` of a tool call. The place names its maker, so the token needs no mark.
pub(super) fn extra_content(signature: &Signature) -> Value {
    json!({ "google": { "thought_signature": signature.value } })
}

/// The signature in a tool call's `extra_content`, or where LiteLLM keeps it.
pub(super) fn read_call_signature(extra: Option<&Value>, litellm: Option<&Value>) -> Option<Signature> {
    let google = extra.and_then(|extra| extra.pointer("/google/thought_signature"));
    let token = google.or_else(|| litellm?.get("thought_signature"))?.as_str()?;
    (!token.is_empty()).then(|| read_signature(token.to_owned(), Maker::Gemini))
}

/// Reads the entries of `reasoning_details` and `thinking_blocks`; one of an unknown kind is passed over.
pub(super) fn read_details(details: &[Value]) -> Vec<Part> {
    details.iter().filter_map(read_detail).collect()
}

fn read_detail(detail: &Value) -> Option<Part> {
    let text = |field: &str| detail.get(field).and_then(Value::as_str).map(str::to_owned);
    let made_by = |otherwise: Maker| {
        let format = detail.get("format").and_then(Value::as_str).unwrap_or_default();
        maker(format).unwrap_or(otherwise)
    };
    let filled = |token: Option<String>| token.filter(|token| !token.is_empty());
    match detail.get("type")?.as_str()? {
        // Readable reasoning is signed by Anthropic and Google only, and only Google's names itself.
        "reasoning.text" => Some(Part::Reasoning {
            text: text("text").unwrap_or_default(),
            signature: filled(text("signature"))
                .map(|token| read_signature(token, made_by(Maker::Anthropic))),
        }),
        "reasoning.summary" => Some(Part::Reasoning { text: text("summary")?, signature: None }),
        "reasoning.encrypted" => {
            Some(Part::SealedReasoning(read_signature(filled(text("data"))?, made_by(Maker::OpenAi))))
        }
        "thinking" => Some(Part::Reasoning {
            text: text("thinking").unwrap_or_default(),
            signature: filled(text("signature")).map(|token| read_signature(token, Maker::Anthropic)),
        }),
        "redacted_thinking" => {
            Some(Part::SealedReasoning(read_signature(filled(text("data"))?, Maker::Anthropic)))
        }
        _ => None,
    }
}

fn token(signature: &Signature, reader: Reader) -> String {
    match reader {
        Reader::Client => write_signature(signature, Maker::OpenAi).into_owned(),
        Reader::Provider => signature.value.clone(),
    }
}

/// OpenRouter's name for whose token it is.
fn format(maker: Maker) -> &'static str {
    match maker {
        Maker::Anthropic => "anthropic-claude-v1",
        Maker::Gemini => "google-gemini-v1",
        Maker::OpenAi => "openai-responses-v1",
    }
}

fn maker(format: &str) -> Option<Maker> {
    match format.split('-').next() {
        Some("anthropic") => Some(Maker::Anthropic),
        Some("google") => Some(Maker::Gemini),
        Some("openai" | "azure" | "xai") => Some(Maker::OpenAi),
        _ => None,
    }
}
