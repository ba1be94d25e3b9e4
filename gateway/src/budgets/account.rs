//! What one owner has spent and held in each of its windows.

use std::hint::black_box;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use domain::Micros;
use smallvec::SmallVec;

use super::{Budget, bounds};
use crate::sharing::Sharing;

/// Who a budget belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Owner {
    /// A virtual key, by its id.
    Key(Arc<str>),
    /// A team, by its id.
    Team(Arc<str>),
    /// A user, by its id.
    User(Arc<str>),
}

impl Owner {
    /// The id.
    pub fn id(&self) -> &str {
        match self {
            Self::Key(id) | Self::Team(id) | Self::User(id) => id,
        }
    }

    /// What it is the id of.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Key(_) => "key",
            Self::Team(_) => "team",
            Self::User(_) => "user",
        }
    }
}

/// One owner's budgets. Times are unix milliseconds.
#[derive(Debug)]
// In this order, for `fetch`.
#[repr(C)]
pub struct Account {
    /// Whose.
    pub owner: Owner,
    books: Mutex<Books>,
    /// With whom it is kept.
    pub(super) sharing: Option<Arc<Sharing>>,
}

/// The windows of an account.
#[derive(Debug, Default)]
pub(super) struct Books {
    pub(super) windows: SmallVec<[WindowState; 1]>,
    /// The epoch that other gateways were last told of it in.
    pub(super) epoch: u64,
    /// It has no budget any more: what is settled in it is nobody's business.
    pub(super) is_gone: bool,
}

/// One budget's running window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WindowState {
    /// The cap.
    pub budget: Budget,
    /// When it began.
    pub start: i64,
    /// When the next one begins.
    pub end: i64,
    /// Spent, as the store knows it.
    pub applied: Micros,
    /// Spent, on its way to the store.
    pub pending: Micros,
    /// Held by calls that run here.
    pub held: Micros,
    /// Held by calls whose gateway died, which nobody has settled.
    pub unsettled: Micros,
    /// Spent, as all gateways together last said.
    pub known: Micros,
    /// What this gateway may still hold by itself, while it cannot ask the others; below zero by one hold at most.
    pub alone: Option<i64>,
    /// Somebody was told that the alert's share is reached.
    pub is_alerted: bool,
}

/// Why nothing more may be spent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spent {
    /// The cap.
    pub limit: Micros,
    /// When the next window begins.
    pub until: i64,
    /// Running calls hold the rest: it may be free again in a moment.
    pub is_held: bool,
}

/// An amount that is held until it is settled or dropped.
#[derive(Debug)]
pub struct Hold {
    pub(super) account: Arc<Account>,
    pub(super) amount: Micros,
    /// Held while the others could not be asked.
    pub(super) is_alone: bool,
}

impl Account {
    pub(super) fn new(owner: Owner, sharing: Option<Arc<Sharing>>) -> Arc<Self> {
        let epoch = sharing.as_ref().map_or(0, |sharing| sharing.cluster.epoch());
        Arc::new(Self { owner, books: Mutex::new(Books { epoch, ..Books::default() }), sharing })
    }

    /// These budgets from now on. What was counted under the same length of window stays.
    pub(super) fn set(&self, budgets: &[Budget], now: i64) {
        let windows = &mut self.books().windows;
        let held = windows.first().map_or(Micros(0), |window| window.held);
        let next = budgets.iter().map(|budget| {
            let known = windows.iter().find(|window| window.budget.period == budget.period);
            match known {
                Some(known) => WindowState { budget: *budget, ..*known },
                None => WindowState { held, ..WindowState::new(*budget, now) },
            }
        });
        *windows = next.collect();
    }

    /// Holds an amount, as long as anything is left: so the cap can be exceeded by one amount at most.
    ///
    /// # Errors
    /// When nothing is left; nothing is held then.
    pub fn hold(self: &Arc<Self>, amount: Micros, now: i64) -> Result<Hold, Spent> {
        let windows = &mut self.books().windows;
        for window in windows.iter_mut() {
            window.roll(now);
            let spent = window.spent();
            if spent + window.held >= window.budget.limit {
                let is_held = spent < window.budget.limit;
                return Err(Spent { limit: window.budget.limit, until: window.end, is_held });
            }
        }
        for window in windows.iter_mut() {
            window.held += amount;
        }
        Ok(Hold { account: self.clone(), amount, is_alone: false })
    }

