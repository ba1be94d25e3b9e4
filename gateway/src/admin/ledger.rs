//! `GET /api/v1/ledger`: the single entries of the ledger, page by page.

use http::StatusCode;
use schemars::JsonSchema;
use serde::Serialize;
use store::{LONGEST_PAGE, LedgerFilter, LedgerPage};

use super::call::Call;
use super::caller::Scope;
use super::fault::Fault;
use super::reply::Reply;
use super::reports::moment;
use super::route::{Kind, Parameter};
use super::spend::CATCH_UP;
use crate::keys;
use crate::ledger::{EntryRow, SheetFormat};

/// What [`list`] takes.
pub(super) const QUERY: &[Parameter] = &[
    Parameter { name: "from", kind: Kind::Time, about: "From this time on." },
    Parameter { name: "to", kind: Kind::Time, about: "Before this time." },
    Parameter { name: "key", kind: Kind::Text, about: "Only of the key with this name or id." },
    Parameter { name: "team", kind: Kind::Text, about: "Only of the team with this id." },
    Parameter { name: "user", kind: Kind::Text, about: "Only of the user with this id." },
    Parameter { name: "model", kind: Kind::Text, about: "Only of this model." },
    Parameter { name: "provider", kind: Kind::Text, about: "Only of this provider." },
    Parameter { name: "request", kind: Kind::Text, about: "Only of the request with this id." },
    Parameter { name: "after", kind: Kind::Text, about: "`next` of the page before." },
    Parameter {
        name: "limit",
        kind: Kind::Number(10_000),
        about: "Entries of a page; without it 100 as JSON, otherwise all, if they are no more than 10000.",
    },
    Parameter { name: "format", kind: Kind::Text, about: "json, jsonl or csv." },
];

/// Entries of a page of JSON, unless the caller wants another number.
const PAGE: usize = 100;

/// A page. Public API.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct EntryPage {
    data: Vec<EntryRow>,
    /// The `after` of the next page; null on the last one.
    next: Option<String>,
}

/// The entries that match.
pub(super) async fn list(call: Call) -> Result<Reply, Fault> {
    let format = format(&call)?;
    let limit = limit(&call)?;
    let after = call.parameter("after");
    let Some(filter) = filter(&call).await? else { return Ok(reply(format, LedgerPage::default())) };
    call.app.ledger.caught_up(CATCH_UP).await;
    let length = limit.unwrap_or(if format == SheetFormat::Json { PAGE } else { LONGEST_PAGE });
    let page =
        call.store(move |store| async move { store.ledger().page(&filter, after.as_deref(), length).await });
    let page = page.await?;
    if limit.is_none() && format != SheetFormat::Json && page.next.is_some() {
        let message = format!(
            "These are more than {LONGEST_PAGE} entries: shorten the time, set `limit` for the first of them, \
             or run `signalbox ledger export`."
        );
        return Err(Fault::invalid(Some("to"), message));
    }
    Ok(reply(format, page))
}

fn reply(format: SheetFormat, page: LedgerPage) -> Reply {
    let rows: Vec<EntryRow> = page.entries.into_iter().map(EntryRow::of).collect();
    let content_type = match format {
        SheetFormat::Json => return Reply::ok(&EntryPage { data: rows, next: page.next }),
        SheetFormat::Jsonl => "application/jsonl",
        SheetFormat::Csv => "text/csv; charset=utf-8",
    };
    Reply::new(StatusCode::OK, content_type, [format.head(), format.rows(&rows, true)].concat())
}

fn format(call: &Call) -> Result<SheetFormat, Fault> {
    match call.parameter("format").as_deref() {
        None | Some("json") => Ok(SheetFormat::Json),
        Some("jsonl") => Ok(SheetFormat::Jsonl),
        Some("csv") => Ok(SheetFormat::Csv),
        Some(_) => Err(Fault::invalid(Some("format"), "`format` is json, jsonl or csv.")),
    }
}

fn limit(call: &Call) -> Result<Option<usize>, Fault> {
    let Some(text) = call.parameter("limit") else { return Ok(None) };
    let limit = text.parse().ok().filter(|limit| (1..=LONGEST_PAGE).contains(limit));
    let refused = || Fault::invalid(Some("limit"), format!("`limit` is a number from 1 to {LONGEST_PAGE}."));
    limit.map(Some).ok_or_else(refused)
}

/// What the caller asks for, of what is theirs; None when nothing is both.
async fn filter(call: &Call) -> Result<Option<LedgerFilter>, Fault> {
    let mut filter = LedgerFilter {
        from_ms: moment(call, "from")?,
        to_ms: moment(call, "to")?,
        key_id: None,
        team_id: call.parameter("team"),
        user_id: call.parameter("user"),
        model: call.parameter("model"),
        provider: call.parameter("provider"),
        request_id: call.parameter("request"),
    };
    if let Some(key) = call.parameter("key") {
        filter.key_id = Some(key_id(call, key).await?);
    }
    let (place, own) = match call.scope() {
        Scope::Everything => return Ok(Some(filter)),
        Scope::Team(id) => (&mut filter.team_id, id),
        Scope::Key(id) => (&mut filter.key_id, id),
    };
    let is_theirs = place.get_or_insert_with(|| own.to_owned()) == own;
    Ok(is_theirs.then_some(filter))
}

/// The id of the key with this name, or with this id.
pub(super) async fn key_id(call: &Call, name: String) -> Result<String, Fault> {
    call.store(|store| async move { keys::id_of(&store, name).await }).await
}
