//! Binds values and runs one statement, once for each database. The SQL text is ours: constants, and lists of the
//! columns and placeholders that the schema and a batch's length ask for. What a user wrote is always a parameter.

use sqlx::postgres::PgArguments;
use sqlx::sqlite::SqliteArguments;
use sqlx::{Arguments as _, AssertSqlSafe, Executor, Postgres, Sqlite};

use super::value::{Row, Value};

macro_rules! for_database {
    ($arguments:ident, $rows:ident, $execute:ident, $database:ty, $type:ty, $variant:ident) => {
        fn $arguments(values: Vec<Value>) -> sqlx::Result<$type> {
            let mut arguments = <$type>::default();
            arguments.reserve(values.len(), values.len() * 16);
            for value in values {
                match value {
                    Value::Int(value) => arguments.add(value),
                    Value::Text(value) => arguments.add(value),
                    Value::Bytes(value) => arguments.add(value),
                    Value::Bool(value) => arguments.add(value),
                }
                .map_err(sqlx::Error::Encode)?;
            }
            Ok(arguments)
        }

        pub(super) async fn $rows<'c>(
            executor: impl Executor<'c, Database = $database>,
            sql: &str,
            values: Vec<Value>,
        ) -> sqlx::Result<Vec<Row>> {
            let query = sqlx::query_with(AssertSqlSafe(sql), $arguments(values)?);
            Ok(query.fetch_all(executor).await?.into_iter().map(Row::$variant).collect())
        }

        pub(super) async fn $execute<'c>(
            executor: impl Executor<'c, Database = $database>,
            sql: &str,
            values: Vec<Value>,
        ) -> sqlx::Result<u64> {
            let query = sqlx::query_with(AssertSqlSafe(sql), $arguments(values)?);
            Ok(query.execute(executor).await?.rows_affected())
        }
    };
}

for_database!(sqlite_arguments, sqlite_rows, sqlite_execute, Sqlite, SqliteArguments, Sqlite);
for_database!(postgres_arguments, postgres_rows, postgres_execute, Postgres, PgArguments, Postgres);
