//! The nouns of Signalbox. Owns no behaviour beyond arithmetic on them; knows no wire format,
//! no configuration file, no HTTP and no async.

mod failure;
mod money;
mod name;
mod secret;
mod usage;

pub use failure::{Failure, FailureKind, FailureSource, Retry};
pub use money::{Micros, Price};
pub use name::{DeploymentId, ModelName, ProviderName};
pub use secret::Secret;
pub use usage::Usage;
