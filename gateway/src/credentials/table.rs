//! The credentials of the store that requests may use, by provider.

use std::collections::HashMap;

use crate::upstream::KnownCredential;

/// One state of the store's credentials, without those that are disabled.
#[derive(Debug, Default)]
pub struct CredentialTable(HashMap<String, Vec<KnownCredential>>);

impl CredentialTable {
    /// Those of one provider.
    pub fn of(&self, provider: &str) -> &[KnownCredential] {
        self.0.get(provider).map(Vec::as_slice).unwrap_or_default()
    }

    pub(super) fn insert(&mut self, provider: &str, credential: KnownCredential) {
        self.0.entry(provider.to_owned()).or_default().push(credential);
    }
}
