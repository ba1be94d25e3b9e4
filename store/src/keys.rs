//! Virtual keys. The caller hashes a key (HMAC-SHA256); nothing here has seen one.

use serde::{Deserialize, Serialize};

use crate::audit::Change;
use crate::database::{Row, Value};
use crate::error::Result;
use crate::records::{self, Record, Records};
use crate::revision::Topic;
use crate::teams::Budget;

/// One virtual key. Its hashes are left out of JSON and so of the audit log.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct VirtualKey {
    /// Never changes.
    pub id: String,
    /// Unique.
    pub name: String,
    /// The keyed hash, unique.
    #[serde(skip)]
    pub key_hash: Vec<u8>,
    /// The hash before the last rotation, while both work.
    #[serde(skip)]
    pub previous_key_hash: Option<Vec<u8>>,
    /// Until when it works.
    pub previous_key_until_ms: Option<i64>,
    /// The key's first letters, to recognise it by.
    pub display_prefix: String,
    /// The key's last letters.
    pub display_suffix: String,
    /// The team that pays.
    pub team_id: Option<String>,
    /// The organisation of a key without a team, in the operator's words.
    pub organization_id: Option<String>,
    /// Whose key it is.
    pub user_id: Option<String>,
    /// Models it may use; empty: all.
    pub models: Vec<String>,
    /// Routes it may use; empty: all.
    pub routes: Vec<String>,
    /// The model of a request that names none.
    pub default_model: Option<String>,
    /// Names of the providers' credentials that its requests may use; empty: all.
    pub credentials: Vec<String>,
    /// The operator's own notes.
    pub metadata: serde_json::Map<String, serde_json::Value>,
    /// Tags of everything it spends.
    pub tags: Vec<String>,
    /// Requests per minute.
    pub rpm: Option<u64>,
    /// Tokens per minute.
    pub tpm: Option<u64>,
    /// Requests at once.
    pub max_parallel: Option<u64>,
    /// Who goes first in overload, in the gateway's words.
    pub priority: Option<String>,
    /// Caps on what it spends.
    pub budgets: Vec<Budget>,
    /// It is refused.
    pub blocked: bool,
    /// The request log keeps its prompts and answers.
    pub store_prompts: bool,
    /// Refused from then on.
    pub expires_at_ms: Option<i64>,
    /// When its secret was last exchanged.
    pub rotated_at_ms: Option<i64>,
    /// When it was made; filled in by the store.
    pub created_at_ms: i64,
    /// When it was last changed; filled in by the store.
    pub updated_at_ms: i64,
    /// Counts the changes from 1; filled in by the store.
    pub version: u64,
}

/// A new secret for a key.
#[derive(Clone, Debug)]
pub struct Rotation {
    /// The new keyed hash.
    pub key_hash: Vec<u8>,
    /// The new key's first letters.
    pub display_prefix: String,
    /// The new key's last letters.
    pub display_suffix: String,
    /// Until when the old secret works; in the past: not at all.
    pub grace_until_ms: i64,
}

/// Virtual keys. See [`Store::keys`].
pub type Keys<'a> = Records<'a, VirtualKey>;

impl Keys<'_> {
    /// The key whose current hash this is, or whose previous one in its grace period. Not checked: whether it is
    /// blocked or has expired.
    ///
    /// # Errors
    /// Those of any read.
    pub async fn by_hash(self, hash: &[u8], now_ms: i64) -> Result<Option<VirtualKey>> {
        let sql = "SELECT * FROM virtual_keys WHERE key_hash = $1
                   UNION ALL SELECT * FROM virtual_keys WHERE previous_key_hash = $1 AND previous_key_until > $2";
        let row = self.store.database.row(sql, vec![hash.into(), now_ms.into()]).await?;
        row.map(|row| VirtualKey::read(&row)).transpose()
    }

    /// Gives the key a new secret. The old one still works until `rotation.grace_until_ms`.
    ///
    /// # Errors
    /// `NotFound`; `Conflict` when another key has that hash.
    pub async fn rotate(self, id: &str, rotation: Rotation, change: &Change) -> Result<VirtualKey> {
        let edit = |key: &mut VirtualKey| {
            let previous = std::mem::replace(&mut key.key_hash, rotation.key_hash);
            let graceful = rotation.grace_until_ms > change.at_ms;
            key.previous_key_hash = graceful.then_some(previous);
            key.previous_key_until_ms = graceful.then_some(rotation.grace_until_ms);
            key.display_prefix = rotation.display_prefix;
            key.display_suffix = rotation.display_suffix;
            key.rotated_at_ms = Some(change.at_ms);
            Ok(())
        };
        records::modify(self.store, id, change, "rotate", edit).await
    }

    /// Blocks or unblocks the key.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn set_blocked(self, id: &str, blocked: bool, change: &Change) -> Result<VirtualKey> {
        let edit = |key: &mut VirtualKey| {
            key.blocked = blocked;
            Ok(())
        };
        records::modify(self.store, id, change, if blocked { "block" } else { "unblock" }, edit).await
    }
}

