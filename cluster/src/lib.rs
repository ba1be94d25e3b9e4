//! What several gateways count together, on Redis or Valkey: requests and tokens per minute, requests at once, and what
//! calls hold of budgets. Keys, limits, amounts and times in, verdicts out; nothing here knows HTTP or a gateway.
//!
//! `shelf` has answers that they share, over a connection of its own.
//!
//! `link` is the one connection with its deadline and its breaker, `keeper` connects (`connect`), announces this member and writes
//! `change`s; `limits` and `budgets` ask, each in one round trip; `scripts` is what runs in Redis.
//!
//! Redis holds nothing that cannot be told again. What a member has running is kept under the member's name, which is its
//! id and the number of its *epoch*. Any call or write that fails ends the epoch: the breaker opens, and with the next one
//! everything is told anew under the new name, while the old name counts for nothing. So no lost or doubtful message is
//! ever looked for.

mod budgets;
mod change;
mod connect;
mod keeper;
mod limits;
mod link;
mod names;
mod scripts;
mod shelf;

pub use budgets::{AccountLimits, Hold, WindowLimit};
pub use change::Change;
pub use keeper::{Keeper, Told};
pub use limits::{Admission, Reserved};
pub use link::{Away, Cluster, ClusterError, Settings};
pub use names::{account, window};
pub use shelf::{Heard, Known, Shelf, ShelfKeeper, ShelfStats, Stamp};

/// A member that has not been heard of for so long is dead: what it had running is free again.
pub const LEASE_MS: u64 = 3_000;
