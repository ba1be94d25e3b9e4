//! Follows the keys, teams and users of the store, on its thread and beside the requests. What changed is read and
//! resolved, the rest is kept; the table is then replaced whole. While the store is away the last known state stays.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use store::{Store, StoreError, Team, Topic, User, VirtualKey};

use super::lists::Lists;
use super::resolve::Books;
use super::stored::{StoredKey, StoredTable};
use super::{KeyHash, StoredKeys};
use crate::budgets::{Account, Owner};
use crate::huge_pages;
use crate::ledger::{Applier, ApplyError, Ledger, now_ms};
use crate::limits::LimitBook;
use crate::telemetry::Metrics;

/// Between two looks at the store's revisions.
const EVERY: Duration = Duration::from_millis(250);
/// After a failure, at most.
const LONGEST_BACKOFF: Duration = Duration::from_secs(5);

/// Brings the keys of the store to the requests.
pub struct KeySync {
    store: Store,
    keys: Arc<StoredKeys>,
    limits: Arc<LimitBook>,
    /// Loads accounts.
    applier: Applier,
    ledger: Arc<Ledger>,
    metrics: &'static Metrics,
    seen: Option<BTreeMap<Topic, u64>>,
    known: Known,
}

/// What was read before, by id.
#[derive(Default)]
struct Known {
    keys: HashMap<String, (VirtualKey, Option<StoredKey>)>,
    teams: HashMap<String, Team>,
    users: HashMap<String, User>,
    lists: Lists,
}

impl KeySync {
    /// From this store to this table.
    pub fn new(
        store: Store,
        keys: Arc<StoredKeys>,
        limits: Arc<LimitBook>,
        ledger: Arc<Ledger>,
        metrics: &'static Metrics,
    ) -> Self {
        let applier = Applier::new(ledger.clone(), store.clone(), metrics);
        Self { store, keys, limits, applier, ledger, metrics, seen: None, known: Known::default() }
    }

    /// Follows for ever.
    pub async fn run(mut self) {
        let mut pause = EVERY;
        loop {
            tokio::time::sleep(pause).await;
            match self.refresh().await {
                Ok(()) => pause = EVERY,
                Err(error) => {
                    // What was read before it is not yet resolved, so the next time resolves everything.
                    self.known.keys.values_mut().for_each(|(_, resolved)| *resolved = None);
                    self.metrics.keys.failures.inc();
                    tracing::warn!(%error, "the keys of the store stay as they were last known");
                    pause = (pause * 2).min(LONGEST_BACKOFF);
                }
            }
        }
    }

    /// Reads what has changed since the last time.
    ///
    /// # Errors
    /// When the store is away; the next call reads it then.
    pub async fn refresh(&mut self) -> Result<(), ApplyError> {
        // Before the rows: what changes meanwhile is found again the next time.
        let current = self.store.revisions().current().await?;
        if self.seen.as_ref() == Some(&current) {
            return Ok(());
        }
        let has_changed =
            |topic| self.seen.as_ref().is_none_or(|seen| seen.get(&topic) != current.get(&topic));
        let (of_keys, of_teams) = (has_changed(Topic::Keys), has_changed(Topic::Teams));
        let mut fresh = Vec::new();
        let mut owners = HashSet::new();
        // A new key may name a new team, so the teams are read behind the keys and resolved before them.
        let changed_keys = if of_keys { self.read_keys().await? } else { HashSet::new() };
        if of_teams || of_keys {
            owners = self.read_owners(&mut fresh).await?;
        }
        self.resolve(&changed_keys, &owners, &mut fresh);
        for account in fresh {
            // What is unsettled includes what runs here, and that is held already.
            let is_idle = account.is_idle(now_ms());
            self.applier.load(&account, is_idle).await?;
        }
        self.publish(!current.contains_key(&Topic::Keys));
        self.seen = Some(current);
        Ok(())
    }

    /// Ids of the keys that are new or changed. Those that are gone take their counters with them.
    async fn read_keys(&mut self) -> Result<HashSet<String>, StoreError> {
        let versions = self.store.keys().versions().await?;
        huge_pages::allow_for(versions.len());
        let known = |id: &str| self.known.keys.get(id).map(|(key, _)| (key.version, key.updated_at_ms));
        let changed = changed(&versions, known);
        let rows = self.store.keys().of_ids(&changed).await?;
        self.known.keys.retain(|id, _| {
            let stays = versions.contains_key(id);
            if !stays {
                self.limits.forget(id);
                self.ledger.budgets.account(Owner::Key(id.as_str().into()), &[], now_ms());
            }
            stays
        });
        let mut ids = HashSet::new();
        for mut key in rows {
            // Notes may be long, and nobody reads them here.
            key.metadata.clear();
            ids.insert(key.id.clone());
            self.known.keys.insert(key.id.clone(), (key, None));
        }
        Ok(ids)
    }

