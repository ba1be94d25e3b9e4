//! What may be set on an account.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use store::Admin;

use crate::keys::Edit;
use crate::keys::settings::{check_name, edit};

/// Names in the audit log that are no account's.
const RESERVED: [&str; 3] = ["admin.token", "cli", "config"];

/// What an account may do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Reads and changes.
    Admin,
    /// Reads.
    #[default]
    Viewer,
}

/// The settings of an account.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AccountSettings {
    /// Unique.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// The team to which it is confined; left out: to none.
    pub team_id: Option<String>,
}

impl Role {
    /// As the store has it. A word of a newer program may do the least.
    pub fn of(text: &str) -> Self {
        if text == Self::Admin.as_str() { Self::Admin } else { Self::Viewer }
    }

    /// For the store.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Viewer => "viewer",
        }
    }
}

impl AccountSettings {
    /// Of an account.
    pub fn of(admin: &Admin) -> Self {
        Self { name: admin.name.clone(), role: Role::of(&admin.role), team_id: admin.team_id.clone() }
    }

    /// Puts them on the account.
    ///
    /// # Errors
    /// When one cannot be taken.
    pub fn put_on(self, admin: &mut Admin) -> Result<(), Edit> {
        check_name(&self.name)?;
        if RESERVED.contains(&self.name.as_str()) {
            return Err(edit("name", "stands for somebody else in the audit log: take another"));
        }
        admin.name = self.name;
        self.role.as_str().clone_into(&mut admin.role);
        admin.team_id = self.team_id;
        Ok(())
    }
}
