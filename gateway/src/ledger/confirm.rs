//! Brings the store's sums to accounts that several gateways pay from: what this gateway has settled leaves its own figures
//! in the same step in which the sum that has it is told, so that nothing is counted twice, and nothing never.

use std::collections::{BTreeMap, HashMap};

use domain::Micros;
use store::{LedgerEntry, Store};

use super::follower::ApplyError;
use super::now_ms;
use crate::budgets::{Account, BudgetBook, Owner};
use crate::sharing::Sharing;

const MINUTE_MS: i64 = 60_000;

/// What was settled, by the minute: windows begin at whole ones.
pub(super) type Minutes = BTreeMap<i64, Micros>;

/// What the store has taken from this gateway since its sums were read.
#[derive(Debug, Default)]
pub(super) struct Taken(HashMap<Owner, Minutes>);

impl Taken {
    pub(super) fn add(&mut self, account: &Account, entry: &LedgerEntry) {
        let minutes = self.0.entry(account.owner.clone()).or_default();
        *minutes.entry(entry.at_ms.div_euclid(MINUTE_MS)).or_default() += entry.cost;
    }

    /// Reads the sums of so many accounts at most; the others' turn comes.
    ///
    /// # Errors
    /// When the store is away; what was not read is read the next time.
    pub(super) async fn confirm(
        &mut self,
        store: &Store,
        sharing: &Sharing,
        budgets: &BudgetBook,
        most: usize,
    ) -> Result<(), ApplyError> {
        let owners: Vec<Owner> = self.0.keys().take(most).cloned().collect();
        for of in owners {
            let minutes = self.0.get(&of).cloned().unwrap_or_default();
            if let Some(found) = budgets.find(&of) {
                account(store, sharing, &found, owner(&found), &minutes).await?;
            }
            self.0.remove(&of);
        }
        Ok(())
    }
}

/// Whose sums an account is about.
pub(super) fn owner(account: &Account) -> store::Owner<'_> {
    match &account.owner {
        Owner::Key(id) => store::Owner::Key(id),
        Owner::Team(id) => store::Owner::Team(id),
        Owner::User(id) => store::Owner::User(id),
    }
}

/// Reads the sums of one account's windows, which have what was settled in these minutes. What gateways hold that are
/// alive counts where they say so; of the others the store knows.
///
/// # Errors
/// When the store is away.
pub(super) async fn account(
    store: &Store,
    sharing: &Sharing,
    account: &Account,
    owner: store::Owner<'_>,
    settled: &Minutes,
) -> Result<(), ApplyError> {
    let alive = sharing.cluster.alive();
    let open = store.ledger().unsettled_by_log(owner).await?;
    let of_dead = open.iter().filter(|(log, _)| !alive.contains(log));
    let unsettled = Micros(of_dead.map(|(_, reserved)| reserved.0).sum());
    for window in account.windows_at(now_ms()) {
        let sum = store.ledger().spend(owner, window.start, window.end).await?.cost;
        let minutes = window.start.div_euclid(MINUTE_MS)..window.end.div_euclid(MINUTE_MS);
        let confirmed = Micros(settled.range(minutes).map(|(_, cost)| cost.0).sum());
        account.confirm(window.start, sum, confirmed, unsettled);
    }
    Ok(())
}
