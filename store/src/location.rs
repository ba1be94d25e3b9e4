//! The `store` setting: where the database is. Text to a checked location; opens nothing.

use std::path::PathBuf;
use std::str::FromStr;

use sqlx::postgres::PgConnectOptions;

use crate::error::{Result, StoreError};

/// A checked location.
#[derive(Clone, Debug)]
pub(crate) enum Location {
    Sqlite(PathBuf),
    Postgres(Box<PgConnectOptions>),
}

impl Location {
    /// Reads `sqlite:PATH`, `sqlite://PATH`, `postgres://…` or `postgresql://…`.
    pub(crate) fn parse(url: &str) -> Result<Self> {
        if let Some(rest) = url.strip_prefix("sqlite:") {
            return sqlite(rest.strip_prefix("//").unwrap_or(rest));
        }
        if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            // The parser's own words may repeat the text, and with it a password.
            let options = PgConnectOptions::from_str(url).map_err(|_| {
                fault("the PostgreSQL address is malformed (is a character of the password unescaped?)")
            })?;
            return Ok(Self::Postgres(Box::new(options)));
        }
        Err(fault("neither SQLite nor PostgreSQL"))
    }

    /// For messages: no password in it.
    pub(crate) fn shown(&self) -> String {
        match self {
            Self::Sqlite(path) => path.display().to_string(),
            Self::Postgres(options) => {
                let database = options.get_database().unwrap_or(options.get_username());
                match options.get_socket() {
                    Some(socket) => format!("{} (database {database})", socket.display()),
                    None => format!("{}:{}/{database}", options.get_host(), options.get_port()),
                }
            }
        }
    }
}

/// Is this what a store can be opened with? Opens nothing.
///
/// # Errors
/// `Url`, which says what is wrong without repeating the text: it may hold a password.
pub fn check_location(url: &str) -> Result<()> {
    Location::parse(url).map(|_| ())
}

fn sqlite(path: &str) -> Result<Location> {
    if path.is_empty() {
        return Err(fault("the path of the SQLite file is missing"));
    }
    if path == ":memory:" {
        return Err(fault("a store in memory would lose the ledger: name a file"));
    }
    if path.contains('?') {
        return Err(fault("SQLite takes no options here, only a path"));
    }
    if path.contains('\0') {
        return Err(fault("the path of the SQLite file holds a NUL"));
    }
    Ok(Location::Sqlite(PathBuf::from(path)))
}

fn fault(reason: &str) -> StoreError {
    StoreError::Url { reason: reason.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_spellings_of_a_sqlite_path_are_read() {
        for url in ["sqlite:data/signalbox.db", "sqlite://data/signalbox.db"] {
            assert_eq!(Location::parse(url).unwrap().shown(), "data/signalbox.db");
        }
        assert_eq!(Location::parse("sqlite:///var/lib/x.db").unwrap().shown(), "/var/lib/x.db");
    }

    #[test]
    fn a_password_is_never_shown() {
        let location = Location::parse("postgres://box:hunter2@db.example:5433/spend").unwrap();
        assert_eq!(location.shown(), "db.example:5433/spend");
        let broken = Location::parse("postgres://box:hunter2@db.example:notaport/spend").unwrap_err();
        assert!(!broken.to_string().contains("hunter2"), "{broken}");
    }

    #[test]
    fn what_is_no_database_is_refused_with_the_forms_that_are() {
        for url in ["mysql://host/db", "sqlite:", "sqlite::memory:", "sqlite:x?mode=ro", "data/signalbox.db"]
        {
            let fault = Location::parse(url).unwrap_err().to_string();
            assert!(fault.contains("sqlite:PATH or postgres://"), "{url}: {fault}");
        }
    }
}
