//! The accounts of all owners with a budget. They outlive reloads and changes of a key.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::account::{Account, Owner};
use super::window::Budget;
use crate::sharing::Sharing;

/// The accounts, by owner.
#[derive(Debug, Default)]
pub struct BudgetBook {
    accounts: Mutex<HashMap<Owner, Arc<Account>>>,
    sharing: Option<Arc<Sharing>>,
}

impl BudgetBook {
    /// Kept together with others, if there are any.
    pub fn new(sharing: Option<Arc<Sharing>>) -> Self {
        Self { accounts: Mutex::default(), sharing }
    }

    /// With whom the accounts are kept.
    pub(crate) fn sharing(&self) -> Option<&Arc<Sharing>> {
        self.sharing.as_ref()
    }

    /// The owner's account, with these budgets from now (unix milliseconds) on; None without budgets. A new one knows
    /// nothing of what was spent before: see [`crate::ledger::Applier::load`].
    pub fn account(&self, owner: Owner, budgets: &[Budget], now: i64) -> Option<Arc<Account>> {
        let mut accounts = self.accounts();
        if budgets.is_empty() {
            if let Some(account) = accounts.remove(&owner) {
                account.tell_gone();
            }
            return None;
        }
        let account = accounts
            .entry(owner.clone())
            .or_insert_with(|| Account::new(owner, self.sharing.clone()))
            .clone();
        account.set(budgets, now);
        Some(account)
    }

    /// The owner's account, if it has one.
    pub fn find(&self, owner: &Owner) -> Option<Arc<Account>> {
        self.accounts().get(owner).cloned()
    }

    /// Nobody has a budget.
    pub fn is_empty(&self) -> bool {
        self.accounts().is_empty()
    }

    /// All of them.
    pub fn all(&self) -> Vec<Arc<Account>> {
        self.accounts().values().cloned().collect()
    }

    fn accounts(&self) -> MutexGuard<'_, HashMap<Owner, Arc<Account>>> {
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
