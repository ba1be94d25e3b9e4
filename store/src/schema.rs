//! The schema's versions: forward only, embedded, each applied in one transaction. A database from a newer program is
//! left alone.

use crate::database::{Database, Transaction};
use crate::error::{Result, StoreError};

struct Migration {
    version: i64,
    sqlite: &'static str,
    postgres: &'static str,
}

/// In order; a released one never changes.
const MIGRATIONS: &[Migration] = &[
    Migration {
        version: 1,
        sqlite: include_str!("../migrations/sqlite/0001_initial.sql"),
        postgres: include_str!("../migrations/postgres/0001_initial.sql"),
    },
    Migration {
        version: 2,
        sqlite: include_str!("../migrations/sqlite/0002_ledger_blocks.sql"),
        postgres: include_str!("../migrations/postgres/0002_ledger_blocks.sql"),
    },
    Migration {
        version: 3,
        sqlite: include_str!("../migrations/sqlite/0003_accounts.sql"),
        postgres: include_str!("../migrations/postgres/0003_accounts.sql"),
    },
    Migration {
        version: 4,
        sqlite: include_str!("../migrations/sqlite/0004_credential_shares.sql"),
        postgres: include_str!("../migrations/postgres/0004_credential_shares.sql"),
    },
    Migration {
        version: 5,
        sqlite: include_str!("../migrations/sqlite/0005_contents.sql"),
        postgres: include_str!("../migrations/postgres/0005_contents.sql"),
    },
    Migration {
        version: 6,
        sqlite: include_str!("../migrations/sqlite/0006_request_blocks.sql"),
        postgres: include_str!("../migrations/postgres/0006_request_blocks.sql"),
    },
    Migration {
        version: 7,
        sqlite: include_str!("../migrations/sqlite/0007_organizations.sql"),
        postgres: include_str!("../migrations/postgres/0007_organizations.sql"),
    },
    Migration {
        version: 8,
        sqlite: include_str!("../migrations/sqlite/0008_route_feedback.sql"),
        postgres: include_str!("../migrations/postgres/0008_route_feedback.sql"),
    },
];

/// The newest schema this program knows.
pub const SCHEMA_VERSION: i64 = 8;

/// Any number, the same in every version: whoever migrates a PostgreSQL database holds it.
const MIGRATION_LOCK: &str = "SELECT pg_advisory_xact_lock(5711483905212)";

/// Brings the database up to [`SCHEMA_VERSION`].
pub(crate) async fn migrate(database: &Database) -> Result<()> {
    let mut transaction = database.write().await?;
    if transaction.is_postgres() {
        // Another node may be migrating for as long as it takes, and so may we.
        transaction.script("SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = '60s'").await?;
        transaction.script(MIGRATION_LOCK).await?;
    }
    transaction
        .script("CREATE TABLE IF NOT EXISTS schema_version (version BIGINT NOT NULL PRIMARY KEY)")
        .await?;
    let found = current(&mut transaction).await?;
    if found > SCHEMA_VERSION {
        return Err(StoreError::NewerSchema { found, known: SCHEMA_VERSION });
    }
    for migration in MIGRATIONS.iter().filter(|migration| migration.version > found) {
        let script = if transaction.is_postgres() { migration.postgres } else { migration.sqlite };
        transaction.script(script).await?;
        transaction
            .execute("INSERT INTO schema_version (version) VALUES ($1)", vec![migration.version.into()])
            .await?;
    }
    transaction.commit().await
}

async fn current(transaction: &mut Transaction) -> Result<i64> {
    let row = transaction.row("SELECT MAX(version) AS version FROM schema_version", vec![]).await?;
    row.map_or(Ok(0), |row| Ok(row.int_or_null("version")?.unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_count_up_from_one_to_the_newest() {
        let versions: Vec<i64> = MIGRATIONS.iter().map(|migration| migration.version).collect();
        assert_eq!(versions, (1..=SCHEMA_VERSION).collect::<Vec<_>>());
    }
}
