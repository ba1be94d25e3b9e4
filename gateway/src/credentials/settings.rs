//! What an operator may set on a stored credential, beside the credential itself: the words of the admin API and the
//! command line.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use store::Credential;

use crate::keys::Edit;

/// The longest name.
const LONGEST_NAME: usize = 64;

/// The settings of a stored credential.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CredentialSettings {
    /// The provider it is for; never changes.
    pub provider: String,
    /// Unique.
    pub name: String,
    /// Its share among those of its priority; 0 drains it.
    pub weight: u32,
    /// Those with the lowest number go first, the others while none of them can be asked.
    pub priority: u32,
    /// It is not used.
    pub disabled: bool,
}

impl Default for CredentialSettings {
    fn default() -> Self {
        Self { provider: String::new(), name: String::new(), weight: 1, priority: 0, disabled: false }
    }
}

impl CredentialSettings {
    /// Of a credential.
    pub fn of(credential: &Credential) -> Self {
        Self {
            provider: credential.provider.clone(),
            name: credential.name.clone(),
            weight: credential.weight,
            priority: credential.priority,
            disabled: credential.disabled,
        }
    }

    /// Puts them on the credential.
    ///
    /// # Errors
    /// When one cannot be taken; the credential is then of no use.
    pub fn put_on(self, credential: &mut Credential) -> Result<(), Edit> {
        if let Some(problem) = name_fault(&self.name) {
            return Err(Edit { param: Some("name"), message: format!("`name` {problem}.") });
        }
        if !credential.provider.is_empty() && credential.provider != self.provider {
            let message =
                "`provider` never changes, or a secret could be sent to another: make a new credential.";
            return Err(Edit { param: Some("provider"), message: message.to_owned() });
        }
        credential.provider = self.provider;
        credential.name = self.name;
        credential.weight = self.weight;
        credential.priority = self.priority;
        credential.disabled = self.disabled;
        Ok(())
    }
}

/// Why a credential cannot have this name, which becomes part of deployments' ids, of labels and of headers.
pub fn name_fault(name: &str) -> Option<&'static str> {
    let is_fine = (1..=LONGEST_NAME).contains(&name.len())
        && name.bytes().all(|it| it.is_ascii_alphanumeric() || b"-_.".contains(&it));
    (!is_fine).then_some("is no name of a credential: give up to 64 letters, digits and -_.")
}
