//! Credentials of providers, encrypted by the caller.

use serde::{Deserialize, Serialize};

use crate::Store;
use crate::audit::Change;
use crate::database::{Row, Value};
use crate::error::Result;
use crate::records::{self, Record};
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
#[derive(Clone, Copy, Debug)]
pub struct Credentials<'a>(pub(crate) &'a Store);

impl Credentials<'_> {
    /// Adds one; times and version are filled in.
    ///
    /// # Errors
    /// `Conflict` with the field that is taken, `MissingReference` with the field that leads nowhere.
    pub async fn insert(self, record: Credential, change: &Change) -> Result<Credential> {
        records::insert(self.0, record, change).await
    }

    /// Replaces one, when it has not changed since it was read.
    ///
    /// # Errors
    /// `Stale`, `NotFound`, and those of `insert`.
    pub async fn update(self, record: Credential, change: &Change) -> Result<Credential> {
        records::replace(self.0, record, change).await
    }

    /// Removes one.
    ///
    /// # Errors
    /// `NotFound`; `InUse` while something refers to it.
    pub async fn delete(self, id: &str, change: &Change) -> Result<()> {
        records::delete::<Credential>(self.0, id, change).await
    }

    /// The one with this id.
    ///
    /// # Errors
    /// Those of any read.
    pub async fn get(self, id: &str) -> Result<Option<Credential>> {
        records::find(self.0, "id", id.into()).await
    }

    /// The one with this name.
    ///
    /// # Errors
    /// Those of any read.
    pub async fn by_name(self, name: &str) -> Result<Option<Credential>> {
        records::find(self.0, "name", name.into()).await
    }

    /// Up to `limit` (at most 1,000) in the order of their ids, after the id `after`.
    ///
    /// # Errors
    /// Those of any read.
    pub async fn list(self, after: Option<&str>, limit: u32) -> Result<Vec<Credential>> {
        records::list(self.0, after, limit).await
    }
}

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
