//! Compares the hourly sums with the entries that they were made of.

use std::collections::BTreeMap;

use super::sums::{HOUR_MS, settled_in};
use super::{Ledger, LedgerFilter, State};
use crate::error::Result;

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

/// Differences that are told at most.
const MOST: usize = 1_000;

impl Ledger<'_> {
    /// Compares hour by hour and key by key, from the hour of `from_ms` to before the hour of `to_ms`. Empty when all is
    /// well; at most 1,000 differences. Reads every block of that time: not for every minute. Batches that arrive
    /// meanwhile show as differences.
    ///
    /// # Errors
    /// Those of any read.
    pub async fn reconcile(self, from_ms: i64, to_ms: i64) -> Result<Vec<Difference>> {
        let hour = |at_ms: i64| at_ms.div_euclid(HOUR_MS).saturating_mul(HOUR_MS);
        let (from, to) = (hour(from_ms), hour(to_ms));
        let mut both: BTreeMap<(i64, String), (i64, i64)> = BTreeMap::new();
        let sql = "SELECT hour, key_id, CAST(SUM(cost_micros) AS BIGINT) AS cost_micros,
                          CAST(SUM(attempts) AS BIGINT) AS attempts
                   FROM spend_hourly WHERE hour >= $1 AND hour < $2 GROUP BY hour, key_id";
        for row in self.0.database.rows(sql, vec![from.into(), to.into()]).await? {
            let sum = (row.int("cost_micros")?, row.int("attempts")?);
            both.insert((row.int("hour")?, row.text("key_id")?), sum);
        }
        let filter = LedgerFilter { from_ms: Some(from), to_ms: Some(to), ..LedgerFilter::default() };
        let mut export = self.export(filter);
        while let Some(page) = export.next_page().await? {
            for entry in page.iter().filter(|entry| entry.state == State::Settled) {
                let (cost, attempts) = settled_in(entry);
                let sum =
                    both.entry((hour(entry.at_ms), entry.key_id.replace('\0', "\u{fffd}"))).or_default();
                *sum = (sum.0.saturating_sub(cost), sum.1.saturating_sub(attempts));
            }
        }
        let differences = both.into_iter().filter(|(_, sum)| *sum != (0, 0)).take(MOST);
        Ok(differences
            .map(|((hour_ms, key_id), (cost_micros, attempts))| Difference {
                hour_ms,
                key_id,
                cost_micros,
                attempts,
            })
            .collect())
    }
}
