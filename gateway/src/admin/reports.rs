//! `GET /api/v1/reports`: what was spent, added up by key, team, user, model, provider, tag and day.

use std::time::{Duration, UNIX_EPOCH};

use http::StatusCode;
use schemars::JsonSchema;
use serde_json::{Map, Value, json};
use store::{Dimension, ReportQuery, ReportRow};

use super::call::Call;
use super::caller::Scope;
use super::fault::Fault;
use super::reply::Reply;
use super::route::{Kind, Parameter};
use super::spend::CATCH_UP;
use crate::ledger::{self, guarded, now_ms};

const DAY_MS: i64 = 86_400_000;
/// Without a beginning, the last so many days.
const DAYS: i64 = 30;

const DIMENSIONS: [(&str, Dimension); 7] = [
    ("key", Dimension::Key),
    ("team", Dimension::Team),
    ("user", Dimension::User),
    ("model", Dimension::Model),
    ("provider", Dimension::Provider),
    ("tag", Dimension::Tag),
    ("day", Dimension::Day),
];

/// What [`sum`] takes.
pub(super) const QUERY: &[Parameter] = &[
    Parameter {
        name: "by",
        kind: Kind::Text,
        about: "What to add up by, as in key,day; one sum without it.",
    },
    Parameter {
        name: "from",
        kind: Kind::Time,
        about: "The beginning, by the hour; 30 days before `to` without it.",
    },
    Parameter { name: "to", kind: Kind::Time, about: "The end, which is not part of it; now without it." },
    Parameter { name: "key", kind: Kind::Text, about: "Only what the key with this id spent." },
    Parameter { name: "team", kind: Kind::Text, about: "Only what the team with this id spent." },
    Parameter { name: "user", kind: Kind::Text, about: "Only what the user with this id spent." },
    Parameter { name: "model", kind: Kind::Text, about: "Only of this model." },
    Parameter { name: "provider", kind: Kind::Text, about: "Only of this provider." },
    Parameter { name: "tag", kind: Kind::Text, about: "Only what has this tag." },
    Parameter { name: "format", kind: Kind::Text, about: "json or csv." },
];

/// A report. Public API.
#[derive(Debug, JsonSchema)]
#[expect(dead_code, reason = "describes what is put together by name")]
pub(super) struct Report {
    from: String,
    to: String,
    data: Vec<ReportLine>,
}

/// Sums; what `by` names says of what. Public API.
#[derive(Debug, JsonSchema)]
#[expect(dead_code, reason = "describes what is put together by name")]
struct ReportLine {
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    team: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    provider: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tag: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    day: Option<String>,
    usd: f64,
    micros: u64,
    requests: u64,
    attempts: u64,
    input_tokens: u64,
    output_tokens: u64,
    cached_tokens: u64,
    cache_write_tokens: u64,
    reasoning_tokens: u64,
    saved_micros: u64,
}

/// `?by=key,day&from=2026-11-01&to=2026-12-01&key=ID&team=…&format=csv`. Times are RFC 3339 or dates, in UTC, and count
/// by the hour; the end is not part of it.
pub(super) async fn sum(call: Call) -> Result<Reply, Fault> {
    let query = query(&call)?;
    let names: Vec<&str> = query.by.iter().map(|by| name(*by)).collect();
    let format = call.parameter("format").unwrap_or_else(|| "json".to_owned());
    if format != "json" && format != "csv" {
        return Err(Fault::invalid(Some("format"), "`format` is json or csv."));
    }
    call.app.ledger.caught_up(CATCH_UP).await;
    let (from, to) = (query.from_ms, query.to_ms);
    let rows = call.store(move |store| async move { store.reports().sum(&query).await }).await?;
    let rows: Vec<Map<String, Value>> = rows.iter().map(|row| line(&names, row)).collect();
    if format == "csv" {
        return Ok(Reply::new(StatusCode::OK, "text/csv; charset=utf-8", csv(&names, &rows)));
    }
    Ok(Reply::ok(&json!({"from": time(from), "to": time(to), "data": rows})))
}

