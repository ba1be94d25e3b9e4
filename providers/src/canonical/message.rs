//! Messages and what they are made of.

use serde_json::{Map, Value};

/// Who a message is from. What a tool answers comes from the user's side, as in Anthropic's format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    User,
    Assistant,
}

/// One turn.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Message {
    /// Its place in the client's list, for the names in errors.
    pub(crate) index: usize,
    pub(crate) role: Role,
    pub(crate) parts: Vec<Part>,
}

/// One piece of a turn, in the order it was given.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Part {
    /// Text; `rest` holds fields beside it that the source format does not know.
    Text { text: String, rest: Map<String, Value> },
    /// A picture.
    Image(Media),
    /// A document with its file name.
    Document { media: Media, name: Option<String> },
    /// The model calls a tool; the arguments are JSON text.
    ToolCall { id: String, name: String, arguments: String },
    /// What a tool answered.
    ToolResult { call_id: String, parts: Vec<Part>, is_error: bool },
    /// What the model thought. Only the provider that signed it takes it back. With an empty text the
    /// signature belongs to the part that follows, as Gemini signs its tool calls.
    Reasoning { text: String, signature: Option<Signature> },
    /// What the model thought, readable by its maker only. Goes back to it unchanged.
    SealedReasoning(Signature),
    /// The prompt up to here is worth keeping in the provider's own cache.
    CachePoint(CachePoint),
}

impl Part {
    pub(crate) fn text(text: impl Into<String>) -> Self {
        Self::Text { text: text.into(), rest: Map::new() }
    }

    /// The texts among these.
    pub(crate) fn texts(parts: &[Self]) -> Vec<&str> {
        parts
            .iter()
            .filter_map(|part| match part {
                Self::Text { text, .. } => Some(text.as_str()),
                _ => None,
            })
            .collect()
    }
}

/// A provider's opaque token, and which family of models can read it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Signature {
    pub(crate) maker: Maker,
    pub(crate) value: String,
}

/// Who can read a [`Signature`]. Anthropic's holds on every platform that serves Claude.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Maker {
    Anthropic,
    Gemini,
    OpenAi,
}

/// Where to cut a prompt for the provider's cache, and for how long: `5m` or `1h`, else the provider's default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct CachePoint {
    pub(crate) ttl: Option<String>,
}

/// Where a picture or document is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Media {
    Url(String),
    Base64 { media_type: String, payload: String },
}
