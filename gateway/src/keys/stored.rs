//! The keys of the store as this process knows them: a table that is replaced whole, and looked up by hash.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use subtle::ConstantTimeEq;

use super::entry::Entry;
use super::{KeyHash, KeyHasher, Principal};

/// The keys of the store.
#[derive(Debug, Default)]
pub struct StoredKeys {
    /// None without a store.
    hasher: Option<KeyHasher>,
    table: ArcSwap<StoredTable>,
}

/// One state of all stored keys.
#[derive(Debug, Default)]
pub(super) struct StoredTable {
    /// Current hashes, and previous ones in their grace period.
    pub(super) by_hash: HashMap<KeyHash, StoredKey>,
    /// The store has never had a key.
    pub(super) were_never_any: bool,
}

/// What one hash leads to. Times are unix milliseconds.
#[derive(Clone, Debug)]
pub(super) struct StoredKey {
    pub(super) entry: Entry,
    /// Why it is refused at any time.
    pub(super) inactive: Option<Inactive>,
    pub(super) expires_at_ms: Option<i64>,
    /// The end of a previous hash's grace period.
    pub(super) graceful_until_ms: Option<i64>,
}

/// Why a known key may not be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inactive {
    /// The key is blocked.
    Blocked,
    /// Its team is.
    TeamBlocked,
    /// Its user is.
    UserBlocked,
    /// Its time is over.
    Expired,
    /// It was exchanged, and the old value's grace period is over.
    Rotated,
}

impl StoredKeys {
    /// No keys yet, and none ever without a hasher.
    pub fn new(hasher: Option<KeyHasher>) -> Self {
        let table = StoredTable { were_never_any: true, ..StoredTable::default() };
        Self { hasher, table: ArcSwap::from_pointee(table) }
    }

    /// Who the key stands for; None when it is not known.
    pub fn find(&self, key: &[u8], now_ms: i64) -> Option<Result<Arc<Principal>, Inactive>> {
        let wanted = self.hasher.as_ref()?.hash(key);
        let table = self.table.load();
        let (hash, stored) = table.by_hash.get_key_value(&wanted)?;
        if !bool::from(hash.ct_eq(&wanted)) {
            return None;
        }
        Some(match stored.inactive_at(now_ms) {
            Some(inactive) => Err(inactive),
            None => Ok(stored.entry.fetch().clone()),
        })
    }

    /// The key with this id, blocked or not.
    pub fn of_id(&self, id: &str) -> Option<Arc<Principal>> {
        let table = self.table.load();
        table.by_hash.values().map(|it| it.entry.principal()).find(|it| *it.id == *id).cloned()
    }

    /// The hash that the store keeps of a key; None without a store.
    pub fn hasher(&self) -> Option<&KeyHasher> {
        self.hasher.as_ref()
    }

    /// True while the store has never had a key.
    pub fn were_never_any(&self) -> bool {
        self.table.load().were_never_any
    }

    pub(super) fn replace(&self, table: StoredTable) {
        self.table.store(Arc::new(table));
    }
}

impl StoredKey {
    fn inactive_at(&self, now_ms: i64) -> Option<Inactive> {
        let is_over = |end: Option<i64>| end.is_some_and(|end| end <= now_ms);
        if is_over(self.graceful_until_ms) {
            return Some(Inactive::Rotated);
        }
        self.inactive.or_else(|| is_over(self.expires_at_ms).then_some(Inactive::Expired))
    }
}

impl Inactive {
    /// The error's code and the metric label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Blocked => "key_blocked",
            Self::TeamBlocked => "team_blocked",
            Self::UserBlocked => "user_blocked",
            Self::Expired => "key_expired",
            Self::Rotated => "key_rotated",
        }
    }
}

impl fmt::Display for Inactive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Blocked => "The API key is blocked: ask its operator to unblock it, or use another key.",
            Self::TeamBlocked => "The API key's team is blocked: ask its operator, or use another key.",
            Self::UserBlocked => "The API key's user is blocked: ask its operator, or use another key.",
            Self::Expired => "The API key has expired: ask its operator for a new one.",
            Self::Rotated => "The API key was exchanged for a new one: use that.",
        })
    }
}
