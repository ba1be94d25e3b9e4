//! Not Diamond's `POST /v2/modelRouter/modelSelect` (<https://docs.notdiamond.ai/reference>): messages and models in, the
//! model to ask out.

use providers::Operation;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{External, Label};
use crate::config::Tradeoff;
use crate::routing::assess::Assessment;

const BASE_URL: &str = "https://api.notdiamond.ai";

#[derive(Serialize)]
struct Question<'a> {
    messages: Messages<'a>,
    llm_providers: Vec<Offer<'a>>,
    hash_content: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    tradeoff: Option<Tradeoff>,
    #[serde(skip_serializing_if = "Option::is_none")]
    preference_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tools: Option<&'a RawValue>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Messages<'a> {
    /// As the client has sent them.
    AsSent(&'a RawValue),
    /// Of another format than OpenAI's the user's last turn alone.
    LastTurn([Message<'a>; 1]),
}

#[derive(Serialize)]
struct Message<'a> {
    role: &'static str,
    content: &'a str,
}

#[derive(Serialize)]
struct Offer<'a> {
    provider: &'a str,
    model: &'a str,
}

impl<'a> Offer<'a> {
    fn of(label: &'a Label) -> Self {
        Self { provider: &label.provider, model: &label.model }
    }
}

#[derive(Deserialize)]
struct Answer {
    providers: Vec<Picked>,
}

#[derive(Deserialize)]
struct Picked {
    provider: String,
    model: String,
}

pub(super) fn url(base: Option<&str>) -> String {
    format!("{}/v2/modelRouter/modelSelect", base.unwrap_or(BASE_URL).trim_end_matches('/'))
}

/// Its name for a provider of this kind.
pub(super) fn provider(kind: &str) -> &str {
    match kind {
        "gemini" | "vertex" => "google",
        "together" => "togetherai",
        "bedrock" => "amazon",
        other => other,
    }
}

impl External {
    pub(super) fn not_diamond_body(
        &self,
        assessment: &Assessment<'_>,
        operation: Operation,
        open: &[usize],
    ) -> Option<Vec<u8>> {
        let is_chat = operation == Operation::ChatCompletions;
        let conversation = &assessment.conversation;
        let messages = match conversation.messages().filter(|_| is_chat) {
            Some(messages) => Messages::AsSent(messages),
            None => Messages::LastTurn([Message { role: "user", content: assessment.text.as_deref()? }]),
        };
        let question = Question {
            messages,
            llm_providers: self.offered(open).map(|(_, label)| Offer::of(label)).collect(),
            hash_content: self.config.hash_content,
            tradeoff: self.config.tradeoff,
            preference_id: self.config.preference_id.as_deref(),
            tools: conversation.tools.filter(|_| is_chat),
        };
        serde_json::to_vec(&question).ok()
    }

    pub(super) fn not_diamond_choice(&self, answer: &[u8], open: &[usize]) -> Option<usize> {
        let answer: Answer = serde_json::from_slice(answer).ok()?;
        let Picked { provider, model } = answer.providers.into_iter().next()?;
        self.offered(open)
            .find(|(_, label)| label.provider == provider && label.model == model)
            .map(|(at, _)| at)
    }
}
