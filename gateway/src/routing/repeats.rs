//! Who gets an answer and sends the same request again was not content with it, as long as it is a person: an implicit
//! judgement. Only answers that came to their end count, so that a client that tries again after a failure judges nobody.

use std::time::{Duration, Instant};

use domain::ModelName;
use twox_hash::XxHash3_64;

use super::slots::Slots;
use crate::conversation::Conversation;
use crate::keys::Principal;

/// What is sent again later is a new question.
const LATEST: Duration = Duration::from_secs(600);

/// The last answers whose requests may be repeated, of all routes.
#[derive(Debug)]
pub struct Repeats(Slots<Answered>);

#[derive(Clone, Debug)]
struct Answered {
    request_id: String,
    at: Instant,
}

impl Default for Repeats {
    fn default() -> Self {
        Self(Slots::new(13))
    }
}

impl Repeats {
    /// Whose request it is, and what is asked: all turns; None without any.
    pub fn key(principal: &Principal, route: &ModelName, conversation: &Conversation<'_>) -> Option<u64> {
        let turns = conversation.turns()?;
        let who = [principal.id.as_bytes(), route.as_str().as_bytes(), turns.get().as_bytes()];
        Some(who.iter().fold(0, |key, bytes| XxHash3_64::oneshot_with_seed(key, bytes)))
    }

    /// An answer has come to its end.
    pub fn answered(&self, key: u64, request_id: &str, at: Instant) {
        self.0.put(key, Answered { request_id: request_id.to_owned(), at });
    }

    /// The request of the answer that the same request had before, once.
    pub fn asked_again(&self, key: u64, now: Instant) -> Option<String> {
        let before = self.0.take(key)?;
        (now.saturating_duration_since(before.at) <= LATEST).then_some(before.request_id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repetition_is_seen_once_and_not_after_ten_minutes() {
        let (repeats, now) = (Repeats::default(), Instant::now());
        repeats.answered(7, "a", now);
        assert_eq!(repeats.asked_again(8, now), None);
        assert_eq!(repeats.asked_again(7, now + LATEST).as_deref(), Some("a"));
        assert_eq!(repeats.asked_again(7, now + LATEST), None);
        repeats.answered(7, "b", now);
        assert_eq!(repeats.asked_again(7, now + LATEST + Duration::from_secs(1)), None);
    }

    #[test]
    fn the_key_is_of_who_asks_of_what_and_of_all_turns() {
        let of = |body: &str, route: &str| {
            let conversation = Conversation::read(body.as_bytes()).unwrap();
            Repeats::key(&Principal::nobody(), &route.into(), &conversation)
        };
        let one = r#"{"messages":[{"role":"user","content":"u"}],"temperature":1}"#;
        let again = r#"{"temperature":0,"messages":[{"role":"user","content":"u"}]}"#;
        let other = r#"{"messages":[{"role":"user","content":"v"}]}"#;
        assert!(of(one, "auto").is_some());
        assert_eq!(of(one, "auto"), of(again, "auto"));
        assert_ne!(of(one, "auto"), of(other, "auto"));
        assert_ne!(of(one, "auto"), of(one, "cheap"));
        assert_eq!(of("{}", "auto"), None);
    }
}
