//! What the requests of a key are counted in.

use std::sync::Arc;

use smallvec::SmallVec;

use crate::budgets::Account;
use crate::limits::KeyLimits;

/// The counters of one key, which are shared by all states of its principal.
#[derive(Clone, Debug, Default)]
pub struct Counters {
    /// Its limits; None without any.
    pub limits: Option<Arc<KeyLimits>>,
    /// Who pays: the accounts of the key, its team and its user that have a budget.
    pub accounts: SmallVec<[Arc<Account>; 1]>,
}

impl Counters {
    /// Has them brought into the processor's cache, side by side. With ten thousand keys they are in none, and each would be
    /// waited for in its turn.
    pub(crate) fn fetch(&self) {
        if let Some(limits) = &self.limits {
            limits.fetch();
        }
        for account in &self.accounts {
            account.fetch();
        }
    }
}
