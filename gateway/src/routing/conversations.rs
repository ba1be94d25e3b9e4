//! Which model a conversation went to last. One that was pushed out of the table is decided as if it were new.

use std::time::{Duration, Instant};

use domain::ModelName;

use super::slots::Slots;

/// The last request of a conversation.
#[derive(Clone, Debug)]
pub struct Last {
    /// Who was to answer it.
    pub model: ModelName,
    /// Its prompt, estimated: so much may lie in the provider's prompt cache.
    pub tokens: u64,
    at: Instant,
}

/// Conversations of all routes.
#[derive(Debug)]
pub struct Conversations(Slots<Last>);

impl Default for Conversations {
    fn default() -> Self {
        Self(Slots::new(14))
    }
}

impl Conversations {
    /// The last request of a conversation, if it is no older than this.
    pub fn last(&self, key: u64, at_most: Duration, now: Instant) -> Option<Last> {
        self.0.get(key).filter(|last| now.saturating_duration_since(last.at) <= at_most)
    }

    /// This model is asked now.
    pub fn goes_to(&self, key: u64, model: ModelName, tokens: u64, at: Instant) {
        self.0.put(key, Last { model, tokens, at });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_conversation_is_remembered_for_a_while_and_not_mistaken_for_another() {
        let (conversations, now) = (Conversations::default(), Instant::now());
        let minute = Duration::from_secs(60);
        conversations.goes_to(7, "small".into(), 100, now);
        let last = conversations.last(7, minute, now + minute).unwrap();
        assert_eq!((last.model.as_str(), last.tokens), ("small", 100));
        assert!(conversations.last(7, minute, now + minute * 2).is_none());
        for other in 8..20_000 {
            assert!(conversations.last(other, minute, now).is_none());
        }
    }
}
