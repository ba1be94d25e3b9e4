//! `GET /api/v1/requests`: what happened to each request, newest first. No prompt and no answer is here.

use std::sync::Arc;
use std::time::{Duration, Instant};

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
use crate::request_id;

/// How far the clock that made an id may be from the one that logged the request.
const NEAR_MS: i64 = 60_000;
/// How long a request whose id tells no time is looked for.
const SEARCH_TIME: Duration = Duration::from_secs(8);

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
    /// Fewer than asked for, or none, also when much was read in vain and the log goes on.
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
        let subject = Arc::unwrap_or_clone(request.subject);
        Self {
            request_id: request.request_id,
            at_ms: request.at_ms,
            key_id: subject.key_id,
            key_name: subject.key_name,
            team_id: subject.team_id,
            user_id: subject.user_id,
            operation: request.operation.into_owned(),
            model: subject.model,
            deployment: subject.deployment,
            provider: subject.provider,
            status: request.status,
            error: request.error.into_owned(),
            cache: request.cache.into_owned(),
            attempts: request.attempts,
            duration_ms: request.duration_ms,
            first_token_ms: request.first_token_ms,
            input_tokens: prompt,
            output_tokens: completion,
            cached_tokens: cached,
            cache_write_tokens: cache_write,
            reasoning_tokens: reasoning,
            cost_micros: request.cost.0,
            tags: subject.tags,
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
    let page = call.store(move |store| async move { store.request_log().list(&filter, limit).await }).await?;
    let next = page.next.map(|(at_ms, id)| format!("{at_ms}.{id}"));
    Ok(Reply::ok(&RequestPage { data: page.requests.into_iter().map(RequestRow::of).collect(), next }))
}

/// One of them.
pub(super) async fn get(call: Call) -> Result<Reply, Fault> {
    let mut filter = RequestFilter { request_id: Some(call.id.clone()), ..RequestFilter::default() };
    confine(&mut filter, call.scope());
    let mut found = None;
    if let Some(at_ms) = request_id::time_ms(&call.id) {
        let (from_ms, to_ms) = (Some(at_ms.saturating_sub(NEAR_MS)), Some(at_ms.saturating_add(NEAR_MS)));
        found = first(&call, RequestFilter { from_ms, to_ms, ..filter.clone() }).await?;
    }
    if found.is_none() {
        found = first(&call, filter).await?;
    }
    let missing = || {
        let message =
            "There is no such request in the log: it may be too old, still run, or `log.requests` is off.";
        Fault::not_found(message)
    };
    found.map(|row| Reply::ok(&RequestRow::of(row))).ok_or_else(missing)
}

/// The newest that matches.
async fn first(call: &Call, mut filter: RequestFilter) -> Result<Option<LoggedRequest>, Fault> {
    let begun = Instant::now();
    loop {
        let asked = filter.clone();
        let page = call.store(move |store| async move { store.request_log().list(&asked, 1).await }).await?;
        let found = page.requests.into_iter().next();
        if found.is_some() || page.next.is_none() {
            return Ok(found);
        }
        if begun.elapsed() > SEARCH_TIME {
            let text =
                "The log is too long to find this request in it in time: list it with `from` and `to`.";
            return Err(Fault::unavailable(text));
        }
        filter.before = page.next;
    }
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
