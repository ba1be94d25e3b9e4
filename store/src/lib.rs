//! What Signalbox remembers: virtual keys, credentials, the spend ledger, audit and request log, prompts and
//! answers, judgements of routed answers, admins and their sessions. One schema and one set of queries on SQLite and PostgreSQL;
//! docs/store.md describes both.
//!
//! Knows no HTTP, computes no hash of a key and encrypts nothing: callers bring bytes. Times are UTC unix milliseconds,
//! money is [`domain::Micros`]. Nothing here may be called on the path of a request.

mod admin_tokens;
mod admins;
mod audit;
mod backup;
mod contents;
mod credentials;
mod database;
mod erasure;
mod error;
mod keys;
mod ledger;
mod location;
mod packed;
mod records;
mod reports;
mod request_log;
mod revision;
mod route_feedback;
mod schema;
mod sessions;
mod store;
mod teams;

pub use admin_tokens::{AdminToken, AdminTokens};
pub use admins::{Admin, Admins};
pub use audit::{Audit, AuditEntry, AuditFilter, Change};
pub use backup::{DumpSummary, FORMAT_VERSION};
pub use contents::{Contents, ContentsOf, SealedContents};
pub use credentials::{Credential, Credentials};
pub use database::MAX_FIGURE;
pub use erasure::{Erased, Erasure, Erasures, NotedErasure};
pub use error::{Result, StoreError};
pub use keys::{Keys, Rotation, VirtualKey};
pub use ledger::{
    Applied, Counted, CountedSum, Difference, Export, Kind, LONGEST_PAGE, Ledger, LedgerEntry, LedgerFilter,
    LedgerPage, LogBatch, MAX_BATCH, Owner, Position, Reconciled, Spend, State, Subject,
};
pub use location::check_location;
pub use records::Records;
pub use reports::{Dimension, ReportQuery, ReportRow, Reports, Totals};
pub use request_log::{LoggedRequest, RequestBlock, RequestFilter, RequestLog, RequestPage};
pub use revision::{Revisions, Topic, Watch};
pub use route_feedback::{RouteFeedback, RouteJudgement};
pub use schema::SCHEMA_VERSION;
pub use sessions::{AdminSession, Sessions};
pub use store::{Options, Store};
pub use teams::{Budget, Team, Teams, User, Users};

/// A new id: text that sorts by the time it was made (UUID version 7).
pub fn new_id() -> String {
    uuid::Uuid::now_v7().to_string()
}