    /// Ids of teams and users that are new, changed or gone; their accounts are brought up to date.
    async fn read_owners(&mut self, fresh: &mut Vec<Arc<Account>>) -> Result<HashSet<String>, StoreError> {
        let books = Books { limits: &self.limits, budgets: &self.ledger.budgets };
        let mut ids = HashSet::new();

        let versions = self.store.teams().versions().await?;
        let known = &mut self.known.teams;
        let ids_changed =
            changed(&versions, |id| known.get(id).map(|team| (team.version, team.updated_at_ms)));
        let rows_of_teams = self.store.teams().of_ids(&ids_changed).await?;
        for gone in gone(known, &versions) {
            known.remove(&gone);
            books.account(Owner::Team(gone.as_str().into()), &[], now_ms());
            ids.insert(gone);
        }
        for team in rows_of_teams {
            fresh.extend(books.account(Owner::Team(team.id.as_str().into()), &team.budgets, now_ms()));
            ids.insert(team.id.clone());
            known.insert(team.id.clone(), team);
        }

        let versions = self.store.users().versions().await?;
        let known = &mut self.known.users;
        let ids_changed =
            changed(&versions, |id| known.get(id).map(|user| (user.version, user.updated_at_ms)));
        let rows_of_users = self.store.users().of_ids(&ids_changed).await?;
        for gone in gone(known, &versions) {
            known.remove(&gone);
            books.account(Owner::User(gone.as_str().into()), &[], now_ms());
            ids.insert(gone);
        }
        for user in rows_of_users {
            fresh.extend(books.account(Owner::User(user.id.as_str().into()), &user.budgets, now_ms()));
            ids.insert(user.id.clone());
            known.insert(user.id.clone(), user);
        }
        Ok(ids)
    }

    /// Resolves the keys that changed, or whose team or user did.
    fn resolve(
        &mut self,
        changed: &HashSet<String>,
        owners: &HashSet<String>,
        fresh: &mut Vec<Arc<Account>>,
    ) {
        let books = Books { limits: &self.limits, budgets: &self.ledger.budgets };
        let Known { keys, teams, users, lists } = &mut self.known;
        let now = now_ms();
        for (key, resolved) in keys.values_mut() {
            let user = key.user_id.as_ref().and_then(|id| users.get(id));
            let team_id = key.team_id.as_ref().or_else(|| user?.team_id.as_ref());
            let concerns = |id: Option<&String>| id.is_some_and(|id| owners.contains(id));
            let is_changed = resolved.is_none() || changed.contains(&key.id);
            if !is_changed && !concerns(team_id) && !concerns(key.user_id.as_ref()) {
                continue;
            }
            let team = team_id.and_then(|id| teams.get(id));
            *resolved = Some(books.key(lists, key, team, user, now));
            if is_changed {
                fresh.extend(books.budgets.find(&Owner::Key(key.id.as_str().into())));
            }
        }
    }

    fn publish(&mut self, were_never_any: bool) {
        let mut table = StoredTable { were_never_any, ..StoredTable::default() };
        table.by_hash.reserve(self.known.keys.len());
        for (key, resolved) in self.known.keys.values() {
            let Some(stored) = resolved else { continue };
            if let Some(hash) = KeyHash::from_stored(&key.key_hash) {
                table.by_hash.insert(hash, stored.clone());
            }
            let previous = key.previous_key_hash.as_deref().and_then(KeyHash::from_stored);
            if let Some(hash) = previous {
                let graceful_until_ms = key.previous_key_until_ms;
                table.by_hash.insert(hash, StoredKey { graceful_until_ms, ..stored.clone() });
            }
        }
        self.metrics.keys.stored.set(i64::try_from(self.known.keys.len()).unwrap_or(i64::MAX));
        self.keys.replace(table);
        self.known.lists.tidy();
    }
}

/// Version and time of change by id.
type Versions = HashMap<String, (u64, i64)>;

fn changed(versions: &Versions, known: impl Fn(&str) -> Option<(u64, i64)>) -> Vec<String> {
    versions.iter().filter(|(id, version)| known(id) != Some(**version)).map(|(id, _)| id.clone()).collect()
}

fn gone<R>(known: &HashMap<String, R>, versions: &Versions) -> Vec<String> {
    known.keys().filter(|id| !versions.contains_key(*id)).cloned().collect()
}
