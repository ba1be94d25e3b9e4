//! `GET /spend/logs` with LiteLLM's words (<https://docs.litellm.ai/docs/proxy/cost_tracking>): what each request cost, or
//! with two dates what each day cost.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use domain::Micros;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value, json};
use store::{Dimension, Kind, LONGEST_PAGE, LedgerEntry, LedgerFilter, ReportQuery, ReportRow, State};

use super::super::call::Call;
use super::super::fault::Fault;
use super::super::ledger::key_id;
use super::super::reply::Reply;
use super::super::route::{self, Parameter};
use super::super::spend::CATCH_UP;
use crate::keys::settings::date;
use crate::ledger::{moment, now_ms};

/// What [`list`] takes.
pub(in crate::admin) const QUERY: &[Parameter] = &[
    Parameter { name: "api_key", kind: route::Kind::Text, about: "A key, by itself or by its token." },
    Parameter { name: "user_id", kind: route::Kind::Text, about: "Only of this user." },
    Parameter { name: "request_id", kind: route::Kind::Text, about: "Only this request." },
    Parameter {
        name: "start_date",
        kind: route::Kind::Time,
        about: "From this day on; 30 days ago without it.",
    },
    Parameter { name: "end_date", kind: route::Kind::Time, about: "Up to this day, which is part of it." },
    Parameter {
        name: "summarize",
        kind: route::Kind::Text,
        about: "With both dates: false for single requests, else a sum for each day.",
    },
];

/// A request. Public API.
#[derive(Debug, Serialize, JsonSchema)]
#[expect(non_snake_case, reason = "LiteLLM's names")]
pub(in crate::admin) struct SpendLog {
    request_id: String,
    call_type: &'static str,
    /// The key's token, never the key.
    api_key: String,
    spend: f64,
    total_tokens: u64,
    prompt_tokens: u64,
    completion_tokens: u64,
    /// The ledger knows when a call ended only.
    startTime: String,
    endTime: String,
    model: String,
    model_group: String,
    model_id: String,
    custom_llm_provider: String,
    user: String,
    team_id: String,
    /// `True` or `False`.
    cache_hit: &'static str,
    request_tags: Vec<String>,
    /// `success` or `failure`.
    status: &'static str,
    metadata: Map<String, Value>,
}

const DAY_MS: i64 = 86_400_000;
/// Without a beginning, the last so many days.
const DAYS: i64 = 30;
/// The letters of a date.
const DATE: usize = "2026-11-24".len();

/// The requests, newest first; or the days.
pub(in crate::admin) async fn list(call: Call) -> Result<Reply, Fault> {
    let (start, end) = (day(&call, "start_date")?, day(&call, "end_date")?);
    let mut filter = LedgerFilter {
        user_id: call.parameter("user_id"),
        request_id: call.parameter("request_id"),
        ..LedgerFilter::default()
    };
    if let Some(text) = call.parameter("api_key") {
        filter.key_id = Some(key(&call, text).await?);
    }
    call.app.ledger.caught_up(CATCH_UP).await;
    let is_summed = call.parameter("summarize").is_none_or(|text| !text.eq_ignore_ascii_case("false"));
    if let (Some(start), Some(end), true) = (start, end, is_summed && filter.request_id.is_none()) {
        return days(&call, &filter, start, end + DAY_MS).await;
    }
    // A request is found whenever it was.
    let usual = filter.request_id.is_none().then(|| now_ms() - DAYS * DAY_MS);
    filter.from_ms = start.or(usual);
    filter.to_ms = end.map(|end| end + DAY_MS);
    let page =
        call.store(|store| async move { store.ledger().page(&filter, None, LONGEST_PAGE).await }).await?;
    if page.next.is_some() {
        let message = format!(
            "These are more than {LONGEST_PAGE} calls: set start_date and end_date, or use /api/v1/ledger, which has pages."
        );
        return Err(Fault::invalid(Some("start_date"), message));
    }
    Ok(Reply::ok(&requests(page.entries)))
}

/// One line a request, whatever the number of its attempts; the newest first.
fn requests(entries: Vec<LedgerEntry>) -> Vec<SpendLog> {
    let mut by_request: BTreeMap<String, Vec<LedgerEntry>> = BTreeMap::new();
    for entry in entries.into_iter().filter(|entry| entry.state != State::Reserved) {
        let id = if entry.request_id.is_empty() { &entry.attempt_id } else { &entry.request_id };
        by_request.entry(id.clone()).or_default().push(entry);
    }
    let mut logs: Vec<(i64, SpendLog)> =
        by_request.into_iter().filter_map(|(id, attempts)| log(id, &attempts)).collect();
    logs.sort_by_key(|(at_ms, _)| Reverse(*at_ms));
    logs.into_iter().map(|(_, log)| log).collect()
}

