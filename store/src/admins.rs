//! Who may use the admin API and the dashboard.

use serde::{Deserialize, Serialize};

use crate::audit::Change;
use crate::database::{Row, Value};
use crate::error::Result;
use crate::records::{self, Record, Records};
use crate::revision::Topic;

/// One admin. The password's hash is left out of JSON and so of the audit log.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Admin {
    /// Never changes.
    pub id: String,
    /// Unique.
    pub name: String,
    /// What they may do, in the gateway's words.
    pub role: String,
    /// Made and checked by the caller.
    #[serde(skip)]
    pub password_hash: String,
    /// The team to which it is confined.
    pub team_id: Option<String>,
    /// Sessions that began before it are over.
    pub sessions_from_ms: i64,
    /// May not sign in.
    pub disabled: bool,
    /// When it was made; filled in by the store.
    pub created_at_ms: i64,
    /// When it was last changed; filled in by the store.
    pub updated_at_ms: i64,
    /// Counts the changes from 1; filled in by the store.
    pub version: u64,
}

/// Admins; deleting one ends its sessions. See [`Store::admins`].
pub type Admins<'a> = Records<'a, Admin>;

impl Admins<'_> {
    /// Changes the password and ends the sessions.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn set_password(self, id: &str, password_hash: String, change: &Change) -> Result<Admin> {
        let edit = |admin: &mut Admin| {
            admin.password_hash = password_hash;
            admin.sessions_from_ms = change.at_ms;
            Ok(())
        };
        records::modify(self.store, id, change, "password", edit).await
    }

    /// Disables the account and ends its sessions, or enables it.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn set_disabled(self, id: &str, disabled: bool, change: &Change) -> Result<Admin> {
        let edit = |admin: &mut Admin| {
            admin.disabled = disabled;
            admin.sessions_from_ms = change.at_ms;
            Ok(())
        };
        records::modify(self.store, id, change, if disabled { "disable" } else { "enable" }, edit).await
    }
}

impl Record for Admin {
    const TABLE: &'static str = "admins";
    const TOPIC: Topic = Topic::Admins;
    const COLUMNS: &'static [&'static str] =
        &["id", "name", "role", "password_hash", "team_id", "sessions_from", "disabled", "created_at"];
    const REFERENCES: &'static [(&'static str, &'static str)] = &[("team_id", "teams")];

    fn id(&self) -> &str {
        &self.id
    }

    fn values(&self) -> Result<Vec<Value>> {
        Ok(vec![
            self.id.as_str().into(),
            self.name.as_str().into(),
            self.role.as_str().into(),
            self.password_hash.as_str().into(),
            self.team_id.as_deref().into(),
            self.sessions_from_ms.into(),
            self.disabled.into(),
            self.created_at_ms.into(),
        ])
    }

    fn read(row: &Row) -> Result<Self> {
        Ok(Self {
            id: row.text("id")?,
            name: row.text("name")?,
            role: row.text("role")?,
            password_hash: row.text("password_hash")?,
            team_id: row.text_or_null("team_id")?,
            sessions_from_ms: row.int("sessions_from")?,
            disabled: row.bool("disabled")?,
            created_at_ms: row.int("created_at")?,
            updated_at_ms: row.int("updated_at")?,
            version: row.count("version")?,
        })
    }

    fn version(&self) -> u64 {
        self.version
    }

    fn written(&mut self, at_ms: i64, version: u64) {
        self.updated_at_ms = at_ms;
        self.version = version;
    }

    fn created_at(&mut self, at_ms: i64) {
        self.created_at_ms = at_ms;
    }
}
