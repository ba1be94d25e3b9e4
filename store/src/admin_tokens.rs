//! Tokens with which programs act for an admin. They arrive hashed.

use serde::{Deserialize, Serialize};

use crate::admins::Admin;
use crate::database::{Row, Value};
use crate::error::Result;
use crate::records::{Record, Records};
use crate::revision::Topic;

/// One token. Its hash is left out of JSON and so of the audit log.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct AdminToken {
    /// Never changes.
    pub id: String,
    /// What it is for.
    pub name: String,
    /// Whose.
    pub admin_id: String,
    /// The keyed hash, unique.
    #[serde(skip)]
    pub token_hash: Vec<u8>,
    /// Its last letters.
    pub hint: String,
    /// Refused from then on.
    pub expires_at_ms: Option<i64>,
    /// When it was made; filled in by the store.
    pub created_at_ms: i64,
    /// When it was last changed; filled in by the store.
    pub updated_at_ms: i64,
    /// Counts the changes from 1; filled in by the store.
    pub version: u64,
}

/// Tokens; deleting their admin deletes them. See [`Store::admin_tokens`].
pub type AdminTokens<'a> = Records<'a, AdminToken>;

impl AdminTokens<'_> {
    /// The admin, who may sign in, of the live token with this hash.
    ///
    /// # Errors
    /// Those of any read.
    pub async fn owner(self, token_hash: &[u8], now_ms: i64) -> Result<Option<Admin>> {
        let sql = "SELECT admins.* FROM admin_tokens JOIN admins ON admins.id = admin_tokens.admin_id
                   WHERE token_hash = $1 AND (expires_at IS NULL OR expires_at > $2) AND admins.disabled = FALSE";
        let row = self.store.database.row(sql, vec![token_hash.into(), now_ms.into()]).await?;
        row.map(|row| Admin::read(&row)).transpose()
    }

    /// Those of an admin, at most 1,000.
    ///
    /// # Errors
    /// Those of any read.
    pub async fn of_admin(self, admin_id: &str) -> Result<Vec<AdminToken>> {
        let sql = "SELECT * FROM admin_tokens WHERE admin_id = $1 ORDER BY id LIMIT 1000";
        self.store.database.rows(sql, vec![admin_id.into()]).await?.iter().map(AdminToken::read).collect()
    }
}

impl Record for AdminToken {
    const TABLE: &'static str = "admin_tokens";
    const TOPIC: Topic = Topic::Admins;
    const COLUMNS: &'static [&'static str] =
        &["id", "name", "admin_id", "token_hash", "hint", "expires_at", "created_at"];
    const REFERENCES: &'static [(&'static str, &'static str)] = &[("admin_id", "admins")];

    fn id(&self) -> &str {
        &self.id
    }

    fn values(&self) -> Result<Vec<Value>> {
        Ok(vec![
            self.id.as_str().into(),
            self.name.as_str().into(),
            self.admin_id.as_str().into(),
            self.token_hash.as_slice().into(),
            self.hint.as_str().into(),
            self.expires_at_ms.into(),
            self.created_at_ms.into(),
        ])
    }

    fn read(row: &Row) -> Result<Self> {
        Ok(Self {
            id: row.text("id")?,
            name: row.text("name")?,
            admin_id: row.text("admin_id")?,
            token_hash: row.bytes("token_hash")?,
            hint: row.text("hint")?,
            expires_at_ms: row.int_or_null("expires_at")?,
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
