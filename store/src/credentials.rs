//! Credentials of providers, encrypted by the caller.

use serde::{Deserialize, Serialize};

use crate::database::{Row, Value};
use crate::error::Result;
use crate::records::{Record, Records};
use crate::revision::Topic;

/// One credential. What is secret in it is left out of JSON and so of the audit log.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Credential {
    /// Never changes.
    pub id: String,
    /// The provider it is for.
    pub provider: String,
    /// Unique.
    pub name: String,
    /// The encrypted credential.
    #[serde(skip)]
    pub ciphertext: Vec<u8>,
    /// What the cipher needs beside its key.
    #[serde(skip)]
    pub nonce: Vec<u8>,
    /// Which key it is encrypted with.
    pub encryption_key_id: String,
    /// Its share among those of its priority; 0 drains it.
    pub weight: u32,
    /// The lowest number goes first.
    pub priority: u32,
    /// It is not used.
    pub disabled: bool,
    /// When the credential itself was last exchanged.
    pub rotated_at_ms: Option<i64>,
    /// When it was made; filled in by the store.
    pub created_at_ms: i64,
    /// When it was last changed; filled in by the store.
    pub updated_at_ms: i64,
    /// Counts the changes from 1; filled in by the store.
    pub version: u64,
}

/// Credentials of providers. See [`Store::credentials`].
pub type Credentials<'a> = Records<'a, Credential>;

impl Record for Credential {
    const TABLE: &'static str = "credentials";
    const TOPIC: Topic = Topic::Credentials;
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "provider",
        "name",
        "ciphertext",
        "nonce",
        "encryption_key_id",
        "weight",
        "priority",
        "disabled",
        "rotated_at",
        "created_at",
    ];

    fn id(&self) -> &str {
        &self.id
    }

    fn values(&self) -> Result<Vec<Value>> {
        Ok(vec![
            self.id.as_str().into(),
            self.provider.as_str().into(),
            self.name.as_str().into(),
            self.ciphertext.as_slice().into(),
            self.nonce.as_slice().into(),
            self.encryption_key_id.as_str().into(),
            i64::from(self.weight).into(),
            i64::from(self.priority).into(),
            self.disabled.into(),
            self.rotated_at_ms.into(),
            self.created_at_ms.into(),
        ])
    }

    fn read(row: &Row) -> Result<Self> {
        Ok(Self {
            id: row.text("id")?,
            provider: row.text("provider")?,
            name: row.text("name")?,
            ciphertext: row.bytes("ciphertext")?,
            nonce: row.bytes("nonce")?,
            encryption_key_id: row.text("encryption_key_id")?,
            weight: u32::try_from(row.count("weight")?).unwrap_or(u32::MAX),
            priority: u32::try_from(row.count("priority")?).unwrap_or(u32::MAX),
            disabled: row.bool("disabled")?,
            rotated_at_ms: row.int_or_null("rotated_at")?,
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
