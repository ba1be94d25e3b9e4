//! The spend ledger: one row for each attempt, reserved and then settled or aborted, and hourly sums of what is
//! settled, kept in the same transaction. Applying anything twice, or in another order, changes nothing.

mod apply;
mod entry;
mod list;
mod spend;
mod sums;

pub use apply::{Applied, MAX_BATCH};
pub use entry::{LedgerEntry, State};
pub use list::{Export, LedgerFilter};
pub use spend::{Difference, Owner, Spend};
pub(crate) use sums::{FIGURES, HOUR_MS};

use crate::Store;

/// The ledger. See [`Store::ledger`].
#[derive(Clone, Copy, Debug)]
pub struct Ledger<'a>(pub(crate) &'a Store);
