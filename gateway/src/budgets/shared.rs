//! Accounts that several gateways pay from. Redis decides about a hold; this process mirrors what it holds and has spent,
//! so that it can tell that anew when an epoch begins, and decide alone while Redis is away.
//!
//! What Redis counts as spent in a window is the sum of the store, which only grows, and what each gateway has settled
//! and not yet found in that sum: [`Account::confirm`] moves it from one to the other in one step.

use std::sync::Arc;

use cluster::{AccountLimits, Away, Change, Told, WindowLimit};
use domain::Micros;

use super::account::{Account, Books, Hold, Spent, WindowState, less, signed};
use super::book::BudgetBook;
use crate::sharing::{NoCluster, Sharing, was_not_asked};

/// Why nothing is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoHold {
    /// A budget is spent.
    Spent(Spent),
    /// Nobody can say whether it is.
    NoCluster,
}

impl From<Spent> for NoHold {
    fn from(spent: Spent) -> Self {
        Self::Spent(spent)
    }
}

impl From<NoCluster> for NoHold {
    fn from(_: NoCluster) -> Self {
        Self::NoCluster
    }
}

/// Holds an amount on every account, as long as each has anything left.
///
/// # Errors
/// When one has not; nothing is held then.
pub async fn hold(accounts: &[Arc<Account>], amount: Micros, now: i64) -> Result<Vec<Hold>, NoHold> {
    match accounts.first().and_then(|account| account.sharing.as_ref()) {
        None => accounts.iter().map(|account| Ok(account.hold(amount, now)?)).collect(),
        Some(sharing) => Box::pin(hold_shared(sharing, accounts, amount, now)).await,
    }
}

/// A hold that Redis is asked for.
struct Wanted {
    hold: Hold,
    epoch: u64,
    windows: Vec<WindowState>,
}

async fn hold_shared(
    sharing: &Sharing,
    accounts: &[Arc<Account>],
    amount: Micros,
    now: i64,
) -> Result<Vec<Hold>, NoHold> {
    let wanted: Vec<Wanted> = accounts.iter().map(|account| account.want(amount, now)).collect();
    let epoch = wanted.first().map_or(0, |wanted| wanted.epoch);
    let limits: Vec<AccountLimits> = wanted.iter().map(Wanted::limits).collect();
    let asked = if wanted.iter().all(|wanted| wanted.epoch == epoch) {
        sharing.cluster.hold(epoch, &limits, amount).await
    } else {
        // Just now an epoch begins.
        Err(Away::NotAsked)
    };
    let refused = match asked {
        Ok(cluster::Hold::Held { spent }) => {
            let mut spent = spent.into_iter();
            return Ok(wanted.into_iter().map(|wanted| wanted.known(&mut spent)).collect());
        }
        Ok(cluster::Hold::Refused { account, window, is_spent }) => {
            let window = wanted.get(account).and_then(|wanted| wanted.windows.get(window));
            window.map_or(NoHold::NoCluster, |window| NoHold::Spent(window.refusal(!is_spent)))
        }
        Err(away) => return alone(sharing, wanted, away, now),
    };
    wanted.into_iter().for_each(Wanted::give_back);
    Err(refused)
}

/// Does each account have anything left for this gateway? What was not spent when the cluster went away is divided among
/// the gateways.
fn alone(sharing: &Sharing, mut wanted: Vec<Wanted>, away: Away, now: i64) -> Result<Vec<Hold>, NoHold> {
    let share = sharing.alone("budgets");
    let taken = share
        .map_err(NoHold::from)
        .and_then(|share| wanted.iter_mut().try_for_each(|wanted| Ok(wanted.take_share(share, now)?)));
    match taken {
        Ok(()) => Ok(wanted.into_iter().map(|wanted| wanted.keep(sharing, away)).collect()),
        Err(refused) => {
            wanted.into_iter().for_each(Wanted::give_back);
            Err(refused)
        }
    }
}

impl WindowState {
    fn refusal(&self, is_held: bool) -> Spent {
        Spent { limit: self.budget.limit, until: self.end, is_held }
    }

    fn name(&self) -> String {
        cluster::window(self.budget.period.as_millis().try_into().unwrap_or(u64::MAX), self.start)
    }
}

impl Wanted {
    fn limits(&self) -> AccountLimits {
        let window = |window: &WindowState| WindowLimit {
            window: window.name(),
            limit: window.budget.limit,
            spent: window.applied,
        };
        let windows = self.windows.iter().map(window).collect();
        AccountLimits { account: self.hold.account.name(), windows }
    }

    /// All gateways together hold it, and say what was spent before.
    fn known(self, spent: &mut impl Iterator<Item = Micros>) -> Hold {
        let mut books = self.hold.account.books();
        for (then, spent) in self.windows.iter().zip(spent) {
            let same = |window: &&mut WindowState| window.budget == then.budget && window.start == then.start;
            if let Some(window) = books.windows.iter_mut().find(same) {
                (window.known, window.alone) = (spent, None);
            }
        }
        drop(books);
        self.hold
    }

