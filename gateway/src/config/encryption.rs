//! The `encryption` section: the keys of what is kept encrypted.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::SecretSource;

/// The keys of what the store keeps encrypted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct EncryptionConfig {
    /// The key that encrypts: 32 random bytes in hexadecimal or base64, the same for all gateways of one store. Left
    /// out with SQLite: a random one in `encryption.secret` beside the database. PostgreSQL keeps no credentials
    /// without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<SecretSource>,
    /// Keys of before, which still decrypt. `signalbox encryption rotate` makes them dispensable.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub old_keys: Vec<SecretSource>,
}

impl EncryptionConfig {
    /// Nothing is set.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}
