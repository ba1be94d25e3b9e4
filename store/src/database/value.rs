//! Values on their way into a statement and rows on their way out, the same for both databases. A dozen lines for each
//! kind instead of sqlx's `Any`, which knows no typed NULL for PostgreSQL and copies every row.

use domain::{Micros, Usage};
use sqlx::postgres::PgRow;
use sqlx::sqlite::SqliteRow;
use sqlx::{ColumnIndex, Decode, Row as _, Type};

use crate::error::{Result, StoreError};

/// Counts and amounts above this are stored as this: it is a billion dollars or a quadrillion tokens, and thousands of
/// them still add up within a BIGINT.
pub const MAX_FIGURE: u64 = 1_000_000_000_000_000;

/// A parameter. NULL has a type, which PostgreSQL wants to know.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    Int(Option<i64>),
    Text(Option<String>),
    Bytes(Option<Vec<u8>>),
    Bool(bool),
}

impl Value {
    /// Text as both databases can keep it: PostgreSQL refuses NUL, and a client's tag must not block a whole batch.
    fn clean(text: String) -> String {
        if text.contains('\0') { text.replace('\0', "\u{fffd}") } else { text }
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Int(Some(value))
    }
}

impl From<Option<i64>> for Value {
    fn from(value: Option<i64>) -> Self {
        Self::Int(value)
    }
}

/// A count, at most [`MAX_FIGURE`].
impl From<u64> for Value {
    fn from(value: u64) -> Self {
        Self::Int(Some(figure(value)))
    }
}

impl From<Micros> for Value {
    fn from(value: Micros) -> Self {
        Self::from(value.0)
    }
}

impl From<Option<u64>> for Value {
    fn from(value: Option<u64>) -> Self {
        Self::Int(value.map(figure))
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::Text(Some(Self::clean(value.to_owned())))
    }
}

impl From<String> for Value {
    fn from(value: String) -> Self {
        Self::Text(Some(Self::clean(value)))
    }
}

impl From<Option<&str>> for Value {
    fn from(value: Option<&str>) -> Self {
        Self::Text(value.map(|text| Self::clean(text.to_owned())))
    }
}

impl From<&[u8]> for Value {
    fn from(value: &[u8]) -> Self {
        Self::Bytes(Some(value.to_vec()))
    }
}

impl From<Option<&[u8]>> for Value {
    fn from(value: Option<&[u8]>) -> Self {
        Self::Bytes(value.map(<[u8]>::to_vec))
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

/// A count as the databases keep it.
pub(crate) fn figure(value: u64) -> i64 {
    i64::try_from(value.min(MAX_FIGURE)).unwrap_or(i64::MAX)
}

/// One row of a result.
pub(crate) enum Row {
    Sqlite(SqliteRow),
    Postgres(PgRow),
}

impl Row {
    pub(crate) fn int(&self, column: &str) -> Result<i64> {
        self.read(column)
    }

    pub(crate) fn int_or_null(&self, column: &str) -> Result<Option<i64>> {
        self.read(column)
    }

    /// A count, which is never negative.
    pub(crate) fn count(&self, column: &str) -> Result<u64> {
        let value: i64 = self.read(column)?;
        u64::try_from(value).map_err(|_| StoreError::database(format!("{column} is negative: {value}")))
    }

    pub(crate) fn count_or_null(&self, column: &str) -> Result<Option<u64>> {
        let value: Option<i64> = self.read(column)?;
        value.map(|_| self.count(column)).transpose()
    }

    pub(crate) fn micros(&self, column: &str) -> Result<Micros> {
        self.count(column).map(Micros)
    }

    /// Tokens, whose columns every table names alike.
    pub(crate) fn usage(&self) -> Result<Usage> {
        Ok(Usage {
            prompt: self.count("input_tokens")?,
            completion: self.count("output_tokens")?,
            cached: self.count("cached_tokens")?,
            cache_write: self.count("cache_write_tokens")?,
            reasoning: self.count("reasoning_tokens")?,
        })
    }

    pub(crate) fn text(&self, column: &str) -> Result<String> {
        self.read(column)
    }

    pub(crate) fn text_or_null(&self, column: &str) -> Result<Option<String>> {
        self.read(column)
    }

    pub(crate) fn bytes(&self, column: &str) -> Result<Vec<u8>> {
        self.read(column)
    }

    pub(crate) fn bytes_or_null(&self, column: &str) -> Result<Option<Vec<u8>>> {
        self.read(column)
    }

    pub(crate) fn bool(&self, column: &str) -> Result<bool> {
        self.read(column)
    }

    /// A column of JSON text.
    pub(crate) fn json<T: serde::de::DeserializeOwned>(&self, column: &str) -> Result<T> {
        serde_json::from_str(&self.text(column)?).map_err(|error| {
            StoreError::database(format!("{column} does not hold the JSON it should: {error}"))
        })
    }

    fn read<T>(&self, column: &str) -> Result<T>
    where
        for<'r> T:
            Decode<'r, sqlx::Sqlite> + Type<sqlx::Sqlite> + Decode<'r, sqlx::Postgres> + Type<sqlx::Postgres>,
        for<'c> &'c str: ColumnIndex<SqliteRow> + ColumnIndex<PgRow>,
    {
        let value = match self {
            Self::Sqlite(row) => row.try_get(column),
            Self::Postgres(row) => row.try_get(column),
        };
        value.map_err(|error| StoreError::database(error.to_string()))
    }
}
