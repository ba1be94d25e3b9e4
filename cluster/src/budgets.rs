//! What calls hold of budgets, together.

use domain::Micros;

use crate::link::{Away, Cluster};
use crate::names;

/// One account that pays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountLimits {
    /// Its name: [`crate::account`].
    pub account: String,
    /// Its caps.
    pub windows: Vec<WindowLimit>,
}

/// A cap in a window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WindowLimit {
    /// The window's name: [`crate::window`].
    pub window: String,
    /// The cap.
    pub limit: Micros,
    /// What is spent as far as the store was last heard, for a window that Redis does not know.
    pub spent: Micros,
}

/// What a call is told that wants to hold an amount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hold {
    /// It is held on all accounts.
    Held {
        /// What is spent in each window of the first account, then of the next one.
        spent: Vec<Micros>,
    },
    /// Nothing is held.
    Refused {
        /// Which account has nothing left, by its place.
        account: usize,
        /// Which of its windows.
        window: usize,
        /// It is spent; else running calls hold the rest.
        is_spent: bool,
    },
}

/// As `hold.lua` answers.
type Verdict = (i64, usize, usize, u8, Vec<u64>);

impl Cluster {
    /// Holds an amount on all accounts, as long as each of their windows has anything left: so a cap can be exceeded by
    /// one amount, whoever asks. It is held until [`crate::Change::Held`] takes it back.
    ///
    /// # Errors
    /// When Redis is away.
    pub async fn hold(&self, epoch: u64, accounts: &[AccountLimits], amount: Micros) -> Result<Hold, Away> {
        let mut call = self.0.scripts.hold.key(names::MEMBERS);
        call.key(names::BORN);
        call.arg(self.0.member(epoch)).arg(amount.0);
        for account in accounts {
            call.key(&account.account).arg(account.windows.len());
            for window in &account.windows {
                call.arg(&window.window).arg(window.limit.0).arg(window.spent.0);
            }
        }
        let (refused, account, window, is_spent, spent): Verdict = self.0.ask(epoch, &call).await?;
        match refused {
            0 => Ok(Hold::Held { spent: spent.into_iter().map(Micros).collect() }),
            1 => Ok(Hold::Refused { account, window, is_spent: is_spent == 1 }),
            _ => Err(self.0.forgotten(epoch)),
        }
    }
}
