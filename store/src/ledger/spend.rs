//! What somebody spent in a window, exact to the minute: the hourly sums for its whole hours, the minutely ones for the
//! hours that it begins and ends in.

use domain::Micros;
use serde::Serialize;

use super::sums::MINUTE_MS;
use super::{HOUR_MS, Ledger};
use crate::database::Value;
use crate::error::Result;

/// Who spends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner<'a> {
    /// A virtual key, by its id.
    Key(&'a str),
    /// A team, by its id.
    Team(&'a str),
    /// A user, by its id.
    User(&'a str),
}

impl<'a> Owner<'a> {
    fn column_and_id(self) -> (&'static str, &'a str) {
        match self {
            Self::Key(id) => ("key_id", id),
            Self::Team(id) => ("team_id", id),
            Self::User(id) => ("user_id", id),
        }
    }
}

/// What was spent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Spend {
    /// Settled cost.
    pub cost: Micros,
    /// Settled requests.
    pub requests: u64,
    /// Their prompt tokens.
    pub input_tokens: u64,
    /// Their generated tokens.
    pub output_tokens: u64,
    /// Reserved and neither settled nor aborted, whenever that was.
    pub unsettled: Micros,
}

/// A window cut at full hours.
struct Cut {
    from: i64,
    first_hour: i64,
    last_hour: i64,
    to: i64,
}

impl Cut {
    fn new(from_ms: i64, to_ms: i64) -> Self {
        let minute = |at_ms: i64| at_ms.div_euclid(MINUTE_MS).saturating_mul(MINUTE_MS);
        let (from, to) = (minute(from_ms), minute(to_ms));
        let first_hour = from.div_euclid(HOUR_MS).saturating_add(i64::from(from.rem_euclid(HOUR_MS) != 0));
        let first_hour = first_hour.saturating_mul(HOUR_MS);
        let last_hour = to.div_euclid(HOUR_MS).saturating_mul(HOUR_MS);
        if first_hour < last_hour {
            return Self { from, first_hour, last_hour, to };
        }
        // No whole hour inside: minutes only.
        Self { from, first_hour: to, last_hour: to, to }
    }
}

impl Ledger<'_> {
    /// What the owner spent from the minute of `from_ms` to before the minute of `to_ms`. Where minutes are forgotten
    /// ([`Ledger::forget_minutes`]), only whole hours count.
    ///
    /// # Errors
    /// Those of any read.
    pub async fn spend(self, owner: Owner<'_>, from_ms: i64, to_ms: i64) -> Result<Spend> {
        let (column, id) = owner.column_and_id();
        let figures = "cost_micros, requests, input_tokens, output_tokens";
        let sums = ["cost_micros", "requests", "input_tokens", "output_tokens"]
            .map(|figure| format!("CAST(COALESCE(SUM({figure}), 0) AS BIGINT) AS {figure}"))
            .join(", ");
        let minutes = format!("SELECT {figures} FROM spend_minutely WHERE {column} = $1");
        let sql = format!(
            "SELECT {sums}, (SELECT CAST(COALESCE(SUM(reserved_micros), 0) AS BIGINT) FROM ledger_open
                             WHERE {column} = $1) AS unsettled
             FROM (SELECT {figures} FROM spend_hourly WHERE {column} = $1 AND hour >= $2 AND hour < $3
                   UNION ALL {minutes} AND minute >= $4 AND minute < $2
                   UNION ALL {minutes} AND minute >= $3 AND minute < $5) AS parts"
        );
        let cut = Cut::new(from_ms, to_ms);
        let values: Vec<Value> =
            vec![id.into(), cut.first_hour.into(), cut.last_hour.into(), cut.from.into(), cut.to.into()];
        let Some(row) = self.0.database.row(&sql, values).await? else { return Ok(Spend::default()) };
        Ok(Spend {
            cost: row.micros("cost_micros")?,
            requests: row.count("requests")?,
            input_tokens: row.count("input_tokens")?,
            output_tokens: row.count("output_tokens")?,
            unsettled: row.micros("unsettled")?,
        })
    }

    /// What the owner's reservations hold that were neither settled nor aborted, by the log that they were written in.
    ///
    /// # Errors
    /// Those of any read.
    pub async fn unsettled_by_log(self, owner: Owner<'_>) -> Result<Vec<(String, Micros)>> {
        let (column, id) = owner.column_and_id();
        let sql = format!(
            "SELECT log, CAST(SUM(reserved_micros) AS BIGINT) AS reserved FROM ledger_open
             WHERE {column} = $1 GROUP BY log"
        );
        let rows = self.0.database.rows(&sql, vec![id.into()]).await?;
        rows.iter().map(|row| Ok((row.text("log")?, row.micros("reserved")?))).collect()
    }

    /// Forgets the minutes before the hour of `before_ms`; their hours stay.
    ///
    /// # Errors
    /// Those of any write.
    pub async fn forget_minutes(self, before_ms: i64) -> Result<()> {
        let before = before_ms.div_euclid(HOUR_MS).saturating_mul(HOUR_MS);
        let mut transaction = self.0.database.write().await?;
        transaction.execute("DELETE FROM spend_minutely WHERE minute < $1", vec![before.into()]).await?;
        transaction.commit().await
    }
}
