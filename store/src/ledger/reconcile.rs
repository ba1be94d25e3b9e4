//! Compares the hourly sums with the entries that they were made of, and what the ledger counts with what the providers
//! have counted.

use std::collections::BTreeMap;

use domain::{Micros, Usage};

use super::sums::{HOUR_MS, settled_in};
use super::{Counted, Ledger, LedgerEntry, LedgerFilter, State};
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

/// What calls of one provider's model have used, by who counted it: what the provider has told can be held against its
/// bill, what we have counted differs from it, and of the rest nothing is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CountedSum {
    /// The provider.
    pub provider: String,
    /// The model that was asked for.
    pub model: String,
    /// Who counted.
    pub counted: Counted,
    /// Settled calls.
    pub attempts: u64,
    /// Their tokens.
    pub usage: Usage,
    /// What they cost.
    pub cost: Micros,
}

/// What a comparison found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reconciled {
    /// Sums that differ from their entries; empty when all is well, and at most 1,000.
    pub differences: Vec<Difference>,
    /// All calls, by provider, model and who counted; at most 10,000.
    pub counted: Vec<CountedSum>,
}

/// Differences that are told at most.
const MOST: usize = 1_000;
/// Sums by provider, model and who counted.
const MOST_SUMS: usize = 10_000;

type CountedSums = BTreeMap<(String, String, Counted), CountedSum>;

/// Adds a call to those that were counted like it.
fn count(sums: &mut CountedSums, entry: &LedgerEntry) {
    let place = (entry.subject.provider.clone(), entry.subject.model.clone(), entry.counted);
    if !entry.kind.is_call() || sums.len() >= MOST_SUMS && !sums.contains_key(&place) {
        return;
    }
    let sum = sums.entry(place).or_insert_with(|| CountedSum {
        provider: entry.subject.provider.clone(),
        model: entry.subject.model.clone(),
        counted: entry.counted,
        attempts: 0,
        usage: Usage::default(),
        cost: Micros(0),
    });
    sum.attempts += 1;
    sum.cost += entry.cost;
    let (total, usage) = (&mut sum.usage, &entry.usage);
    for (total, tokens) in [
        (&mut total.prompt, usage.prompt),
        (&mut total.completion, usage.completion),
        (&mut total.cached, usage.cached),
        (&mut total.cache_write, usage.cache_write),
        (&mut total.reasoning, usage.reasoning),
    ] {
        *total = total.saturating_add(tokens);
    }
}

impl Ledger<'_> {
    /// Compares hour by hour and key by key, from the hour of `from_ms` to before the hour of `to_ms`. Reads every block of that time: not for every minute. Batches that arrive
    /// meanwhile show as differences.
    ///
    /// # Errors
    /// Those of any read.
    pub async fn reconcile(self, from_ms: i64, to_ms: i64) -> Result<Reconciled> {
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
        let mut counted = CountedSums::new();
        let filter = LedgerFilter { from_ms: Some(from), to_ms: Some(to), ..LedgerFilter::default() };
        let mut export = self.export(filter);
        while let Some(page) = export.next_page().await? {
            for entry in page.iter().filter(|entry| entry.state == State::Settled) {
                count(&mut counted, entry);
                let (cost, attempts) = settled_in(entry);
                let sum = both
                    .entry((hour(entry.at_ms), entry.subject.key_id.replace('\0', "\u{fffd}")))
                    .or_default();
                *sum = (sum.0.saturating_sub(cost), sum.1.saturating_sub(attempts));
            }
        }
        let differences = both.into_iter().filter(|(_, sum)| *sum != (0, 0)).take(MOST);
        let differences = differences
            .map(|((hour_ms, key_id), (cost_micros, attempts))| Difference {
                hour_ms,
                key_id,
                cost_micros,
                attempts,
            })
            .collect();
        Ok(Reconciled { differences, counted: counted.into_values().collect() })
    }
}
