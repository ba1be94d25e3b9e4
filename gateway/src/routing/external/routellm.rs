//! A server of RouteLLM, which speaks OpenAI's chat: `model` names router and threshold, and that of the answer is the model
//! that it picked. It has no way to pick without answering, so it is asked for one token.

use serde::{Deserialize, Serialize};

use super::External;
use crate::routing::assess::Assessment;

#[derive(Serialize)]
struct Question<'a> {
    model: &'a str,
    messages: [Message<'a>; 1],
    max_tokens: u32,
}

#[derive(Serialize)]
struct Message<'a> {
    role: &'static str,
    content: &'a str,
}

#[derive(Deserialize)]
struct Answer {
    model: String,
}

pub(super) fn url(base: &str) -> String {
    format!("{}/chat/completions", base.trim_end_matches('/'))
}

impl External {
    /// It scores the last message alone.
    pub(super) fn routellm_body(&self, assessment: &Assessment<'_>) -> Option<Vec<u8>> {
        let messages = [Message { role: "user", content: assessment.text.as_deref()? }];
        let model = self.config.router.as_deref()?;
        serde_json::to_vec(&Question { model, messages, max_tokens: 1 }).ok()
    }

    /// It may say `openai/gpt-4o` or `gpt-4o`, or a name of ours when it calls us.
    pub(super) fn routellm_choice(&self, answer: &[u8], open: &[usize]) -> Option<usize> {
        let Answer { model: said } = serde_json::from_slice(answer).ok()?;
        let bare = said.split_once('/').map_or(said.as_str(), |(_, bare)| bare);
        let is_it = |name: &str| name == said || name == bare;
        self.offered(open).find(|(_, label)| is_it(&label.model) || is_it(&label.public)).map(|(at, _)| at)
    }
}
