//! Who pays for what, as a segment of the log knows it: said once, and then referred to by number.

use std::collections::HashMap;
use std::sync::Arc;

use domain::ModelName;

use super::line::{self, Named};
use crate::keys::Principal;
use crate::upstream::Deployment;

/// More are forgotten all at once, and said again.
const MOST: usize = 4_096;

/// The subjects that the running segment has named.
#[derive(Debug, Default)]
pub(super) struct Subjects {
    numbers: HashMap<Place, Number>,
    /// Never used twice in a log.
    next: u64,
}

/// A subject is known by where its parts lie, which [`Number`] keeps there.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Place {
    principal: usize,
    deployment: usize,
    model: ModelName,
}

#[derive(Debug)]
struct Number {
    number: u64,
    _principal: Arc<Principal>,
    _deployment: Arc<Deployment>,
}

impl Subjects {
    /// The subject's number; `out` is given the line that says it when the segment has not said it yet.
    pub(super) fn number(
        &mut self,
        out: &mut Vec<u8>,
        principal: &Arc<Principal>,
        deployment: &Arc<Deployment>,
        model: &ModelName,
    ) -> u64 {
        let place = Place {
            principal: Arc::as_ptr(principal).addr(),
            deployment: Arc::as_ptr(deployment).addr(),
            model: model.clone(),
        };
        if let Some(known) = self.numbers.get(&place) {
            return known.number;
        }
        if self.numbers.len() >= MOST {
            self.numbers.clear();
        }
        let number = self.next;
        self.next += 1;
        line::encode_subject(out, number, &named(principal, deployment, model));
        let known = Number { number, _principal: principal.clone(), _deployment: deployment.clone() };
        self.numbers.insert(place, known);
        number
    }

    /// Another segment begins, or nobody knows what this one holds: everything is said again.
    pub(super) fn forget(&mut self) {
        self.numbers.clear();
    }
}

fn named<'a>(principal: &'a Principal, deployment: &'a Deployment, model: &'a ModelName) -> Named<'a> {
    Named {
        key_id: &principal.id,
        key_name: &principal.name,
        team_id: principal.team.as_deref().unwrap_or_default(),
        user_id: principal.user.as_deref().unwrap_or_default(),
        model: model.as_str(),
        deployment: deployment.id.as_str(),
        provider: deployment.provider.name.as_str(),
        tags: &principal.tags,
    }
}
