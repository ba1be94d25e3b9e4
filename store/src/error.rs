//! What can go wrong with a store, each with what to do about it. Knows no HTTP and shows no password.

use std::path::PathBuf;

/// Why the store did not do what was asked. The text says what to do where something can be done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The `store` setting names no database.
    #[error("store: {reason}; write sqlite:PATH or postgres://USER@HOST/DATABASE")]
    Url {
        /// What is wrong with it, without the text itself: it may hold a password.
        reason: String,
    },
    /// The database cannot be opened or the connection broke.
    #[error(
        "the store at {location} cannot be reached: {reason}; check that it runs and that the address, \
             user and permissions are right"
    )]
    Unreachable {
        /// Where, without a password.
        location: String,
        /// The operating system's or the server's words.
        reason: String,
    },
    /// Locked, out of connections or too slow. Trying again later may help.
    #[error("the store is busy: {reason}; try again, and look for a long transaction if it stays so")]
    Busy {
        /// What was waited for.
        reason: String,
    },
    /// The database was written by a newer program.
    #[error(
        "the store has schema {found} and this program knows {known}; run the newer version, or restore a \
             backup from before the upgrade"
    )]
    NewerSchema {
        /// The database's.
        found: i64,
        /// The newest this program knows.
        known: i64,
    },
    /// Something with this value is there already.
    #[error("{table}.{field} is taken: choose another value")]
    Conflict {
        /// The table.
        table: String,
        /// The column, or several joined with commas.
        field: String,
    },
    /// A reference leads nowhere.
    #[error("{table}.{field} names something that does not exist: create it first")]
    MissingReference {
        /// The table that holds the reference.
        table: String,
        /// The column.
        field: String,
    },
    /// Something else still refers to it.
    #[error("{table} {id} is still in use: detach what refers to it first")]
    InUse {
        /// Where it is.
        table: String,
        /// Which one.
        id: String,
    },
    /// No such row.
    #[error("{table} {id} does not exist")]
    NotFound {
        /// Where it was looked for.
        table: String,
        /// What was looked for.
        id: String,
    },
    /// The row has changed since it was read.
    #[error("{table} {id} was changed by somebody else: read it again and repeat the change")]
    Stale {
        /// Where it is.
        table: String,
        /// Which one.
        id: String,
    },
    /// A value that the schema does not allow.
    #[error("{table}.{field}: {reason}")]
    Invalid {
        /// The table.
        table: String,
        /// The column or rule.
        field: String,
        /// What is wrong.
        reason: String,
    },
    /// Only an empty store can be restored into.
    #[error("the store is not empty ({table} has rows): restore into a new one")]
    NotEmpty {
        /// The first table with rows.
        table: String,
    },
    /// A dump that is cut short, changed or not one at all. Nothing was restored.
    #[error("the dump is not usable, line {line}: {reason}")]
    Dump {
        /// Counted from 1.
        line: u64,
        /// What is wrong.
        reason: String,
    },
    /// A file of the store or of a backup.
    #[error("{}: {source}", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// The operating system's words.
        source: std::io::Error,
    },
    /// The database refused, in a way that no caller can mend: its disk is full, its file damaged, or there is a bug.
    #[error("the database reported: {reason}")]
    Database {
        /// Its words.
        reason: String,
    },
}

/// The outcome of everything here.
pub type Result<T> = std::result::Result<T, StoreError>;

impl StoreError {
    /// True when the same call may succeed later without a change by anybody.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Busy { .. } | Self::Unreachable { .. })
    }

    pub(crate) fn invalid(table: &str, field: &str, reason: impl Into<String>) -> Self {
        Self::Invalid { table: table.to_owned(), field: field.to_owned(), reason: reason.into() }
    }

    pub(crate) fn not_found(table: &str, id: &str) -> Self {
        Self::NotFound { table: table.to_owned(), id: id.to_owned() }
    }

    pub(crate) fn busy(reason: impl Into<String>) -> Self {
        Self::Busy { reason: reason.into() }
    }

    pub(crate) fn database(reason: impl Into<String>) -> Self {
        Self::Database { reason: reason.into() }
    }
}
