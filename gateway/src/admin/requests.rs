//! `GET /api/v1/requests`: what happened to each request, newest first. No prompt and no answer is here.

use domain::Usage;
use schemars::JsonSchema;
use serde::Serialize;
use store::{LoggedRequest, RequestFilter};

use super::call::Call;
use super::caller::Scope;
use super::fault::Fault;
use super::ledger::key_id;
use super::reply::Reply;
use super::reports::moment;
use super::route::{Kind, Parameter};

/// What [`list`] takes.
pub(super) const QUERY: &[Parameter] = &[
    Parameter { name: "from", kind: Kind::Time, about: "From this time on." },
    Parameter { name: "to", kind: Kind::Time, about: "Before this time." },
    Parameter { name: "key", kind: Kind::Text, about: "Only of the key with this name or id." },
    Parameter { name: "team", kind: Kind::Text, about: "Only of the team with this id." },
    Parameter { name: "user", kind: Kind::Text, about: "Only of the user with this id." },
    Parameter { name: "model", kind: Kind::Text, about: "Only for this model." },
    Parameter { name: "status", kind: Kind::Number(599), about: "Only with this status." },
    Parameter { name: "before", kind: Kind::Text, about: "`next` of the page before." },
    Parameter { name: "limit", kind: Kind::Number(1_000), about: "Rows of a page; 100 without it." },
];

/// A page. Public API.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct RequestPage {
    data: Vec<RequestRow>,
    /// The `before` of the next page; null on the last one.
    next: Option<String>,
}

/// One request. Texts that do not apply are empty. Public API.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct RequestRow {
    request_id: String,
    /// When it arrived, in unix milliseconds.
    at_ms: i64,
    key_id: String,
    key_name: String,
    team_id: String,
    user_id: String,
    operation: String,
    model: String,
    deployment: String,
    provider: String,
    status: u16,
    /// The kind of the error.
    error: String,
    cache: String,
    attempts: u32,
    duration_ms: u64,
    /// Null when no token went out.
    first_token_ms: Option<u64>,
    input_tokens: u64,
    output_tokens: u64,
    cached_tokens: u64,
    cache_write_tokens: u64,
    reasoning_tokens: u64,
    cost_micros: u64,
    tags: Vec<String>,
}

impl RequestRow {
    fn of(request: LoggedRequest) -> Self {
        let Usage { prompt, completion, cached, cache_write, reasoning } = request.usage;
        Self {
            request_id: request.request_id,
            at_ms: request.at_ms,
            key_id: request.key_id,
            key_name: request.key_name,
            team_id: request.team_id,
            user_id: request.user_id,
            operation: request.operation,
            model: request.model,
            deployment: request.deployment,
            provider: request.provider,
            status: request.status,
            error: request.error,
            cache: request.cache,
            attempts: request.attempts,
            duration_ms: request.duration_ms,
            first_token_ms: request.first_token_ms,
            input_tokens: prompt,
            output_tokens: completion,
            cached_tokens: cached,
            cache_write_tokens: cache_write,
            reasoning_tokens: reasoning,
            cost_micros: request.cost.0,
            tags: request.tags,
        }
    }
}

/// The requests that match.
pub(super) async fn list(call: Call) -> Result<Reply, Fault> {
    let limit = call.limit()?;
    let mut filter = RequestFilter {
        from_ms: moment(&call, "from")?,
        to_ms: moment(&call, "to")?,
        team_id: call.parameter("team"),
        user_id: call.parameter("user"),
        model: call.parameter("model"),
        status: status(&call)?,
        before: before(&call)?,
        ..RequestFilter::default()
    };
    if let Some(key) = call.parameter("key") {
        filter.key_id = Some(key_id(&call, key).await?);
    }
    if !confine(&mut filter, call.scope()) {
        return Ok(Reply::ok(&RequestPage { data: Vec::new(), next: None }));
    }
    let rows = call.store(move |store| async move { store.request_log().list(&filter, limit).await }).await?;
    let next = rows.last().filter(|_| rows.len() == limit as usize);
    let next = next.map(|row| format!("{}.{}", row.at_ms, row.request_id));
    Ok(Reply::ok(&RequestPage { data: rows.into_iter().map(RequestRow::of).collect(), next }))
}

/// One of them.
pub(super) async fn get(call: Call) -> Result<Reply, Fault> {
    let mut filter = RequestFilter { request_id: Some(call.id.clone()), ..RequestFilter::default() };
    confine(&mut filter, call.scope());
    let rows = call.store(move |store| async move { store.request_log().list(&filter, 1).await }).await?;
    let missing = || {
        let message =
            "There is no such request in the log: it may be too old, still run, or `log.requests` is off.";
        Fault::not_found(message)
    };
    rows.into_iter().next().map(|row| Reply::ok(&RequestRow::of(row))).ok_or_else(missing)
}

/// Only what is the caller's; false when nothing is both that and what was asked for.
fn confine(filter: &mut RequestFilter, scope: Scope<'_>) -> bool {
    let (place, own) = match scope {
        Scope::Everything => return true,
        Scope::Team(id) => (&mut filter.team_id, id),
        Scope::Key(id) => (&mut filter.key_id, id),
    };
    place.get_or_insert_with(|| own.to_owned()) == own
}

fn status(call: &Call) -> Result<Option<u16>, Fault> {
    let Some(text) = call.parameter("status") else { return Ok(None) };
    let status = text.parse::<u16>().ok().filter(|status| (1..=599).contains(status));
    status.map(Some).ok_or_else(|| Fault::invalid(Some("status"), "`status` is a number from 1 to 599."))
}

fn before(call: &Call) -> Result<Option<(i64, String)>, Fault> {
    let Some(text) = call.parameter("before") else { return Ok(None) };
    let split = text.split_once('.').and_then(|(at, id)| Some((at.parse::<i64>().ok()?, id.to_owned())));
    split.map(Some).ok_or_else(|| Fault::invalid(Some("before"), "`before` is `next` of the page before."))
}
