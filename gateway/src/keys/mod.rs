//! Virtual keys: who a key stands for, what it may do, and the table of all of them.

mod fresh;
mod hash;
mod hash_secret;
mod principal;
mod resolve;
pub(crate) mod settings;
mod stored;
mod sync;
mod table;

pub use fresh::{FreshKey, random_text};
pub use hash::{KeyHash, KeyHasher};
pub use hash_secret::hasher;
pub use principal::{Allowed, Principal};
pub use settings::{Edit, KeySettings, OwnerSettings, merge};
pub use stored::{Inactive, StoredKeys};
pub use sync::KeySync;
pub use table::KeyTable;