fn query(call: &Call) -> Result<ReportQuery, Fault> {
    let to_ms = moment(call, "to")?.unwrap_or_else(|| now_ms() + 1);
    let from_ms = moment(call, "from")?.unwrap_or(to_ms - DAYS * DAY_MS);
    if from_ms >= to_ms {
        return Err(Fault::invalid(Some("to"), "`to` is not after `from`."));
    }
    let mut query = ReportQuery { from_ms, to_ms, ..ReportQuery::default() };
    for word in call.parameter("by").unwrap_or_default().split(',').filter(|word| !word.is_empty()) {
        let known = DIMENSIONS.iter().find(|(name, _)| *name == word);
        let (_, by) = known.ok_or_else(|| {
            Fault::invalid(
                Some("by"),
                format!("`by` is a list of {}.", DIMENSIONS.map(|(name, _)| name).join(", ")),
            )
        })?;
        if !query.by.contains(by) {
            query.by.push(*by);
        }
    }
    // A day is chosen by its time.
    for (name, dimension) in DIMENSIONS.iter().filter(|(_, dimension)| *dimension != Dimension::Day) {
        query.only.extend(call.parameter(name).map(|value| (*dimension, value)));
    }
    let own = match call.scope() {
        Scope::Everything => return Ok(query),
        Scope::Team(team) => (Dimension::Team, team.to_owned()),
        Scope::Key(key) => (Dimension::Key, key.to_owned()),
    };
    if query.only.iter().any(|(dimension, value)| *dimension == own.0 && *value != own.1) {
        return Err(Fault::forbidden("You see what is your own: leave `key` and `team` out."));
    }
    query.only.push(own);
    Ok(query)
}

fn name(dimension: Dimension) -> &'static str {
    DIMENSIONS.iter().find(|(_, known)| *known == dimension).map_or("", |(name, _)| name)
}

/// A parameter that is a time, in unix milliseconds.
pub(super) fn moment(call: &Call, name: &str) -> Result<Option<i64>, Fault> {
    let Some(text) = call.parameter(name) else { return Ok(None) };
    let ms = ledger::moment(&text);
    ms.map(Some).ok_or_else(|| {
        Fault::invalid(Some(name), format!("`{name}` is a time like 2026-11-24 or 2026-11-24T12:00:00Z."))
    })
}

pub(super) fn time(ms: i64) -> String {
    let at = UNIX_EPOCH + Duration::from_millis(u64::try_from(ms).unwrap_or_default());
    humantime::format_rfc3339_seconds(at).to_string()
}

/// The group by name, and the sums. Public API.
fn line(names: &[&str], row: &ReportRow) -> Map<String, Value> {
    let mut line = Map::new();
    for (name, value) in names.iter().zip(&row.group) {
        let day = || value.parse().ok().map(|ms| time(ms).chars().take(10).collect::<String>());
        let value = if *name == "day" { day().unwrap_or_default() } else { value.clone() };
        line.insert((*name).to_owned(), value.into());
    }
    let totals = &row.totals;
    let figures = [
        ("micros", totals.cost.0),
        ("requests", totals.requests),
        ("attempts", totals.attempts),
        ("input_tokens", totals.usage.prompt),
        ("output_tokens", totals.usage.completion),
        ("cached_tokens", totals.usage.cached),
        ("cache_write_tokens", totals.usage.cache_write),
        ("reasoning_tokens", totals.usage.reasoning),
        ("saved_micros", totals.saved.0),
    ];
    line.insert("usd".to_owned(), totals.cost.usd().into());
    line.extend(figures.into_iter().map(|(name, figure)| (name.to_owned(), figure.into())));
    line
}

/// The rows with a head (RFC 4180).
fn csv(names: &[&str], rows: &[Map<String, Value>]) -> Vec<u8> {
    let figures = line(&[], &ReportRow { group: Vec::new(), totals: store::Totals::default() });
    let head: Vec<String> =
        names.iter().map(|name| (*name).to_owned()).chain(figures.keys().cloned()).collect();
    let mut writer = csv::Writer::from_writer(Vec::new());
    // Into memory nothing fails.
    let _ = writer.write_record(&head);
    for row in rows {
        let text = |name: &String| match row.get(name) {
            Some(Value::String(text)) => guarded(text),
            Some(value) => value.to_string(),
            None => String::new(),
        };
        let _ = writer.write_record(head.iter().map(text));
    }
    writer.into_inner().unwrap_or_default()
}
