//! `GET /api/v1/audit`: who changed what, newest first.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;
use store::{AuditEntry, AuditFilter};

use super::call::Call;
use super::fault::Fault;
use super::reply::{Page, Reply};
use super::route::{Kind, Parameter};

/// What [`list`] takes.
pub(super) const QUERY: &[Parameter] = &[
    Parameter { name: "object_kind", kind: Kind::Text, about: "Only of this table, as virtual_keys." },
    Parameter { name: "object_id", kind: Kind::Text, about: "Only of what has this id." },
    Parameter { name: "before", kind: Kind::Text, about: "`next` of the page before." },
    Parameter { name: "limit", kind: Kind::Number(1_000), about: "Rows of a page; 100 without it." },
];

/// One change. Public API.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct AuditRow {
    id: String,
    /// When, in unix milliseconds.
    at_ms: i64,
    /// An account's name, a key's id, `admin.token` or `cli`.
    actor: String,
    /// From where; empty when unknown.
    address: String,
    action: String,
    object_kind: String,
    object_id: String,
    /// Without secrets and hashes; null for what was made.
    before: Option<Value>,
    /// Null for what was deleted.
    after: Option<Value>,
}

impl AuditRow {
    fn of(entry: &AuditEntry) -> Self {
        let AuditEntry { id, at_ms, actor, address, action, object_kind, object_id, before, after } =
            entry.clone();
        Self { id, at_ms, actor, address, action, object_kind, object_id, before, after }
    }
}

/// `?object_kind=virtual_keys&object_id=…&before=ID&limit=100`.
pub(super) async fn list(call: Call) -> Result<Reply, Fault> {
    let limit = call.limit()?;
    let filter = AuditFilter {
        object_kind: call.parameter("object_kind"),
        object_id: call.parameter("object_id"),
        team_id: call.scope().team(),
        before_id: call.parameter("before"),
        limit,
    };
    let entries = call.store(move |store| async move { store.audit().list(&filter).await }).await?;
    Ok(Reply::ok(&Page::of(&entries, limit, |entry| &entry.id, AuditRow::of)))
}
