//! Virtual keys: who a key stands for, what it may do, and the table of all of them.

mod hash;
mod principal;
mod table;

pub use hash::KeyHash;
pub use principal::{Allowed, Principal};
pub use table::KeyTable;
