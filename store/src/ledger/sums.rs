//! The hourly and minutely sums: what one batch adds to them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::{LedgerEntry, Subject};
use crate::database::{Transaction, Value};
use crate::error::Result;
use crate::records::places;

/// The width of a sum.
pub(crate) const HOUR_MS: i64 = 3_600_000;

/// The width of a sum for budgets shorter than an hour.
pub(super) const MINUTE_MS: i64 = 60_000;

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

/// What is added up for each minute, and where it stands in [`FIGURES`].
const OF_MINUTES: [(&str, usize); 4] =
    [("requests", 0), ("input_tokens", 2), ("output_tokens", 3), ("cost_micros", 7)];
/// Minute, key, team, user.
type Minute<'a> = (&'a str, i64, [&'a str; 2]);

/// Sums of a batch.
#[derive(Default)]
pub(super) struct Sums<'a> {
    /// By subject and minute: a batch has few of either, and many entries. Entries of one subject share it, as a rule, so
    /// it is known by where it lies; two that are equal are added up when the sums are written.
    of_minutes: HashMap<(usize, i64), (&'a Subject, Figures)>,
}

impl<'a> Sums<'a> {
    pub(super) fn add(&mut self, entry: &'a LedgerEntry) {
        let minute = entry.at_ms.div_euclid(MINUTE_MS) * MINUTE_MS;
        let place = (Arc::as_ptr(&entry.subject).addr(), minute);
        let (_, sum) = self.of_minutes.entry(place).or_insert_with(|| (&entry.subject, Figures::default()));
        add(sum, &figures(entry));
    }

    /// In one order everywhere, so that two writers never wait for each other in a circle.
    pub(super) async fn write(&self, transaction: &mut Transaction) -> Result<()> {
        let (mut hours, mut tags, mut minutes) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        for ((_, minute), (subject, figures)) in &self.of_minutes {
            let Subject { key_id, team_id, user_id, model, provider, .. } = subject;
            let dimensions = [key_id, team_id, user_id, model, provider].map(String::as_str);
            let hour = minute.div_euclid(HOUR_MS) * HOUR_MS;
            add(hours.entry(("", hour, dimensions)).or_default(), figures);
            add(minutes.entry((key_id.as_str(), *minute, [team_id.as_str(), user_id])).or_default(), figures);
            for tag in subject.tags.iter().collect::<BTreeSet<_>>() {
                add(tags.entry((tag.as_str(), hour, dimensions)).or_default(), figures);
            }
        }
        write(transaction, "spend_hourly", &[], &hours).await?;
        write(transaction, "spend_hourly_tags", &["tag"], &tags).await?;
        let key = ["key_id", "minute", "team_id", "user_id"];
        let rows: Vec<Vec<Value>> = minutes.iter().map(of_minute).collect();
        add_rows(transaction, "spend_minutely", &key, &OF_MINUTES.map(|(name, _)| name), &rows).await
    }
}

fn of_minute(((key, minute, [team, user]), figures): (&Minute<'_>, &Figures)) -> Vec<Value> {
    let mut values: Vec<Value> = vec![(*key).into(), (*minute).into(), (*team).into(), (*user).into()];
    values
        .extend(OF_MINUTES.iter().map(|(_, at)| Value::from(figures.get(*at).copied().unwrap_or_default())));
    values
}

/// Cost and attempts, as the sums count an entry.
pub(super) fn settled_in(entry: &LedgerEntry) -> (i64, i64) {
    (crate::database::figure(entry.cost.0), i64::from(entry.kind.is_call()))
}

fn figures(entry: &LedgerEntry) -> Figures {
    let usage = &entry.usage;
    let figure = crate::database::figure;
    [
        i64::from(entry.counts_request),
        i64::from(entry.kind.is_call()),
        figure(usage.prompt),
        figure(usage.completion),
        figure(usage.cached),
        figure(usage.cache_write),
        figure(usage.reasoning),
        figure(entry.cost.0),
        figure(entry.saved.0),
    ]
}

fn add(sum: &mut Figures, more: &Figures) {
    for (sum, more) in sum.iter_mut().zip(more) {
        *sum = sum.saturating_add(*more);
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
    let rows: Vec<Vec<Value>> =
        sums.iter().map(|(place, figures)| row(place, figures, !tag.is_empty())).collect();
    add_rows(transaction, table, &key, &FIGURES, &rows).await
}

/// Adds the rows' figures, which come behind their key, to those of the table.
async fn add_rows(
    transaction: &mut Transaction,
    table: &str,
    key: &[&str],
    figures: &[&str],
    rows: &[Vec<Value>],
) -> Result<()> {
    let added: Vec<String> =
        figures.iter().map(|figure| format!("{figure} = {table}.{figure} + excluded.{figure}")).collect();
    let head = format!("INSERT INTO {table} ({}, {}) VALUES ", key.join(", "), figures.join(", "));
    let tail = format!(" ON CONFLICT ({}) DO UPDATE SET {}", key.join(", "), added.join(", "));
    for chunk in chunks(rows, ROWS) {
        let sql = many(&head, chunk.len(), &tail, key.len() + figures.len());
        transaction.execute(&sql, chunk.concat()).await?;
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
