//! The one layer that knows two databases: connections, transactions and statements. Everything above writes one SQL
//! text for both, with `$1` parameters, and sees [`Value`] and [`Row`].

mod fault;
mod open;
mod statement;
mod value;

use std::future::Future;
use std::time::Duration;

use sqlx::{PgPool, Postgres, Sqlite, SqlitePool};

pub(crate) use fault::translate;
pub(crate) use open::open;
pub use value::MAX_FIGURE;
pub(crate) use value::{Row, Value, figure};

use crate::error::{Result, StoreError};

/// An open database.
#[derive(Debug)]
pub(crate) struct Database {
    pools: Pools,
    location: String,
    statement_timeout: Duration,
}

#[derive(Debug)]
enum Pools {
    /// SQLite takes one writer at a time: a single connection for writing makes its own queue, in order and without
    /// polling for a lock, while readers see the last committed state.
    Sqlite {
        writer: SqlitePool,
        readers: SqlitePool,
    },
    Postgres(PgPool),
}

/// A transaction. Dropped without `commit`, it is rolled back.
pub(crate) struct Transaction {
    inner: Inner,
    location: String,
    statement_timeout: Duration,
}

enum Inner {
    Sqlite(sqlx::Transaction<'static, Sqlite>),
    Postgres(sqlx::Transaction<'static, Postgres>),
}

impl Database {
    pub(crate) fn is_postgres(&self) -> bool {
        matches!(self.pools, Pools::Postgres(_))
    }

    pub(crate) fn location(&self) -> &str {
        &self.location
    }

    /// The pool of a PostgreSQL store, for LISTEN.
    pub(crate) fn postgres(&self) -> Option<&PgPool> {
        match &self.pools {
            Pools::Postgres(pool) => Some(pool),
            Pools::Sqlite { .. } => None,
        }
    }

    /// The readers of a SQLite store, for the backup, which connects as they do.
    pub(crate) fn sqlite_readers(&self) -> Option<&SqlitePool> {
        match &self.pools {
            Pools::Sqlite { readers, .. } => Some(readers),
            Pools::Postgres(_) => None,
        }
    }

    /// Begins a transaction that writes.
    pub(crate) async fn write(&self) -> Result<Transaction> {
        let begun = async {
            Ok(match &self.pools {
                // IMMEDIATE takes the lock now. A transaction that reads first and asks for it later is refused at once
                // when another process has written in between, whatever the busy time-out says.
                Pools::Sqlite { writer, .. } => Inner::Sqlite(writer.begin_with("BEGIN IMMEDIATE").await?),
                Pools::Postgres(pool) => Inner::Postgres(pool.begin().await?),
            })
        };
        self.transaction(begun).await
    }

    /// Begins a transaction that reads one unchanging state.
    pub(crate) async fn snapshot(&self) -> Result<Transaction> {
        let begun = async {
            Ok(match &self.pools {
                Pools::Sqlite { readers, .. } => Inner::Sqlite(readers.begin().await?),
                Pools::Postgres(pool) => {
                    let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
                    Inner::Postgres(pool.begin_with(begin).await?)
                }
            })
        };
        self.transaction(begun).await
    }

    async fn transaction(&self, begun: impl Future<Output = sqlx::Result<Inner>>) -> Result<Transaction> {
        // The pool's own limit and the lock's come first; this one is for a server that stopped answering.
        let inner = bounded(self.statement_timeout * 2, &self.location, begun).await?;
        Ok(Transaction { inner, location: self.location.clone(), statement_timeout: self.statement_timeout })
    }

    /// All rows of one reading statement, outside any transaction.
    pub(crate) async fn rows(&self, sql: &str, values: Vec<Value>) -> Result<Vec<Row>> {
        let read = async {
            match &self.pools {
                Pools::Sqlite { readers, .. } => statement::sqlite_rows(readers, sql, values).await,
                Pools::Postgres(pool) => statement::postgres_rows(pool, sql, values).await,
            }
        };
        bounded(self.statement_timeout * 2, &self.location, read).await
    }

    /// The first row, if there is one.
    pub(crate) async fn row(&self, sql: &str, values: Vec<Value>) -> Result<Option<Row>> {
        Ok(self.rows(sql, values).await?.into_iter().next())
    }

    /// Moves SQLite's write-ahead log into its file and empties it: what was deleted or overwritten is then nowhere any
    /// more. Waits for readers as long as for a lock.
    pub(crate) async fn fold_log(&self) -> Result<()> {
        let Pools::Sqlite { writer, .. } = &self.pools else { return Ok(()) };
        let fold = statement::sqlite_rows(writer, "PRAGMA wal_checkpoint(TRUNCATE)", vec![]);
        let rows = bounded(self.statement_timeout * 2, &self.location, fold).await?;
        match rows.first().map(|row| row.int("busy")).transpose()? {
            Some(0) => Ok(()),
            _ => Err(StoreError::busy("a reader holds on to the log of what was erased")),
        }
    }

    /// Runs a `VACUUM` of PostgreSQL, which can be in no transaction.
    pub(crate) async fn vacuum(&self, sql: &'static str) -> Result<()> {
        let Pools::Postgres(pool) = &self.pools else { return Ok(()) };
        let vacuum = async { sqlx::raw_sql(sql).execute(pool).await.map(|_| ()) };
        bounded(self.statement_timeout * 2, &self.location, vacuum).await
    }

    /// Closes every connection after what runs on it has ended.
    pub(crate) async fn close(&self) {
        match &self.pools {
            Pools::Sqlite { writer, readers } => {
                readers.close().await;
                // Last, because the last connection folds the write-ahead log into the file, which readers cannot.
                writer.close().await;
            }
            Pools::Postgres(pool) => pool.close().await,
        }
    }
}

impl Transaction {
    pub(crate) fn is_postgres(&self) -> bool {
        matches!(self.inner, Inner::Postgres(_))
    }

    /// Runs a statement; answers how many rows it touched.
    pub(crate) async fn execute(&mut self, sql: &str, values: Vec<Value>) -> Result<u64> {
        let run = async {
            match &mut self.inner {
                Inner::Sqlite(transaction) => {
                    statement::sqlite_execute(&mut **transaction, sql, values).await
                }
                Inner::Postgres(transaction) => {
                    statement::postgres_execute(&mut **transaction, sql, values).await
                }
            }
        };
        bounded(self.statement_timeout, &self.location, run).await
    }

    /// Runs a script of several statements without parameters, however long it takes.
    pub(crate) async fn script(&mut self, sql: &'static str) -> Result<()> {
        match &mut self.inner {
            Inner::Sqlite(transaction) => sqlx::raw_sql(sql).execute(&mut **transaction).await.map(|_| ()),
            Inner::Postgres(transaction) => sqlx::raw_sql(sql).execute(&mut **transaction).await.map(|_| ()),
        }
        .map_err(|error| translate(&error, &self.location))
    }

    /// All rows of a statement.
    pub(crate) async fn rows(&mut self, sql: &str, values: Vec<Value>) -> Result<Vec<Row>> {
        let run = async {
            match &mut self.inner {
                Inner::Sqlite(transaction) => statement::sqlite_rows(&mut **transaction, sql, values).await,
                Inner::Postgres(transaction) => {
                    statement::postgres_rows(&mut **transaction, sql, values).await
                }
            }
        };
        bounded(self.statement_timeout, &self.location, run).await
    }

    /// The first row, if there is one.
    pub(crate) async fn row(&mut self, sql: &str, values: Vec<Value>) -> Result<Option<Row>> {
        Ok(self.rows(sql, values).await?.into_iter().next())
    }

    pub(crate) async fn commit(self) -> Result<()> {
        let Self { inner, location, statement_timeout } = self;
        let commit = async {
            match inner {
                Inner::Sqlite(transaction) => transaction.commit().await,
                Inner::Postgres(transaction) => transaction.commit().await,
            }
        };
        bounded(statement_timeout, &location, commit).await
    }
}

/// Waits no longer than `limit`.
async fn bounded<T>(
    limit: Duration,
    location: &str,
    work: impl Future<Output = sqlx::Result<T>>,
) -> Result<T> {
    match tokio::time::timeout(limit, work).await {
        Ok(done) => done.map_err(|error| translate(&error, location)),
        Err(_) => Err(StoreError::busy(format!("no answer within {} s", limit.as_secs_f64()))),
    }
}
