//! `GET /api/v1/audit`: who changed what, newest first.

use serde_json::json;
use store::AuditFilter;

use super::call::Call;
use super::fault::Fault;
use super::reply::Reply;

/// `?object_kind=virtual_keys&object_id=…&before=ID&limit=100`.
pub(super) async fn list(call: Call) -> Result<Reply, Fault> {
    let limit = call.limit()?;
    let filter = AuditFilter {
        object_kind: call.parameter("object_kind"),
        object_id: call.parameter("object_id"),
        before_id: call.parameter("before"),
        limit,
    };
    let entries = call.store(move |store| async move { store.audit().list(&filter).await }).await?;
    let next = entries.last().filter(|_| entries.len() == limit as usize).map(|entry| entry.id.clone());
    Ok(Reply::ok(&json!({"data": entries, "next": next})))
}