    /// What each window says now.
    pub fn windows_at(&self, now: i64) -> Vec<WindowState> {
        let windows = &mut self.books().windows;
        windows.iter_mut().for_each(|window| window.roll(now));
        windows.to_vec()
    }

    /// No call that it pays for runs here.
    pub(crate) fn is_idle(&self, now: i64) -> bool {
        self.windows_at(now).iter().all(|window| window.held == Micros(0))
    }

    /// The store has taken a settlement of this cost, made at `at`.
    pub(crate) fn applied(&self, cost: Micros, at: i64) {
        for window in self.books().windows.iter_mut().filter(|window| window.contains(at)) {
            window.pending = less(window.pending, cost);
            window.applied += cost;
        }
    }

    /// What the store knows of the window that began at `start`: other gateways spend too.
    pub(crate) fn load(&self, start: i64, applied: Micros, unsettled: Option<Micros>) {
        for window in self.books().windows.iter_mut().filter(|window| window.start == start) {
            window.applied = applied;
            window.unsettled = unsettled.unwrap_or(window.unsettled);
        }
    }

    /// The highest share of a budget that was spent for the first time in its window, in percent: worth an alert.
    pub(crate) fn newly_alerted(&self) -> Option<WindowState> {
        let windows = &mut self.books().windows;
        let window = windows.iter_mut().find(|window| {
            let Some(percent) = window.budget.alert_percent else { return false };
            let reached =
                u128::from(window.spent().0) * 100 >= u128::from(window.budget.limit.0) * u128::from(percent);
            reached && !window.is_alerted
        })?;
        window.is_alerted = true;
        Some(*window)
    }

    /// Has it brought into the processor's cache: see [`crate::keys::Counters::fetch`].
    pub(crate) fn fetch(&self) {
        black_box((self.owner.kind(), self.sharing.is_some()));
    }

    pub(super) fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl WindowState {
    fn new(budget: Budget, now: i64) -> Self {
        let (start, end) = bounds(budget.period, now);
        let none = Micros(0);
        Self {
            budget,
            start,
            end,
            applied: none,
            pending: none,
            held: none,
            unsettled: none,
            known: none,
            alone: None,
            is_alerted: false,
        }
    }

    /// All that counts against the cap but what running calls hold.
    pub fn spent(&self) -> Micros {
        self.applied + self.pending + self.unsettled
    }

    pub(super) fn contains(&self, at: i64) -> bool {
        (self.start..self.end).contains(&at)
    }

    /// A new window begins with what running calls hold: they will be settled in it.
    pub(super) fn roll(&mut self, now: i64) {
        if now >= self.end {
            *self = Self { held: self.held, ..Self::new(self.budget, now) };
        }
    }

    /// An amount is not held any more; `cost` is what became of it, when it was held alone.
    pub(super) fn free(&mut self, amount: Micros, cost: Option<Micros>) {
        self.held = less(self.held, amount);
        if let (Some(left), Some(cost)) = (&mut self.alone, cost) {
            *left = left.saturating_add(signed(amount)).saturating_sub(signed(cost));
        }
    }
}

impl Hold {
    /// Replaces the amount by what it cost, at `now`.
    pub fn settle(mut self, cost: Micros, now: i64) {
        let mut books = self.account.books();
        for window in &mut books.windows {
            window.roll(now);
            window.free(self.amount, self.is_alone.then_some(cost));
            window.pending += cost;
        }
        self.account.tell_settled(&books, self.amount, cost);
        drop(books);
        self.amount = Micros(0);
    }

    /// Holds more. Not refused: what it is for has been let through.
    pub fn raise(&mut self, more: Micros) {
        let mut books = self.account.books();
        for window in &mut books.windows {
            window.held += more;
            if let Some(left) = window.alone.as_mut().filter(|_| self.is_alone) {
                *left = left.saturating_sub(signed(more));
            }
        }
        self.account.tell_held(&books, signed(more));
        drop(books);
        self.amount += more;
    }

