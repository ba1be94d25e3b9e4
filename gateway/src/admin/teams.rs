//! `/api/v1/teams`: several keys and users with a common budget.

use http::StatusCode;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;
use store::Team;

use super::call::Call;
use super::fault::Fault;
use super::reply::{Deleted, Page, Reply};
use super::scope::has_team;
use crate::keys::settings::date;
use crate::keys::{OwnerSettings, merge};

/// A team. Public API.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct TeamView {
    id: String,
    #[serde(flatten)]
    settings: OwnerSettings,
    created_at: String,
    updated_at: String,
    version: u64,
}

/// A team or user to make. Public API.
#[derive(Debug, JsonSchema)]
#[expect(dead_code, reason = "describes a body that is read member by member")]
pub(super) struct NewOwner {
    /// Chosen by the caller; left out: a new one.
    id: Option<String>,
    #[serde(flatten)]
    settings: OwnerSettings,
}

impl TeamView {
    fn of(team: &Team) -> Self {
        Self {
            id: team.id.clone(),
            settings: OwnerSettings::of_team(team),
            created_at: date(team.created_at_ms),
            updated_at: date(team.updated_at_ms),
            version: team.version,
        }
    }
}

/// The caller may choose the id.
pub(super) async fn create(call: Call) -> Result<Reply, Fault> {
    let mut body = call.object()?;
    let id = match body.remove("id") {
        None | Some(Value::Null) => store::new_id(),
        Some(id) => super::call::chosen_id(&id)?,
    };
    let settings: OwnerSettings = merge(&OwnerSettings::default(), body)?;
    let mut team = Team { id, ..Team::default() };
    settings.put_on_team(&mut team)?;
    let change = call.change();
    let team = call.store(|store| async move { store.teams().insert(team, &change).await }).await?;
    Ok(Reply::json(StatusCode::CREATED, &TeamView::of(&team)))
}

pub(super) async fn list(call: Call) -> Result<Reply, Fault> {
    let (limit, after) = (call.limit()?, call.parameter("after"));
    let team = call.scope().team();
    let teams = call.store(move |store| async move {
        match team {
            Some(team) => store.teams().list_of_team(&team, after.as_deref(), limit).await,
            None => store.teams().list(after.as_deref(), limit).await,
        }
    });
    let teams = teams.await?;
    Ok(Reply::ok(&Page::of(&teams, limit, |team| &team.id, TeamView::of)))
}

pub(super) async fn get(call: Call) -> Result<Reply, Fault> {
    Ok(Reply::ok(&TeamView::of(&find(&call).await?)))
}

async fn find(call: &Call) -> Result<Team, Fault> {
    let id = call.id.clone();
    let team = call.store(|store| async move { store.teams().get(&id).await }).await?;
    team.filter(|team| has_team(call, &team.id)).ok_or_else(|| {
        Fault::not_found(format!("There is no team {}: GET /api/v1/teams lists them.", call.id))
    })
}

pub(super) async fn update(call: Call) -> Result<Reply, Fault> {
    let mut team = find(&call).await?;
    merge(&OwnerSettings::of_team(&team), call.object()?)?.put_on_team(&mut team)?;
    replace(&call, team).await
}

pub(super) async fn block(call: Call) -> Result<Reply, Fault> {
    let team = find(&call).await?;
    replace(&call, Team { blocked: true, ..team }).await
}

pub(super) async fn unblock(call: Call) -> Result<Reply, Fault> {
    let team = find(&call).await?;
    replace(&call, Team { blocked: false, ..team }).await
}

async fn replace(call: &Call, team: Team) -> Result<Reply, Fault> {
    let change = call.change();
    let team = call.store(|store| async move { Box::pin(store.teams().update(team, &change)).await }).await?;
    Ok(Reply::ok(&TeamView::of(&team)))
}

/// Refused while keys or users belong to it.
pub(super) async fn delete(call: Call) -> Result<Reply, Fault> {
    let (id, change) = (call.id.clone(), call.change());
    call.store(|store| async move { store.teams().delete(&id, &change).await }).await?;
    Ok(Deleted::reply(call.id))
}
