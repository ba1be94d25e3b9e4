//! Virtual keys: who a key stands for, what it may do, and the table of all of them.

mod counters;
mod entry;
mod fresh;
mod hash;
mod hash_secret;
mod lists;
mod principal;
mod resolve;
pub(crate) mod settings;
mod stored;
mod sync;
mod table;

pub use counters::Counters;
pub use fresh::{FreshKey, random_text};
pub use hash::{KeyHash, KeyHasher};
pub use hash_secret::hasher;
pub use principal::{Allowed, Principal};
pub use settings::{Edit, KeySettings, OwnerSettings, merge};
pub use stored::{Inactive, StoredKeys};
pub use sync::KeySync;
pub use table::KeyTable;

/// The id of the key with this name; what is no name is an id, also of a key that is deleted. A key of the configuration has
/// its name for an id.
///
/// # Errors
/// Those of any read.
pub async fn id_of(store: &store::Store, name: String) -> Result<String, store::StoreError> {
    Ok(store.keys().by_name(&name).await?.map_or(name, |key| key.id))
}