impl Record for VirtualKey {
    const TABLE: &'static str = "virtual_keys";
    const TOPIC: Topic = Topic::Keys;
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "name",
        "key_hash",
        "previous_key_hash",
        "previous_key_until",
        "display_prefix",
        "display_suffix",
        "team_id",
        "organization_id",
        "user_id",
        "models",
        "routes",
        "default_model",
        "credentials",
        "metadata",
        "tags",
        "rpm",
        "tpm",
        "max_parallel",
        "priority",
        "budgets",
        "blocked",
        "store_prompts",
        "expires_at",
        "rotated_at",
        "created_at",
    ];
    const REFERENCES: &'static [(&'static str, &'static str)] = &[("team_id", "teams"), ("user_id", "users")];

    const OF_TEAM: &'static str = "(team_id = $3 OR (team_id IS NULL
         AND user_id IN (SELECT users.id FROM users WHERE users.team_id = $3)))";

    fn id(&self) -> &str {
        &self.id
    }

    fn team(&self) -> Option<&str> {
        self.team_id.as_deref()
    }

    fn values(&self) -> Result<Vec<Value>> {
        Ok(vec![
            self.id.as_str().into(),
            self.name.as_str().into(),
            self.key_hash.as_slice().into(),
            self.previous_key_hash.as_deref().into(),
            self.previous_key_until_ms.into(),
            self.display_prefix.as_str().into(),
            self.display_suffix.as_str().into(),
            self.team_id.as_deref().into(),
            self.organization_id.as_deref().into(),
            self.user_id.as_deref().into(),
            records::json::<Self>(&self.models)?.into(),
            records::json::<Self>(&self.routes)?.into(),
            self.default_model.as_deref().into(),
            records::json::<Self>(&self.credentials)?.into(),
            records::json::<Self>(&self.metadata)?.into(),
            records::json::<Self>(&self.tags)?.into(),
            self.rpm.into(),
            self.tpm.into(),
            self.max_parallel.into(),
            self.priority.as_deref().into(),
            records::json::<Self>(&self.budgets)?.into(),
            self.blocked.into(),
            self.store_prompts.into(),
            self.expires_at_ms.into(),
            self.rotated_at_ms.into(),
            self.created_at_ms.into(),
        ])
    }

    fn read(row: &Row) -> Result<Self> {
        Ok(Self {
            id: row.text("id")?,
            name: row.text("name")?,
            key_hash: row.bytes("key_hash")?,
            previous_key_hash: row.bytes_or_null("previous_key_hash")?,
            previous_key_until_ms: row.int_or_null("previous_key_until")?,
            display_prefix: row.text("display_prefix")?,
            display_suffix: row.text("display_suffix")?,
            team_id: row.text_or_null("team_id")?,
            organization_id: row.text_or_null("organization_id")?,
            user_id: row.text_or_null("user_id")?,
            models: row.json("models")?,
            routes: row.json("routes")?,
            default_model: row.text_or_null("default_model")?,
            credentials: match row.text("credentials")?.as_str() {
                // Dumps of schemas before the third one have an empty object.
                "{}" => Vec::new(),
                _ => row.json("credentials")?,
            },
            metadata: row.json("metadata")?,
            tags: row.json("tags")?,
            rpm: row.count_or_null("rpm")?,
            tpm: row.count_or_null("tpm")?,
            max_parallel: row.count_or_null("max_parallel")?,
            priority: row.text_or_null("priority")?,
            budgets: row.json("budgets")?,
            blocked: row.bool("blocked")?,
            store_prompts: row.bool("store_prompts")?,
            expires_at_ms: row.int_or_null("expires_at")?,
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
