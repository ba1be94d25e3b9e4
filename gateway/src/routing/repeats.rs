//! Who gets an answer and sends the same request again was not content with it, as long as it is a person: an implicit
//! judgement. Only whole answers of providers count, on both sides: a client that tries again after a failure judges nobody,
//! nor does one whose repetition a cache or somebody else's call answers.

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

/// A request that says something of its answer when it comes again.
#[derive(Clone, Copy, Debug)]
pub struct Repeatable {
    /// Whose it is and what is asked.
    pub key: u64,
    /// What its answer was worth then.
    pub score: f64,
}

impl Repeatable {
    /// By who asks and all turns; None without any.
    pub fn of(
        score: f64,
        principal: &Principal,
        route: &ModelName,
        conversation: &Conversation<'_>,
    ) -> Option<Self> {
        let turns = conversation.turns()?;
        let who = [principal.id.as_bytes(), route.as_str().as_bytes(), turns.get().as_bytes()];
        let key = who.iter().fold(0, |key, bytes| XxHash3_64::oneshot_with_seed(key, bytes));
        Some(Self { key, score })
    }
}

impl Repeats {
    /// A provider's answer has come to its end now. Returns the request of the answer before it, if that had ended when this
    /// request was sent, not too long ago.
    pub fn answered(&self, key: u64, request_id: &str, sent: Instant, now: Instant) -> Option<String> {
        let before = self.0.get(key);
        self.0.put(key, Answered { request_id: request_id.to_owned(), at: now });
        let before = before?;
        let is_repeated = sent.checked_duration_since(before.at).is_some_and(|since| since <= LATEST);
        is_repeated.then_some(before.request_id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repetition_is_sent_after_the_answer_and_not_later_than_ten_minutes() {
        let (repeats, begun) = (Repeats::default(), Instant::now());
        let at = |seconds| begun + Duration::from_secs(seconds);
        assert_eq!(repeats.answered(7, "a", at(0), at(5)), None);
        assert_eq!(repeats.answered(7, "b", at(4), at(6)), None, "it was sent before the answer was there");
        assert_eq!(repeats.answered(8, "c", at(7), at(8)), None, "it is another request");
        assert_eq!(repeats.answered(7, "d", at(606), at(700)).as_deref(), Some("b"));
        assert_eq!(repeats.answered(7, "e", at(1_301), at(1_302)), None);
    }

    #[test]
    fn the_key_is_of_who_asks_of_what_and_of_all_turns() {
        let of = |body: &str, route: &str| {
            let conversation = Conversation::read(body.as_bytes()).unwrap();
            Repeatable::of(0.5, &Principal::nobody(), &route.into(), &conversation).map(|it| it.key)
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
