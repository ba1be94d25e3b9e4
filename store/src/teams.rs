//! Teams and users: who virtual keys belong to, with budgets of their own.

use domain::Micros;
use serde::{Deserialize, Serialize};

use crate::database::{Row, Value};
use crate::error::Result;
use crate::records::{self, Record, Records};
use crate::revision::Topic;

/// A money cap per window, of a key, a team or a user. An owner may have several.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Budget {
    /// The cap.
    pub limit: Micros,
    /// The window's length.
    pub period_ms: u64,
    /// The percentage of the cap at which somebody should be told; `None`: never.
    pub alert_percent: Option<u8>,
}

/// Several users and keys with a common budget.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Team {
    /// Never changes.
    pub id: String,
    /// Unique.
    pub name: String,
    /// The organisation that it belongs to, in the operator's words.
    pub organization_id: Option<String>,
    /// Caps on what all its keys spend together.
    pub budgets: Vec<Budget>,
    /// The operator's own notes.
    pub metadata: serde_json::Map<String, serde_json::Value>,
    /// Its keys are refused.
    pub blocked: bool,
    /// When it was made; filled in by the store.
    pub created_at_ms: i64,
    /// When it was last changed; filled in by the store.
    pub updated_at_ms: i64,
    /// Counts the changes from 1; filled in by the store.
    pub version: u64,
}

/// A person or program.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct User {
    /// Never changes.
    pub id: String,
    /// Unique.
    pub name: String,
    /// The team it belongs to.
    pub team_id: Option<String>,
    /// Caps on what all its keys spend together.
    pub budgets: Vec<Budget>,
    /// The operator's own notes.
    pub metadata: serde_json::Map<String, serde_json::Value>,
    /// Its keys are refused.
    pub blocked: bool,
    /// When it was made; filled in by the store.
    pub created_at_ms: i64,
    /// When it was last changed; filled in by the store.
    pub updated_at_ms: i64,
    /// Counts the changes from 1; filled in by the store.
    pub version: u64,
}

/// Teams. See [`Store::teams`].
pub type Teams<'a> = Records<'a, Team>;

/// Users. See [`Store::users`].
pub type Users<'a> = Records<'a, User>;

impl Record for Team {
    const TABLE: &'static str = "teams";
    const TOPIC: Topic = Topic::Teams;
    const COLUMNS: &'static [&'static str] =
        &["id", "name", "organization_id", "budgets", "metadata", "blocked", "created_at"];

    const OF_TEAM: &'static str = "id = $3";

    fn id(&self) -> &str {
        &self.id
    }

    fn team(&self) -> Option<&str> {
        Some(&self.id)
    }

    fn values(&self) -> Result<Vec<Value>> {
        Ok(vec![
            self.id.as_str().into(),
            self.name.as_str().into(),
            self.organization_id.as_deref().into(),
            records::json::<Self>(&self.budgets)?.into(),
            records::json::<Self>(&self.metadata)?.into(),
            self.blocked.into(),
            self.created_at_ms.into(),
        ])
    }

    fn read(row: &Row) -> Result<Self> {
        Ok(Self {
            id: row.text("id")?,
            name: row.text("name")?,
            organization_id: row.text_or_null("organization_id")?,
            budgets: row.json("budgets")?,
            metadata: row.json("metadata")?,
            blocked: row.bool("blocked")?,
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

impl Record for User {
    const TABLE: &'static str = "users";
    const TOPIC: Topic = Topic::Teams;
    const COLUMNS: &'static [&'static str] =
        &["id", "name", "team_id", "budgets", "metadata", "blocked", "created_at"];
    const REFERENCES: &'static [(&'static str, &'static str)] = &[("team_id", "teams")];

    const OF_TEAM: &'static str = "team_id = $3";

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
            self.team_id.as_deref().into(),
            records::json::<Self>(&self.budgets)?.into(),
            records::json::<Self>(&self.metadata)?.into(),
            self.blocked.into(),
            self.created_at_ms.into(),
        ])
    }

    fn read(row: &Row) -> Result<Self> {
        Ok(Self {
            id: row.text("id")?,
            name: row.text("name")?,
            team_id: row.text_or_null("team_id")?,
            budgets: row.json("budgets")?,
            metadata: row.json("metadata")?,
            blocked: row.bool("blocked")?,
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