    /// Takes it from what is this gateway's own share of the rest.
    fn take_share(&mut self, share: u32, now: i64) -> Result<(), Spent> {
        let amount = self.hold.amount;
        let mut books = self.hold.account.books();
        for window in &mut books.windows {
            window.roll(now);
            let spent = window.known.max(window.spent());
            let rest = less(window.budget.limit, spent + less(window.held, amount));
            let share = signed(Micros(rest.0.div_ceil(share.into())));
            if *window.alone.get_or_insert(share) <= 0 || spent >= window.budget.limit {
                return Err(window.refusal(spent < window.budget.limit));
            }
        }
        for left in books.windows.iter_mut().filter_map(|window| window.alone.as_mut()) {
            *left = left.saturating_sub(signed(amount));
        }
        drop(books);
        self.hold.is_alone = true;
        Ok(())
    }

    /// It is held by this gateway's own decision.
    fn keep(self, sharing: &Sharing, away: Away) -> Hold {
        let books = self.hold.account.books();
        // Where the epoch is another by now, it began with this hold.
        if was_not_asked(away) && books.epoch == self.epoch {
            let change = signed(self.hold.amount);
            sharing.cluster.tell(self.epoch, Change::Held { account: self.hold.account.name(), change });
        }
        drop(books);
        self.hold
    }

    /// Redis does not hold it, unless another epoch has begun with it.
    fn give_back(mut self) {
        let amount = std::mem::take(&mut self.hold.amount);
        let account = &self.hold.account;
        let mut books = account.books();
        for window in &mut books.windows {
            window.free(amount, self.hold.is_alone.then_some(Micros(0)));
        }
        if books.epoch != self.epoch {
            account.tell_held(&books, -signed(amount));
        }
    }
}

impl Account {
    /// Its name in Redis.
    fn name(&self) -> String {
        cluster::account(self.owner.kind(), self.owner.id())
    }

    /// Holds an amount whatever is left; the windows are as they were before.
    fn want(self: &Arc<Self>, amount: Micros, now: i64) -> Wanted {
        let mut books = self.books();
        books.windows.iter_mut().for_each(|window| window.roll(now));
        let windows = books.windows.to_vec();
        for window in &mut books.windows {
            window.held += amount;
        }
        let hold = Hold { account: self.clone(), amount, is_alone: false };
        Wanted { hold, epoch: books.epoch, windows }
    }

    /// So much more is held, or less.
    pub(super) fn tell_held(&self, books: &Books, change: i64) {
        if let Some(sharing) = self.sharing.as_ref().filter(|_| change != 0) {
            sharing.cluster.tell(books.epoch, Change::Held { account: self.name(), change });
        }
    }

    pub(super) fn tell_settled(&self, books: &Books, held: Micros, cost: Micros) {
        let Some(sharing) = &self.sharing else { return };
        if cost > Micros(0) && !books.is_gone {
            for window in &books.windows {
                let (account, window) = (self.name(), window.name());
                sharing.cluster.tell(books.epoch, Change::Settled { account, window, cost: cost.0 });
            }
        }
        // Behind it: in between more seems to be spent, never less.
        self.tell_held(books, -signed(held));
    }

    /// It has no budget any more. What it has settled is not confirmed to others, and so taken back.
    pub(super) fn tell_gone(&self) {
        let windows = self.windows_at(crate::ledger::now_ms());
        self.books().is_gone = true;
        for window in windows {
            self.confirm(window.start, window.applied, window.pending, window.unsettled);
        }
    }

    /// What the store's sum of the window that began at `start` is, and what of it was settled here and counted beside it.
    pub(crate) fn confirm(&self, start: i64, sum: Micros, confirmed: Micros, unsettled: Micros) {
        let mut books = self.books();
        let epoch = books.epoch;
        for window in books.windows.iter_mut().filter(|window| window.start == start) {
            let confirmed = Micros(confirmed.0.min(window.pending.0));
            window.pending = less(window.pending, confirmed);
            window.applied = sum;
            window.unsettled = unsettled;
            if let Some(sharing) = &self.sharing {
                let (account, window) = (self.name(), window.name());
                let (spent, confirmed, unsettled) = (sum.0, confirmed.0, unsettled.0);
                let change = Change::Spent { account, window, spent, confirmed, unsettled };
                sharing.cluster.tell(epoch, change);
            }
        }
    }

    /// All that Redis does not know when an epoch begins.
    fn everything(&self, told: Told) -> Vec<Change> {
        let mut books = self.books();
        let mut changes = Vec::new();
        if books.epoch == told.epoch {
            return changes;
        }
        books.epoch = told.epoch;
        let account = self.name();
        for state in &books.windows {
            let window = state.name();
            // Of a window that Redis does not know it learns the sum with the first hold.
            if told.is_lost && state.unsettled > Micros(0) {
                let (spent, unsettled) = (state.applied.0, state.unsettled.0);
                let (account, window) = (account.clone(), window.clone());
                changes.push(Change::Spent { account, window, spent, confirmed: 0, unsettled });
            }
            if state.pending > Micros(0) && !books.is_gone {
                let account = account.clone();
                changes.push(Change::Settled { account, window, cost: state.pending.0 });
            }
        }
        let held = books.windows.first().map_or(Micros(0), |window| window.held);
        if held > Micros(0) {
            changes.push(Change::Held { account, change: signed(held) });
        }
        changes
    }
}

impl BudgetBook {
    /// All that Redis does not know when an epoch begins.
    pub(crate) fn everything(&self, told: Told) -> Vec<Change> {
        self.all().iter().flat_map(|account| account.everything(told)).collect()
    }
}
