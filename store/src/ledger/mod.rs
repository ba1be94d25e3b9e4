//! The spend ledger. Attempts that have ended lie in compressed blocks, many to a row; hourly and minutely sums of what
//! they cost are kept in the same transaction, which also moves the position in the gateway's log that they came from:
//! so whatever is applied again changes nothing. Reservations without an end have a row each.

mod apply;
mod block;
mod entry;
mod list;
mod open;
mod page;
mod reconcile;
mod spend;
mod sums;

pub use apply::{Applied, LogBatch, MAX_BATCH, Position};
pub use entry::{Counted, Kind, LedgerEntry, State, Subject};
pub use list::{Export, LedgerFilter};
pub use page::{LONGEST_PAGE, LedgerPage};
pub use reconcile::{CountedSum, Difference, Reconciled};
pub use spend::{Owner, Spend};
pub(crate) use sums::{FIGURES, HOUR_MS};

use crate::Store;

/// The ledger. See [`Store::ledger`].
#[derive(Clone, Copy, Debug)]
pub struct Ledger<'a>(pub(crate) &'a Store);
