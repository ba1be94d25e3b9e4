//! An open store, and the way to its parts.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::backup::{self, DumpSummary};
use crate::database::{self, Database};
use crate::error::Result;
use crate::location::Location;
use crate::{
    AdminTokens, Admins, Audit, Contents, Credentials, Erasures, Keys, Ledger, Reports, RequestLog,
    Revisions, RouteFeedback, Sessions, Teams, Users, schema,
};

/// Limits of a store's connections.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Connections at once: all of PostgreSQL's, the readers of SQLite, which has one writer beside them.
    pub max_connections: u32,
    /// How long a call waits for a connection or a lock.
    pub acquire_timeout: Duration,
    /// How long one statement may take. Backups and migrations are not bound by it.
    pub statement_timeout: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            max_connections: 4,
            acquire_timeout: Duration::from_secs(5),
            statement_timeout: Duration::from_secs(30),
        }
    }
}

/// An open store. Clones share the connections.
#[derive(Clone, Debug)]
pub struct Store {
    pub(crate) database: Arc<Database>,
}

impl Store {
    /// Opens `sqlite:PATH` or `postgres://USER@HOST/DATABASE` and brings its schema up to date. A missing SQLite file
    /// is created, readable by its owner only.
    ///
    /// # Errors
    /// `Url`, `Unreachable`, `File`, `Busy` while another process migrates, `NewerSchema`.
    pub async fn open(url: &str) -> Result<Self> {
        Self::open_with(url, &Options::default()).await
    }

    /// The same with other limits.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub async fn open_with(url: &str, options: &Options) -> Result<Self> {
        let database = database::open(&Location::parse(url)?, options).await?;
        schema::migrate(&database).await?;
        Ok(Self { database: Arc::new(database) })
    }

    /// Where the store is, without a password.
    pub fn location(&self) -> &str {
        self.database.location()
    }

    /// Ends all connections. Calls on clones fail from here on.
    pub async fn close(&self) {
        self.database.close().await;
    }

    /// Virtual keys.
    pub fn keys(&self) -> Keys<'_> {
        Keys::new(self)
    }

    /// Teams.
    pub fn teams(&self) -> Teams<'_> {
        Teams::new(self)
    }

    /// Users: people or programs that virtual keys belong to.
    pub fn users(&self) -> Users<'_> {
        Users::new(self)
    }

    /// Provider credentials.
    pub fn credentials(&self) -> Credentials<'_> {
        Credentials::new(self)
    }

    /// Who may use the admin API and the dashboard.
    pub fn admins(&self) -> Admins<'_> {
        Admins::new(self)
    }

    /// Tokens with which programs act for them.
    pub fn admin_tokens(&self) -> AdminTokens<'_> {
        AdminTokens::new(self)
    }

    /// Their sessions.
    pub fn sessions(&self) -> Sessions<'_> {
        Sessions(self)
    }

    /// The spend ledger.
    pub fn ledger(&self) -> Ledger<'_> {
        Ledger(self)
    }

    /// Sums over the ledger.
    pub fn reports(&self) -> Reports<'_> {
        Reports(self)
    }

    /// Who changed what.
    pub fn audit(&self) -> Audit<'_> {
        Audit(self)
    }

    /// The request log.
    pub fn request_log(&self) -> RequestLog<'_> {
        RequestLog(self)
    }

    /// Prompts and answers, encrypted.
    pub fn contents(&self) -> Contents<'_> {
        Contents(self)
    }

    /// Erasing them.
    pub fn erasures(&self) -> Erasures<'_> {
        Erasures(self)
    }

    /// Judgements of routed answers.
    pub fn route_feedback(&self) -> RouteFeedback<'_> {
        RouteFeedback(self)
    }

    /// Counters that move with every change of keys, teams, users, credentials and admins.
    pub fn revisions(&self) -> Revisions<'_> {
        Revisions(self)
    }

    /// Copies a SQLite store into a new file with mode 0600, while it is in use. The copy is a store by itself.
    ///
    /// # Errors
    /// `File` when the file exists or cannot be written; `Invalid` for PostgreSQL, which has `pg_dump` and
    /// [`Store::dump`].
    pub async fn backup(&self, path: &Path) -> Result<()> {
        backup::copy(&self.database, path).await
    }

    /// Writes every table as JSON lines into a new file with mode 0600; one unchanging state, for either database.
    ///
    /// # Errors
    /// `File` when the file exists or cannot be written.
    pub async fn dump(&self, path: &Path, now_ms: i64) -> Result<DumpSummary> {
        backup::dump(&self.database, path, now_ms).await
    }

    /// Reads a dump of either database into this empty store; all of it or nothing.
    ///
    /// # Errors
    /// `NotEmpty`, `NewerSchema`, `Dump` when a count or the checksum is wrong.
    pub async fn restore(&self, path: &Path) -> Result<DumpSummary> {
        backup::restore(&self.database, path).await
    }
}
