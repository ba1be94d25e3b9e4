//! What somebody spent in a window, exact to the millisecond: the hourly sums for its whole hours, the entries for the
//! hours that it begins and ends in. And the check that both agree.

use domain::Micros;
use serde::Serialize;

use super::{FIGURES, HOUR_MS, Ledger};
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

/// A sum that differs from its entries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The hour's beginning.
    pub hour_ms: i64,
    /// Whose.
    pub key_id: String,
    /// The sum's cost minus the entries', in micro-dollars.
    pub cost_micros: i64,
    /// The sum's attempts minus the entries'.
    pub attempts: i64,
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
        let first_hour =
            from_ms.div_euclid(HOUR_MS).saturating_add(i64::from(from_ms.rem_euclid(HOUR_MS) != 0));
        let first_hour = first_hour.saturating_mul(HOUR_MS);
        let last_hour = to_ms.div_euclid(HOUR_MS).saturating_mul(HOUR_MS);
        if first_hour < last_hour {
            return Self { from: from_ms, first_hour, last_hour, to: to_ms };
        }
        // No whole hour inside: entries only.
        Self { from: from_ms, first_hour: to_ms, last_hour: to_ms, to: to_ms }
    }
}

impl Ledger<'_> {
    /// What the owner spent from `from_ms` to before `to_ms`.
    ///
    /// # Errors
    /// Those of any read.
    pub async fn spend(self, owner: Owner<'_>, from_ms: i64, to_ms: i64) -> Result<Spend> {
        let (column, id) = owner.column_and_id();
        let figures = "cost_micros, requests, input_tokens, output_tokens";
        let sums = ["cost_micros", "requests", "input_tokens", "output_tokens"]
            .map(|figure| format!("CAST(COALESCE(SUM({figure}), 0) AS BIGINT) AS {figure}"))
            .join(", ");
        let entries = format!("SELECT {figures} FROM ledger WHERE {column} = $1 AND state = 'settled'");
        let sql = format!(
            "SELECT {sums}, (SELECT CAST(COALESCE(SUM(reserved_micros), 0) AS BIGINT) FROM ledger
                             WHERE {column} = $1 AND state = 'reserved') AS unsettled
             FROM (SELECT {figures} FROM spend_hourly WHERE {column} = $1 AND hour >= $2 AND hour < $3
                   UNION ALL {entries} AND at >= $4 AND at < $2
                   UNION ALL {entries} AND at >= $3 AND at < $5) AS parts"
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

    /// Compares the hourly sums with the entries they were made of, hour by hour from the hour of `from_ms` to before
    /// the hour of `to_ms`. Empty when all is well; at most 1,000 differences.
    ///
    /// # Errors
    /// Those of any read.
    pub async fn reconcile(self, from_ms: i64, to_ms: i64) -> Result<Vec<Difference>> {
        let place = "hour, key_id, team_id, user_id, model, provider";
        let differences =
            FIGURES.map(|figure| format!("CAST(SUM({figure}) AS BIGINT) AS {figure}")).join(", ");
        let unequal = FIGURES.map(|figure| format!("SUM({figure}) <> 0")).join(" OR ");
        let negative =
            FIGURES.map(|figure| if figure == "attempts" { "-1".to_owned() } else { format!("-{figure}") });
        // `at` is never negative here, so that % is the remainder in both databases.
        let sql = format!(
            "SELECT {place}, {differences}
             FROM (SELECT {place}, {} FROM spend_hourly WHERE hour >= $1 AND hour < $2
                   UNION ALL
                   SELECT at - at % {HOUR_MS}, key_id, team_id, user_id, model, provider, {}
                   FROM ledger WHERE state = 'settled' AND at >= $1 AND at < $2) AS both_sides
             GROUP BY {place} HAVING {unequal} ORDER BY {place} LIMIT 1000",
            FIGURES.join(", "),
            negative.join(", "),
        );
        let hour = |at_ms: i64| at_ms.div_euclid(HOUR_MS).saturating_mul(HOUR_MS);
        let rows = self.0.database.rows(&sql, vec![hour(from_ms).into(), hour(to_ms).into()]).await?;
        rows.iter()
            .map(|row| {
                Ok(Difference {
                    hour_ms: row.int("hour")?,
                    key_id: row.text("key_id")?,
                    cost_micros: row.int("cost_micros")?,
                    attempts: row.int("attempts")?,
                })
            })
            .collect()
    }
}
