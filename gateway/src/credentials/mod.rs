//! Providers' credentials of the store: sealed there, opened here, and followed at run time. Which requests carry which
//! is the snapshot's and the balancer's work.

mod sealed;
mod settings;
mod sync;
mod table;

pub use sealed::{all, hint, open, put_secret, rotate};
pub use settings::{CredentialSettings, name_fault};
pub use sync::CredentialSync;
pub use table::CredentialTable;
