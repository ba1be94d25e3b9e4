//! The accounts of all owners with a budget. They outlive reloads and changes of a key.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::account::{Account, Owner};
use super::window::Budget;

/// The accounts, by owner.
#[derive(Debug, Default)]
pub struct BudgetBook(Mutex<HashMap<Owner, Arc<Account>>>);

impl BudgetBook {
    /// The owner's account, with these budgets from now (unix milliseconds) on; None without budgets. A new one knows
    /// nothing of what was spent before: see [`crate::ledger::Applier::load`].
    pub fn account(&self, owner: Owner, budgets: &[Budget], now: i64) -> Option<Arc<Account>> {
        let mut accounts = self.accounts();
        if budgets.is_empty() {
            accounts.remove(&owner);
            return None;
        }
        let account = accounts.entry(owner.clone()).or_insert_with(|| Account::new(owner)).clone();
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
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
