//! All virtual keys by the hash of the key.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::Arc;

use domain::Micros;
use subtle::ConstantTimeEq;

use super::entry::Entry;
use super::lists::Lists;
use super::{Allowed, Counters, KeyHash, Principal};
use crate::budgets::{Budget, BudgetBook, Owner};
use crate::config::{BudgetConfig, Config};
use crate::huge_pages;
use crate::ledger::now_ms;
use crate::limits::LimitBook;

/// Virtual keys by hash.
#[derive(Debug, Default)]
pub struct KeyTable {
    by_hash: HashMap<KeyHash, Entry>,
    /// Who an unauthenticated request stands for, when no keys are configured and
    /// `listen` is a loopback address.
    open: Option<Arc<Principal>>,
}

impl KeyTable {
    /// The keys of a checked configuration.
    ///
    /// # Errors
    /// When a secret has gone since the check.
    pub fn new(config: &Config, limits: &LimitBook, budgets: &BudgetBook) -> Result<Self, String> {
        huge_pages::allow_for(config.keys.len());
        let (mut table, mut lists) = (Self::default(), Lists::default());
        for key in &config.keys {
            let secret = key.key.resolve().map_err(|problem| format!("key {}: {problem}", key.name))?;
            let name: Arc<str> = Arc::from(key.name.as_str());
            let own: Vec<Budget> = key.budget.iter().map(budget).collect();
            let account = budgets.account(Owner::Key(name.clone()), &own, now_ms());
            let principal = Principal {
                id: name.clone(),
                name,
                team: None,
                organization: key.organization_id.as_deref().map(Into::into),
                user: None,
                tags: Arc::default(),
                allowed: key
                    .models
                    .as_ref()
                    .map_or(Allowed::EveryPublicModel, |models| Allowed::Listed(lists.of(models))),
                credentials: key.credentials.as_ref().map(|names| lists.of(names)),
                default_model: None,
                stores_prompts: key.store_prompts,
                priority: key.priority,
                counters: Counters {
                    limits: limits.of(&key.name, key.rpm, key.tpm, key.max_parallel),
                    accounts: account.into_iter().collect(),
                },
            };
            table.by_hash.insert(KeyHash::of(secret.expose().as_bytes()), Entry::new(principal));
        }
        let is_local = config.listen.parse::<SocketAddr>().is_ok_and(|address| address.ip().is_loopback());
        if config.keys.is_empty() && is_local {
            table.open = Some(Arc::new(Principal::nobody()));
        }
        Ok(table)
    }

    /// Who the key stands for. The look-up is by hash, and the hashes are compared in constant time.
    pub fn find(&self, key: Option<&[u8]>) -> Option<&Arc<Principal>> {
        if self.by_hash.is_empty() {
            return None;
        }
        let wanted = KeyHash::of(key?);
        let (hash, entry) = self.by_hash.get_key_value(&wanted)?;
        bool::from(hash.ct_eq(&wanted)).then(|| entry.fetch())
    }

    /// The key with this id.
    pub fn of_id(&self, id: &str) -> Option<Arc<Principal>> {
        self.principals().find(|principal| *principal.id == *id).cloned()
    }

    fn principals(&self) -> impl Iterator<Item = &Arc<Principal>> {
        self.by_hash.values().map(Entry::principal)
    }

    /// Whose accounts pay.
    pub fn owners(&self) -> HashSet<&Owner> {
        let accounts = self.principals().flat_map(|principal| &principal.counters.accounts);
        accounts.map(|account| &account.owner).collect()
    }

    /// Who a request without a known key stands for, when no keys are configured.
    pub fn open(&self) -> Option<&Arc<Principal>> {
        self.open.as_ref()
    }
}

fn budget(config: &BudgetConfig) -> Budget {
    Budget { limit: Micros::from_usd(config.usd), period: config.per.0, alert_percent: config.alert_percent }
}
