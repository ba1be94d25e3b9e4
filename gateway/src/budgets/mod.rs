//! Money caps of keys, teams and users: what an owner may spend in a window, held before a call and settled after it.

mod account;
mod book;
mod window;

pub use account::{Account, Hold, Owner, Spent, WindowState};
pub use book::BudgetBook;
pub use window::{Budget, bounds};
