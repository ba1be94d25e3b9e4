//! What a stored key means to this process: its principal, with the counters and accounts that belong to it.

use std::sync::Arc;
use std::time::Duration;

use store::{Team, User, VirtualKey};

use super::entry::Entry;
use super::lists::Lists;
use super::stored::StoredKey;
use super::{Allowed, Counters, Inactive, Principal};
use crate::budgets::{Account, Budget, BudgetBook, Owner};
use crate::config::Priority;
use crate::limits::LimitBook;

/// Keeps the counters.
pub(super) struct Books<'a> {
    pub(super) limits: &'a LimitBook,
    pub(super) budgets: &'a BudgetBook,
}

impl Books<'_> {
    /// The account of an owner, with the budgets that the store has for it.
    pub(super) fn account(
        &self,
        owner: Owner,
        budgets: &[store::Budget],
        now_ms: i64,
    ) -> Option<Arc<Account>> {
        let budgets: Vec<Budget> = budgets.iter().map(budget).collect();
        self.budgets.account(owner, &budgets, now_ms)
    }

    /// The key with what it belongs to.
    pub(super) fn key(
        &self,
        lists: &mut Lists,
        key: &VirtualKey,
        team: Option<&Team>,
        user: Option<&User>,
        now_ms: i64,
    ) -> StoredKey {
        let id: Arc<str> = key.id.as_str().into();
        let own = self.account(Owner::Key(id.clone()), &key.budgets, now_ms);
        let find = |owner: Owner| self.budgets.find(&owner);
        let of_team = team.and_then(|team| find(Owner::Team(team.id.as_str().into())));
        let of_user = user.and_then(|user| find(Owner::User(user.id.as_str().into())));
        let principal = Principal {
            counters: Counters {
                limits: self.limits.of(&key.id, narrow(key.rpm), key.tpm, narrow(key.max_parallel)),
                accounts: own.into_iter().chain(of_team).chain(of_user).collect(),
            },
            id,
            name: key.name.as_str().into(),
            team: team.map(|team| team.id.as_str().into()),
            organization: match team {
                Some(team) => team.organization_id.as_deref().map(Into::into),
                None => key.organization_id.as_deref().map(Into::into),
            },
            user: user.map(|user| user.id.as_str().into()),
            tags: lists.of(&key.tags),
            allowed: if key.models.is_empty() {
                Allowed::EveryPublicModel
            } else {
                Allowed::Listed(lists.of(&key.models))
            },
            credentials: (!key.credentials.is_empty()).then(|| lists.of(&key.credentials)),
            default_model: key.default_model.as_deref().map(Into::into),
            stores_prompts: key.store_prompts,
            priority: priority(key.priority.as_deref()).unwrap_or_default(),
        };
        let inactive = [
            (key.blocked, Inactive::Blocked),
            (team.is_some_and(|team| team.blocked), Inactive::TeamBlocked),
            (user.is_some_and(|user| user.blocked), Inactive::UserBlocked),
        ];
        StoredKey {
            entry: Entry::new(principal),
            inactive: inactive.iter().find(|(is_so, _)| *is_so).map(|(_, inactive)| *inactive),
            expires_at_ms: key.expires_at_ms,
            graceful_until_ms: None,
        }
    }
}

/// The priority of this name.
pub(super) fn priority(name: Option<&str>) -> Option<Priority> {
    match name? {
        "high" => Some(Priority::High),
        "normal" => Some(Priority::Normal),
        "low" => Some(Priority::Low),
        _ => None,
    }
}

fn budget(stored: &store::Budget) -> Budget {
    Budget {
        limit: stored.limit,
        period: Duration::from_millis(stored.period_ms),
        alert_percent: stored.alert_percent,
    }
}

fn narrow(limit: Option<u64>) -> Option<u32> {
    limit.map(|limit| u32::try_from(limit).unwrap_or(u32::MAX))
}
