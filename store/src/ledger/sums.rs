//! The hourly sums: what one batch adds to them.

use std::collections::BTreeMap;

use super::LedgerEntry;
use crate::database::{Transaction, Value};
use crate::error::Result;
use crate::records::places;

/// The width of a sum.
pub(crate) const HOUR_MS: i64 = 3_600_000;

/// What is added up, in the order of [`Figures`].
pub(crate) const FIGURES: [&str; 9] = [
    "requests",
    "attempts",
    "input_tokens",
    "output_tokens",
    "cached_tokens",
    "cache_write_tokens",
    "reasoning_tokens",
    "cost_micros",
    "saved_micros",
];

/// Who and what a sum is of: hour, key, team, user, model, provider. With a tag in front for the sums by tag, else "".
type Place<'a> = (&'a str, i64, [&'a str; 5]);
type Figures = [i64; FIGURES.len()];

/// Sums of a batch, in one order everywhere, so that two writers never wait for each other in a circle.
#[derive(Default)]
pub(super) struct Sums<'a> {
    totals: BTreeMap<Place<'a>, Figures>,
    tags: BTreeMap<Place<'a>, Figures>,
}

impl<'a> Sums<'a> {
    pub(super) fn add(&mut self, entry: &'a LedgerEntry) {
        let hour = entry.at_ms.div_euclid(HOUR_MS) * HOUR_MS;
        let dimensions = [
            entry.key_id.as_str(),
            entry.team_id.as_str(),
            entry.user_id.as_str(),
            entry.model.as_str(),
            entry.provider.as_str(),
        ];
        add(self.totals.entry(("", hour, dimensions)).or_default(), entry);
        let mut tags: Vec<&str> = entry.tags.iter().map(String::as_str).collect();
        tags.sort_unstable();
        tags.dedup();
        for tag in tags {
            add(self.tags.entry((tag, hour, dimensions)).or_default(), entry);
        }
    }

    pub(super) async fn write(&self, transaction: &mut Transaction) -> Result<()> {
        write(transaction, "spend_hourly", &[], &self.totals).await?;
        write(transaction, "spend_hourly_tags", &["tag"], &self.tags).await
    }
}

fn add(sum: &mut Figures, entry: &LedgerEntry) {
    let usage = &entry.usage;
    let figure = crate::database::figure;
    let figures: Figures = [
        i64::from(entry.counts_request),
        1,
        figure(usage.prompt),
        figure(usage.completion),
        figure(usage.cached),
        figure(usage.cache_write),
        figure(usage.reasoning),
        figure(entry.cost.0),
        figure(entry.saved.0),
    ];
    for (sum, figure) in sum.iter_mut().zip(figures) {
        *sum = sum.saturating_add(figure);
    }
}

/// Rows of one statement.
const ROWS: usize = 32;

async fn write(
    transaction: &mut Transaction,
    table: &str,
    tag: &[&str],
    sums: &BTreeMap<Place<'_>, Figures>,
) -> Result<()> {
    let key = [tag, &["hour", "key_id", "team_id", "user_id", "model", "provider"]].concat();
    let added = FIGURES.map(|figure| format!("{figure} = {table}.{figure} + excluded.{figure}")).join(", ");
    let head = format!("INSERT INTO {table} ({}, {}) VALUES ", key.join(", "), FIGURES.join(", "));
    let tail = format!(" ON CONFLICT ({}) DO UPDATE SET {added}", key.join(", "));
    let rows: Vec<Vec<Value>> =
        sums.iter().map(|(place, figures)| row(place, figures, !tag.is_empty())).collect();
    for chunk in chunks(&rows, ROWS) {
        transaction
            .execute(&many(&head, chunk.len(), &tail, key.len() + FIGURES.len()), chunk.concat())
            .await?;
    }
    Ok(())
}

fn row((tag, hour, dimensions): &Place<'_>, figures: &Figures, tagged: bool) -> Vec<Value> {
    let mut values = vec![];
    if tagged {
        values.push((*tag).into());
    }
    values.push((*hour).into());
    values.extend(dimensions.iter().map(|dimension| Value::from(*dimension)));
    values.extend(figures.iter().map(|figure| Value::from(*figure)));
    values
}

/// Pieces of `size` rows and then single ones: two statements to prepare, whatever the number.
pub(super) fn chunks<T>(rows: &[T], size: usize) -> impl Iterator<Item = &[T]> {
    let (whole, rest) = rows.split_at(rows.len() - rows.len() % size);
    whole.chunks(size).chain(rest.chunks(1))
}

/// A statement for `rows` rows of `width` values.
pub(super) fn many(head: &str, rows: usize, tail: &str, width: usize) -> String {
    let rows: Vec<String> = (0..rows).map(|row| format!("({})", places(row * width + 1, width))).collect();
    format!("{head}{}{tail}", rows.join(", "))
}
