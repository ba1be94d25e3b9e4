//! Opens the connections, with the settings that make each database safe and quick for this use.

use std::fs::OpenOptions;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::time::{Duration, Instant};

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, SqlitePool};

use super::{Database, Pools, translate};
use crate::Options;
use crate::error::{Result, StoreError};
use crate::location::Location;

/// Statements kept prepared on each connection.
const PREPARED: usize = 128;
/// How long a SQLite file that another process is opening is left alone.
const BUSY_PAUSE: Duration = Duration::from_millis(10);

/// Connects; creates the SQLite file and its folder where they are missing.
pub(crate) async fn open(location: &Location, options: &Options) -> Result<Database> {
    let shown = location.shown();
    let pools = match location {
        Location::Sqlite(path) => sqlite(path, options).await?,
        Location::Postgres(address) => postgres(address, options, &shown).await?,
    };
    Ok(Database { pools, location: shown, statement_timeout: options.statement_timeout })
}

async fn sqlite(path: &Path, options: &Options) -> Result<Pools> {
    create_private(path)?;
    let common = SqliteConnectOptions::new()
        .filename(path)
        .foreign_keys(true)
        .busy_timeout(options.acquire_timeout)
        .statement_cache_capacity(PREPARED)
        // Erased prompts are overwritten, not only unlinked.
        .pragma("secure_delete", "ON")
        .pragma("trusted_schema", "OFF")
        .disable_statement_logging();
    // The journal mode is a property of the file, set by the writer. With a write-ahead log, NORMAL can lose the last
    // commits when the machine (not the process) dies, never the file's consistency: the gateway's own log of the
    // ledger is replayed after a crash, and FULL would pay an fsync for each commit to win nothing more.
    let writing = common.clone().journal_mode(SqliteJournalMode::Wal).synchronous(SqliteSynchronous::Normal);
    let writer = sqlite_writer(writing, options, path).await?;
    // `query_only` instead of opening read-only: a reader must be able to create the shared-memory file.
    let reading = common.pragma("query_only", "ON");
    let readers = sqlite_pool(reading, options.max_connections.max(1), options, path).await?;
    Ok(Pools::Sqlite { writer, readers })
}

/// While several processes open a new file at once, each wants it alone to change its journal mode, and SQLite refuses
/// all but one without the busy time-out, lest they wait for each other (sqlite3_busy_handler): so we ask again.
async fn sqlite_writer(connect: SqliteConnectOptions, options: &Options, path: &Path) -> Result<SqlitePool> {
    let deadline = Instant::now() + options.acquire_timeout;
    loop {
        match sqlite_pool(connect.clone(), 1, options, path).await {
            Err(StoreError::Busy { .. }) if Instant::now() < deadline => tokio::time::sleep(BUSY_PAUSE).await,
            opened => return opened,
        }
    }
}

async fn sqlite_pool(
    connect: SqliteConnectOptions,
    size: u32,
    options: &Options,
    path: &Path,
) -> Result<SqlitePool> {
    SqlitePoolOptions::new()
        .max_connections(size)
        .acquire_timeout(options.acquire_timeout)
        // A local file does not go away; reopening it would only throw away the page cache.
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false)
        .connect_with(connect)
        .await
        .map_err(|error| translate(&error, &path.display().to_string()))
}

async fn postgres(address: &PgConnectOptions, options: &Options, shown: &str) -> Result<Pools> {
    let limit = |limit: Duration| limit.as_millis().to_string();
    let connect = address
        .clone()
        .application_name("signalbox")
        .statement_cache_capacity(PREPARED)
        .options([
            ("statement_timeout", limit(options.statement_timeout)),
            ("lock_timeout", limit(options.acquire_timeout)),
            ("idle_in_transaction_session_timeout", limit(options.statement_timeout * 2)),
        ])
        .disable_statement_logging();
    let pool = PgPoolOptions::new()
        .max_connections(options.max_connections.max(2))
        .acquire_timeout(options.acquire_timeout)
        .connect_with(connect)
        .await;
    // While the first connection is made, a time-out means that nobody answers.
    let pool = pool.map_err(|error| match error {
        sqlx::Error::PoolTimedOut => {
            StoreError::Unreachable { location: shown.to_owned(), reason: "no answer in time".to_owned() }
        }
        other => translate(&other, shown),
    })?;
    Ok(Pools::Postgres(pool))
}

/// Creates the file with mode 0600 before SQLite would with the process's own mask, and the folders above it. SQLite
/// gives its write-ahead log the mode of the file.
fn create_private(path: &Path) -> Result<()> {
    let fault = |source| StoreError::File { path: path.to_owned(), source };
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder).map_err(fault)?;
    }
    let file =
        OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path).map_err(fault)?;
    let mode = file.metadata().map_err(fault)?.permissions().mode();
    if mode & 0o077 != 0 {
        file.set_permissions(std::fs::Permissions::from_mode(0o600)).map_err(fault)?;
    }
    Ok(())
}