    /// The account it is held on.
    pub fn account(&self) -> &Arc<Account> {
        &self.account
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        if self.amount.0 > 0 {
            let mut books = self.account.books();
            for window in &mut books.windows {
                window.free(self.amount, self.is_alone.then_some(Micros(0)));
            }
            self.account.tell_held(&books, -signed(self.amount));
        }
    }
}

pub(super) fn signed(amount: Micros) -> i64 {
    i64::try_from(amount.0).unwrap_or(i64::MAX)
}

pub(super) fn less(from: Micros, amount: Micros) -> Micros {
    Micros(from.0.saturating_sub(amount.0))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const HOUR: i64 = 3_600_000;

    fn account(limit: u64) -> Arc<Account> {
        let account = Account::new(Owner::Key("k".into()), None);
        let budget =
            Budget { limit: Micros(limit), period: Duration::from_secs(3_600), alert_percent: Some(80) };
        account.set(&[budget], 0);
        account
    }

    #[test]
    fn held_amounts_exceed_the_cap_by_one_at_most() {
        let account = account(100);
        let held: Vec<_> = std::iter::from_fn(|| account.hold(Micros(30), 0).ok()).collect();
        assert_eq!(held.len(), 4);
        let refused = account.hold(Micros(1), 0).unwrap_err();
        assert_eq!(refused, Spent { limit: Micros(100), until: HOUR, is_held: true });
    }

    #[test]
    fn what_is_settled_counts_and_what_is_dropped_is_free_again() {
        let account = account(100);
        account.hold(Micros(90), 0).unwrap().settle(Micros(20), 1);
        drop(account.hold(Micros(70), 2).unwrap());
        assert_eq!(account.windows_at(3)[0].held, Micros(0));
        account.hold(Micros(90), 3).unwrap().settle(Micros(80), 4);
        assert!(!account.hold(Micros(1), 5).unwrap_err().is_held);
    }

    #[test]
    fn what_turns_out_to_be_dearer_is_held_whole_and_given_back_whole() {
        let account = account(100);
        let mut hold = account.hold(Micros(0), 0).unwrap();
        hold.raise(Micros(120));
        assert!(account.hold(Micros(1), 0).unwrap_err().is_held);
        drop(hold);
        assert_eq!(account.windows_at(0)[0].held, Micros(0));
    }

    #[test]
    fn a_new_window_is_empty_but_for_running_calls() {
        let account = account(100);
        account.hold(Micros(100), 0).unwrap().settle(Micros(100), 1);
        assert!(account.hold(Micros(1), HOUR - 1).is_err());
        let running = account.hold(Micros(60), HOUR).unwrap();
        assert_eq!(account.windows_at(2 * HOUR)[0].held, Micros(60));
        running.settle(Micros(50), 2 * HOUR + 1);
        assert_eq!(account.windows_at(2 * HOUR + 2)[0].spent(), Micros(50));
        // The store hears of it later.
        account.applied(Micros(50), 2 * HOUR + 1);
        let window = account.windows_at(2 * HOUR + 3)[0];
        assert_eq!((window.applied, window.pending), (Micros(50), Micros(0)));
    }

    #[test]
    fn a_changed_cap_keeps_what_was_spent() {
        let account = account(100);
        account.hold(Micros(100), 0).unwrap().settle(Micros(100), 1);
        let period = Duration::from_secs(3_600);
        account.set(&[Budget { limit: Micros(200), period, alert_percent: None }], 2);
        assert_eq!(account.windows_at(3)[0].spent(), Micros(100));
        assert!(account.hold(Micros(1), 3).is_ok());
    }

    #[test]
    fn an_alert_is_raised_once_a_window() {
        let account = account(100);
        account.hold(Micros(10), 0).unwrap().settle(Micros(79), 1);
        assert!(account.newly_alerted().is_none());
        account.hold(Micros(10), 0).unwrap().settle(Micros(1), 1);
        assert!(account.newly_alerted().is_some() && account.newly_alerted().is_none());
    }
}
