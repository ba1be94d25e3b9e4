//! From the databases' errors to ours. The only place that knows their codes and the wording of their messages.

use sqlx::error::{DatabaseError, ErrorKind};
use sqlx::postgres::PgDatabaseError;

use crate::error::StoreError;

/// Gives an error its meaning. `location` is shown to the operator and holds no password.
pub(crate) fn translate(error: &sqlx::Error, location: &str) -> StoreError {
    match error {
        sqlx::Error::Database(inner) => from_database(inner.as_ref(), location),
        sqlx::Error::PoolTimedOut => StoreError::busy("all its connections are in use"),
        sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::PoolClosed | sqlx::Error::WorkerCrashed => {
            StoreError::Unreachable { location: location.to_owned(), reason: error.to_string() }
        }
        other => StoreError::database(other.to_string()),
    }
}

fn from_database(error: &dyn DatabaseError, location: &str) -> StoreError {
    match error.kind() {
        ErrorKind::UniqueViolation => {
            let (table, field) = place(error);
            return StoreError::Conflict { table, field };
        }
        ErrorKind::ForeignKeyViolation => {
            let (table, field) = place(error);
            return StoreError::MissingReference { table, field };
        }
        ErrorKind::NotNullViolation | ErrorKind::CheckViolation => {
            let (table, field) = place(error);
            return StoreError::Invalid { table, field, reason: error.message().to_owned() };
        }
        _ => {}
    }
    let code = error.code().unwrap_or_default();
    if error.try_downcast_ref::<PgDatabaseError>().is_some() {
        return from_postgres(&code, error.message(), location);
    }
    // https://www.sqlite.org/rescode.html: the low byte is the primary code.
    match code.parse::<i32>().unwrap_or_default() & 0xff {
        5 | 6 => StoreError::busy(error.message()),
        8 => unreachable(location, "it is read-only"),
        13 => StoreError::database("the disk is full: free some space"),
        14 => unreachable(location, "the file cannot be opened"),
        26 => unreachable(location, "the file is not a SQLite database"),
        _ => StoreError::database(error.message()),
    }
}

/// <https://www.postgresql.org/docs/current/errcodes-appendix.html>
fn from_postgres(code: &str, message: &str, location: &str) -> StoreError {
    match code {
        // Deadlock, serialization, lock not available, statement time-out, too many connections.
        "40P01" | "40001" | "55P03" | "57014" | "53300" => StoreError::busy(message),
        "53100" => StoreError::database("the disk is full: free some space"),
        // Wrong password, user or database; shutting down or starting.
        "28P01" | "28000" | "3D000" | "57P01" | "57P02" | "57P03" => unreachable(location, message),
        _ => StoreError::database(format!("{message} ({code})")),
    }
}

fn unreachable(location: &str, reason: &str) -> StoreError {
    StoreError::Unreachable { location: location.to_owned(), reason: reason.to_owned() }
}

/// Table and column of a violated constraint, as far as the database tells. SQLite writes
/// `UNIQUE constraint failed: teams.name` and names neither for a foreign key; PostgreSQL names the constraint, which
/// the schema lets it call `<table>_<column>_key`, `_fkey`, `_check` or `<table>_pkey`.
fn place(error: &dyn DatabaseError) -> (String, String) {
    if let Some(error) = error.try_downcast_ref::<PgDatabaseError>() {
        let table = error.table().unwrap_or_default().to_owned();
        let constraint = error.constraint().unwrap_or_default();
        let field = error.column().unwrap_or_else(|| {
            let name = constraint.strip_prefix(table.as_str()).unwrap_or(constraint);
            let name = name.strip_prefix('_').unwrap_or(name);
            ["_key", "_fkey", "_check"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name)
        });
        return (table, if field == "pkey" { "id".to_owned() } else { field.to_owned() });
    }
    let Some((_, columns)) = error.message().split_once("constraint failed: ") else {
        return (String::new(), String::new());
    };
    match columns.split_once('.') {
        Some((table, field)) => (table.to_owned(), field.replace(&format!("{table}."), "")),
        None => (String::new(), columns.to_owned()),
    }
}
