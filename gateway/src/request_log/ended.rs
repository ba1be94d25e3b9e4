//! What is left of a request that has ended, as its worker leaves it: nothing is copied or formatted there.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use domain::{Micros, Usage};
use providers::Operation;
use store::{LoggedRequest, Subject};

use crate::answer_cache::Mark;
use crate::keys::Principal;
use crate::ledger::ago_ms;
use crate::snapshot::Model;
use crate::upstream::Deployment;

/// A request that has ended.
#[derive(Debug)]
pub struct Ended {
    /// Our id of it.
    pub request_id: String,
    /// When its header was read.
    pub started: Instant,
    /// From then to the last byte out.
    pub duration: Duration,
    /// From then to the first token.
    pub first_token: Option<Duration>,
    /// Who asked.
    pub principal: Option<Arc<Principal>>,
    /// For which model.
    pub model: Option<Arc<Model>>,
    /// Who answered, or was asked last.
    pub deployment: Option<Arc<Deployment>>,
    /// What was asked for.
    pub operation: Option<Operation>,
    /// Its way past the cache.
    pub cache: Option<Mark>,
    /// The status that was sent.
    pub status: u16,
    /// Calls of deployments.
    pub attempts: u32,
    /// `ok` or an error's label.
    pub outcome: &'static str,
    /// Tokens, when somebody counted them.
    pub usage: Option<Usage>,
    /// What all attempts cost, when that is known.
    pub cost: Option<Micros>,
}

impl Ended {
    /// The room that it takes.
    pub(super) fn held(&self) -> usize {
        size_of::<Self>() + self.request_id.capacity()
    }
}

/// Makes requests of the log of them. What many have in common is made once: subjects are known by where their parts lie, which
/// `ended` keeps there.
pub(super) fn logged(ended: &[Ended]) -> Vec<LoggedRequest> {
    let mut subjects: HashMap<[usize; 3], Arc<Subject>> = HashMap::new();
    let mut one = |ended: &Ended| {
        let parts = [address(&ended.principal), address(&ended.model), address(&ended.deployment)];
        let subject = subjects.entry(parts).or_insert_with(|| Arc::new(subject(ended))).clone();
        request(ended, subject)
    };
    ended.iter().map(&mut one).collect()
}

fn address<T>(part: &Option<Arc<T>>) -> usize {
    part.as_ref().map_or(0, |part| Arc::as_ptr(part).addr())
}

fn subject(ended: &Ended) -> Subject {
    let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
    let (principal, deployment) = (ended.principal.as_deref(), ended.deployment.as_deref());
    Subject {
        key_id: text(principal.map(|principal| &*principal.id)),
        key_name: text(principal.map(|principal| &*principal.name)),
        team_id: text(principal.and_then(|principal| principal.team.as_deref())),
        user_id: text(principal.and_then(|principal| principal.user.as_deref())),
        model: text(ended.model.as_ref().map(|model| model.name.as_str())),
        deployment: text(deployment.map(|deployment| deployment.id.as_str())),
        provider: text(deployment.map(|deployment| deployment.provider.name.as_str())),
        tags: principal.map_or_else(Vec::new, |principal| principal.tags.to_vec()),
    }
}

fn request(ended: &Ended, subject: Arc<Subject>) -> LoggedRequest {
    let millis = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    LoggedRequest {
        request_id: ended.request_id.clone(),
        at_ms: ago_ms(ended.started.elapsed()),
        subject,
        operation: Cow::Borrowed(ended.operation.map_or("", Operation::as_str)),
        status: ended.status,
        error: Cow::Borrowed(if ended.outcome == "ok" { "" } else { ended.outcome }),
        cache: Cow::Borrowed(ended.cache.map_or("", Mark::as_str)),
        attempts: ended.attempts,
        duration_ms: millis(ended.duration),
        first_token_ms: ended.first_token.map(millis),
        usage: ended.usage.unwrap_or_default(),
        cost: ended.cost.unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_of_one_key_share_what_they_have_in_common() {
        let principal = Arc::new(Principal::nobody());
        let ended = |id: &str, principal: Option<Arc<Principal>>| Ended {
            request_id: id.to_owned(),
            started: Instant::now(),
            duration: Duration::from_micros(1_700),
            first_token: None,
            principal,
            model: None,
            deployment: None,
            operation: None,
            cache: Some(Mark::Bypass),
            status: 200,
            attempts: 0,
            outcome: "ok",
            usage: None,
            cost: None,
        };
        let waiting =
            [ended("one", Some(principal.clone())), ended("two", Some(principal)), ended("three", None)];
        let logged = logged(&waiting);
        assert!(Arc::ptr_eq(&logged[0].subject, &logged[1].subject));
        assert_eq!((logged[1].request_id.as_str(), logged[1].duration_ms), ("two", 1));
        assert_eq!((&*logged[1].error, &*logged[1].cache), ("", "bypass"));
        assert_eq!((logged[0].subject.key_id.as_str(), logged[2].subject.key_id.as_str()), ("anonymous", ""));
    }
}
