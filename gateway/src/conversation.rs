//! Where each client's format keeps what belongs to a conversation. Owns the names of those members; what they mean is
//! for whoever reads them.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

/// The members of a request's body that make a conversation, unread.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
pub struct Conversation<'a> {
    /// What the model may call.
    #[serde(borrow)]
    pub tools: Option<&'a RawValue>,
    /// Anthropic's system text.
    #[serde(borrow)]
    pub system: Option<&'a RawValue>,
    /// That of Responses.
    #[serde(borrow)]
    pub instructions: Option<&'a RawValue>,
    /// Google's.
    #[serde(borrow, rename = "systemInstruction")]
    pub system_instruction: Option<&'a RawValue>,
    /// What the client says of the request itself.
    #[serde(borrow)]
    pub metadata: Option<&'a RawValue>,
    /// In which form the answer is wanted, in OpenAI's chat.
    #[serde(borrow)]
    pub response_format: Option<&'a RawValue>,
    /// The same in an older form of Anthropic's.
    #[serde(borrow)]
    pub output_format: Option<&'a RawValue>,
    /// Where Anthropic has it now.
    #[serde(borrow)]
    pub output_config: Option<&'a RawValue>,
    /// Where Responses has it.
    #[serde(borrow)]
    pub text: Option<&'a RawValue>,
    /// Where Google has it.
    #[serde(borrow, rename = "generationConfig", alias = "generation_config")]
    pub generation_config: Option<&'a RawValue>,
    #[serde(borrow)]
    messages: Option<&'a RawValue>,
    #[serde(borrow)]
    input: Option<&'a RawValue>,
    #[serde(borrow)]
    contents: Option<&'a RawValue>,
    #[serde(borrow)]
    prompt: Option<&'a RawValue>,
}

/// One element of the list of turns. Which members it has depends on the format.
#[derive(Clone, Debug, Deserialize)]
pub struct Turn<'a> {
    /// Who speaks.
    #[serde(borrow, default, deserialize_with = "providers::optional_text")]
    pub role: Option<Cow<'a, str>>,
    /// What an item of Responses is.
    #[serde(borrow, default, rename = "type", deserialize_with = "providers::optional_text")]
    pub kind: Option<Cow<'a, str>>,
    #[serde(borrow)]
    content: Option<&'a RawValue>,
    #[serde(borrow)]
    parts: Option<&'a RawValue>,
    /// What a tool gave, in Responses.
    #[serde(borrow)]
    pub output: Option<&'a RawValue>,
}

impl<'a> Conversation<'a> {
    /// Of a body; None when that is no JSON object.
    pub fn read(body: &'a [u8]) -> Option<Self> {
        serde_json::from_slice(body).ok()
    }

    /// The list of turns, or the text that stands in its place.
    pub fn turns(&self) -> Option<&'a RawValue> {
        [self.messages, self.input, self.contents, self.prompt].into_iter().flatten().next()
    }

    /// The list of turns, read; empty where there is none, or none that can be read.
    pub fn read_turns(&self) -> Vec<Turn<'a>> {
        let list = self.turns().filter(|_| !self.is_plain());
        list.and_then(|list| serde_json::from_str(list.get()).ok()).unwrap_or_default()
    }

    /// The turns are no conversation but one text, or texts.
    pub fn is_plain(&self) -> bool {
        self.prompt.is_some() || self.turns().is_some_and(|turns| turns.get().starts_with('"'))
    }

    /// Is this turn the user's? Google's clients may leave the role out.
    pub fn is_users(&self, turn: &Turn<'_>) -> bool {
        turn.role.as_deref().map_or(self.contents.is_some(), |role| role == "user")
    }

    /// The messages as OpenAI's chat has them; None in another format.
    pub fn messages(&self) -> Option<&'a RawValue> {
        self.messages
    }
}

impl<'a> Turn<'a> {
    /// What is said: a text or a list of parts.
    pub fn said(&self) -> Option<&'a RawValue> {
        self.content.or(self.parts)
    }
}