/// The attempt that answered, or else the last one, tells who; all of them what it cost.
fn log(request_id: String, attempts: &[LedgerEntry]) -> Option<(i64, SpendLog)> {
    let is_ok = |entry: &&LedgerEntry| entry.outcome == "ok";
    let told = attempts.iter().filter(is_ok).max_by_key(|entry| entry.at_ms);
    let told = told.or_else(|| attempts.iter().max_by_key(|entry| entry.at_ms))?;
    let sum = |figure: fn(&LedgerEntry) -> u64| attempts.iter().map(figure).fold(0, u64::saturating_add);
    let (prompt, completion) = (sum(|entry| entry.usage.prompt), sum(|entry| entry.usage.completion));
    let metadata = json!({
        "user_api_key_alias": told.subject.key_name, "user_api_key_team_id": told.subject.team_id,
        "user_api_key_user_id": told.subject.user_id, "counted": told.counted.as_str(), "attempts": attempts.len(),
        "saved_usd": Micros(sum(|entry| entry.saved.0)).usd(),
    });
    let log = SpendLog {
        request_id,
        call_type: told.kind.as_str(),
        api_key: told.subject.key_id.clone(),
        spend: Micros(sum(|entry| entry.cost.0)).usd(),
        total_tokens: prompt.saturating_add(completion),
        prompt_tokens: prompt,
        completion_tokens: completion,
        startTime: date(told.at_ms),
        endTime: date(told.at_ms),
        model: told.subject.model.clone(),
        model_group: told.subject.model.clone(),
        model_id: told.subject.deployment.clone(),
        custom_llm_provider: told.subject.provider.clone(),
        user: told.subject.user_id.clone(),
        team_id: told.subject.team_id.clone(),
        cache_hit: if told.kind == Kind::CacheHit { "True" } else { "False" },
        request_tags: told.subject.tags.clone(),
        status: if told.outcome == "ok" { "success" } else { "failure" },
        metadata: metadata.as_object().cloned().unwrap_or_default(),
    };
    Some((told.at_ms, log))
}

/// A line for each day on which something was spent.
async fn days(call: &Call, filter: &LedgerFilter, from_ms: i64, to_ms: i64) -> Result<Reply, Fault> {
    let mut query = ReportQuery {
        by: vec![Dimension::Day, Dimension::User, Dimension::Model],
        from_ms,
        to_ms,
        ..ReportQuery::default()
    };
    let only = [(Dimension::Key, &filter.key_id), (Dimension::User, &filter.user_id)];
    query.only.extend(only.into_iter().filter_map(|(by, value)| Some((by, value.clone()?))));
    let rows = call.store(move |store| async move { store.reports().sum(&query).await }).await?;
    let mut days: BTreeMap<i64, Day> = BTreeMap::new();
    for ReportRow { group, totals } in rows {
        let [day, user, model] = group.as_slice() else { continue };
        let day = days.entry(day.parse().unwrap_or_default()).or_default();
        day.spend += totals.cost;
        *day.users.entry(user.clone()).or_default() += totals.cost;
        *day.models.entry(model.clone()).or_default() += totals.cost;
    }
    let lines = days.iter().map(|(at_ms, day)| {
        let usd = |sums: &BTreeMap<String, Micros>| -> Map<String, Value> {
            sums.iter().map(|(name, spend)| (name.clone(), spend.usd().into())).collect()
        };
        let start: String = date(*at_ms).chars().take(DATE).collect();
        json!({"startTime": start, "spend": day.spend.usd(), "users": usd(&day.users), "models": usd(&day.models)})
    });
    Ok(Reply::ok(&lines.collect::<Vec<_>>()))
}

/// What a day cost.
#[derive(Default)]
struct Day {
    spend: Micros,
    users: BTreeMap<String, Micros>,
    models: BTreeMap<String, Micros>,
}

/// A parameter that is a day; LiteLLM's may have a time behind it.
fn day(call: &Call, name: &str) -> Result<Option<i64>, Fault> {
    let Some(text) = call.parameter(name) else { return Ok(None) };
    let at = moment(text.get(..DATE).unwrap_or(&text));
    at.map(Some).ok_or_else(|| Fault::invalid(Some(name), format!("`{name}` is a day like 2026-11-24.")))
}

/// The id of a key that is named by itself, by its token or by its alias.
async fn key(call: &Call, text: String) -> Result<String, Fault> {
    if let Some(principal) = call.snapshot.keys.find(Some(text.as_bytes())) {
        return Ok(principal.id.to_string());
    }
    if text.starts_with("sk-") {
        return Ok(super::resolve(call, &text).await?.id);
    }
    key_id(call, text).await
}
