//! Copies a SQLite file while it is in use.

use std::path::Path;

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
    // VACUUM INTO accepts an empty file, which has its mode already. Readers and writers go on meanwhile.
    let fault = |error| translate(&error, database.location());
    let mut connection = pool.acquire().await.map_err(fault)?;
    sqlx::query("VACUUM INTO $1").bind(path).execute(&mut *connection).await.map_err(fault)?;
    partial.finish()
}
