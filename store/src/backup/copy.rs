//! Copies a SQLite file while it is in use.

use std::path::Path;

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _};

use super::Partial;
use crate::database::{Database, translate};
use crate::error::{Result, StoreError};

/// Writes a compact copy of one committed state.
pub(crate) async fn copy(database: &Database, target: &Path) -> Result<()> {
    let Some(pool) = database.sqlite_readers() else {
        let reason = "only a SQLite file can be copied: use pg_dump, or a dump";
        return Err(StoreError::invalid("backup", "store", reason));
    };
    let (partial, _file) = Partial::create(target)?;
    let Some(path) = partial.path.to_str() else {
        return Err(StoreError::invalid("backup", "path", "is not UTF-8"));
    };
    // A connection of its own: the readers may not write, not even elsewhere, and the writer has work to do. VACUUM INTO
    // accepts an empty file, which has its mode already. Readers and writers go on meanwhile.
    let fault = |error| translate(&error, database.location());
    let options = SqliteConnectOptions::clone(&pool.connect_options()).pragma("query_only", "OFF");
    let mut connection = options.connect().await.map_err(fault)?;
    sqlx::query("VACUUM INTO $1").bind(path).execute(&mut connection).await.map_err(fault)?;
    connection.close().await.map_err(fault)?;
    partial.finish()
}
