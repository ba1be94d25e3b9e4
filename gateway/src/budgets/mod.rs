//! Money caps of keys, teams and users: what an owner may spend in a window, held before a call and settled after it; where
//! a cluster is configured, together with other gateways.

mod account;
mod book;
mod shared;
mod window;

pub use account::{Account, Hold, Owner, Spent, WindowState};
pub use book::BudgetBook;
pub use shared::{NoHold, hold};
pub use window::{Budget, bounds};
