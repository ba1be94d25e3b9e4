//! Sums of the ledger by key, team, user, model, provider, tag and day, from the hourly sums alone.

use domain::{Micros, Usage};
use serde::Serialize;

use crate::Store;
use crate::database::{Row, Value};
use crate::error::{Result, StoreError};
use crate::ledger::{FIGURES, HOUR_MS};

/// What to sum by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Dimension {
    /// The virtual key's id.
    Key,
    /// The team's id.
    Team,
    /// The user's id.
    User,
    /// The model that was asked for.
    Model,
    /// The provider.
    Provider,
    /// Each tag: an entry with two counts in both, one without in none.
    Tag,
    /// The day's beginning in UTC, in unix milliseconds.
    Day,
}

impl Dimension {
    fn expression(self) -> &'static str {
        match self {
            Self::Key => "key_id",
            Self::Team => "team_id",
            Self::User => "user_id",
            Self::Model => "model",
            Self::Provider => "provider",
            Self::Tag => "tag",
            Self::Day => "CAST(hour - hour % 86400000 AS TEXT)",
        }
    }
}

/// A report to make.
#[derive(Clone, Debug, Default)]
pub struct ReportQuery {
    /// What to sum by, in this order; empty: one row with everything.
    pub by: Vec<Dimension>,
    /// From the beginning of this time's hour.
    pub from_ms: i64,
    /// To before this time; its hour counts whole, unless this is its beginning.
    pub to_ms: i64,
    /// Only what has these values.
    pub only: Vec<(Dimension, String)>,
}

/// What was added up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Totals {
    /// Requests.
    pub requests: u64,
    /// Settled attempts; a request that was answered without one has none.
    pub attempts: u64,
    /// Tokens.
    pub usage: Usage,
    /// Cost.
    pub cost: Micros,
    /// What caches and coalescing saved.
    pub saved: Micros,
}

/// One line of a report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ReportRow {
    /// The values of [`ReportQuery::by`], in its order.
    pub group: Vec<String>,
    /// The sums.
    pub totals: Totals,
}

/// Longer reports are refused; ask for a shorter time or fewer dimensions.
const MAX_ROWS: usize = 100_000;

/// Reports. See [`Store::reports`].
#[derive(Clone, Copy, Debug)]
pub struct Reports<'a>(pub(crate) &'a Store);

impl Reports<'_> {
    /// The sums, sorted by their group.
    ///
    /// # Errors
    /// `Invalid` for a report of more than 100,000 rows, and those of any read.
    pub async fn sum(self, query: &ReportQuery) -> Result<Vec<ReportRow>> {
        let rows = self.0.database.rows(&sql(query), values(query)).await?;
        if rows.len() > MAX_ROWS {
            let reason = format!("has more than {MAX_ROWS} rows: shorten its time or take fewer dimensions");
            return Err(StoreError::invalid("spend_hourly", "report", reason));
        }
        rows.iter().map(|row| read(row, query.by.len())).collect()
    }
}

fn sql(query: &ReportQuery) -> String {
    let tagged = query.by.contains(&Dimension::Tag) || query.only.iter().any(|(by, _)| *by == Dimension::Tag);
    let table = if tagged { "spend_hourly_tags" } else { "spend_hourly" };
    let mut columns: Vec<String> = query
        .by
        .iter()
        .enumerate()
        .map(|(index, by)| format!("{} AS group{index}", by.expression()))
        .collect();
    columns.extend(FIGURES.map(|figure| format!("CAST(COALESCE(SUM({figure}), 0) AS BIGINT) AS {figure}")));
    let conditions: Vec<String> = query
        .only
        .iter()
        .enumerate()
        .map(|(index, (by, _))| format!(" AND {} = ${}", by.expression(), index + 3))
        .collect();
    let mut sql = format!(
        "SELECT {} FROM {table} WHERE hour >= $1 AND hour < $2{}",
        columns.join(", "),
        conditions.concat()
    );
    if !query.by.is_empty() {
        let groups: Vec<String> = (1..=query.by.len()).map(|place| place.to_string()).collect();
        let groups = groups.join(", ");
        sql += &format!(" GROUP BY {groups} ORDER BY {groups} LIMIT {}", MAX_ROWS + 1);
    }
    sql
}

fn values(query: &ReportQuery) -> Vec<Value> {
    let from_ms = query.from_ms.div_euclid(HOUR_MS).saturating_mul(HOUR_MS);
    let mut values: Vec<Value> = vec![from_ms.into(), query.to_ms.into()];
    values.extend(query.only.iter().map(|(_, value)| Value::from(value.as_str())));
    values
}

fn read(row: &Row, groups: usize) -> Result<ReportRow> {
    let group = (0..groups).map(|index| row.text(&format!("group{index}"))).collect::<Result<_>>()?;
    let totals = Totals {
        requests: row.count("requests")?,
        attempts: row.count("attempts")?,
        usage: row.usage()?,
        cost: row.micros("cost_micros")?,
        saved: row.micros("saved_micros")?,
    };
    Ok(ReportRow { group, totals })
}
