//! `POST /api/v1/erase`: prompts and answers that are to go, and what else may hold them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use store::{Erased, Erasure};

use super::cache;
use super::call::Call;
use super::caller::Scope;
use super::fault::Fault;
use super::keys::find;
use super::ledger::key_id;
use super::reply::Reply;
use super::users;
use crate::ledger::moment;

/// What is to go: what belongs to all that are named. At least one of the first five. Public API.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct EraseRequest {
    /// The name or id of a virtual key, which may be deleted already.
    key: Option<String>,
    /// The id of a team.
    team: Option<String>,
    /// The id of a user.
    user: Option<String>,
    /// The id of a request.
    request: Option<String>,
    /// Only what is older, as 2026-11-24 or 2026-11-24T12:00:00Z. Left out: everything until now.
    before: Option<String>,
    /// Also from the request log.
    requests: bool,
}

/// What is gone. Public API.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct ErasedView {
    /// Requests of which prompt and answer are gone.
    contents: u64,
    /// Requests that are gone from the request log.
    requests: u64,
    /// Kept answers of this gateway that may have held them are void.
    cache_purged: bool,
}

pub(super) async fn erase(call: Call) -> Result<Reply, Fault> {
    let asked: EraseRequest = call.typed()?;
    let before_ms = asked.before.as_deref().map(time).transpose()?;
    let mut what = Erasure {
        key_id: asked.key,
        team_id: asked.team,
        user_id: asked.user,
        request_id: asked.request,
        before_ms,
        requests: asked.requests,
    };
    let named = [&what.key_id, &what.team_id, &what.user_id, &what.request_id];
    if named.iter().all(|it| it.is_none()) && before_ms.is_none() {
        let text =
            "Name what to erase: `key`, `team`, `user`, `request`, `before`, or several, which must all fit.";
        return Err(Fault::invalid(None, text));
    }
    if let Some(key) = what.key_id.take() {
        what.key_id = Some(key_id(&call, key).await?);
    }
    confine(&call, &mut what).await?;
    let (erasure, change) = (what.clone(), call.change());
    let erased = call.store(async move |store| store.erasures().erase(&erasure, &change).await).await?;
    if erased != Erased::default() {
        free_space(&call);
    }
    let cache_purged = match &call.app.answers {
        Some(answers) => {
            let holding = answers.holding(what.key_id.as_deref(), what.team_id.as_deref());
            cache::make_void(answers, holding).await?;
            true
        }
        None => false,
    };
    Ok(Reply::ok(&ErasedView { contents: erased.contents, requests: erased.requests, cache_purged }))
}

/// PostgreSQL's, without the caller having to wait for it.
fn free_space(call: &Call) {
    let Some(storage) = &call.app.storage else { return };
    let store = storage.store.clone();
    storage.spawn(async move {
        if let Err(error) = store.erasures().free_space().await {
            tracing::warn!(%error, "the space of what was erased is freed when the database does so by itself");
        }
    });
}

/// A team erases what is its own, and names nobody else.
async fn confine(call: &Call, what: &mut Erasure) -> Result<(), Fault> {
    let Scope::Team(team) = call.scope() else { return Ok(()) };
    if let Some(key) = &what.key_id {
        find(call, key).await?;
    }
    if let Some(user) = &what.user_id {
        users::find(call, user).await?;
    }
    if what.team_id.get_or_insert_with(|| team.to_owned()) != team {
        return Err(Fault::invalid(Some("team"), "`team` is not yours: leave it out."));
    }
    Ok(())
}

fn time(text: &str) -> Result<i64, Fault> {
    moment(text).ok_or_else(|| {
        Fault::invalid(Some("before"), "`before` is a time like 2026-11-24 or 2026-11-24T12:00:00Z.")
    })
}
