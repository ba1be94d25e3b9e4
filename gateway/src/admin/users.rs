//! `/api/v1/users`: people and programs that keys belong to, with budgets of their own.

use http::StatusCode;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;
use store::User;

use super::call::Call;
use super::caller::Scope;
use super::fault::Fault;
use super::reply::{Deleted, Page, Reply};
use super::scope::{has_user, keep_user};
use crate::keys::settings::date;
use crate::keys::{OwnerSettings, merge};

/// A user. Public API.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct UserView {
    id: String,
    #[serde(flatten)]
    settings: OwnerSettings,
    created_at: String,
    updated_at: String,
    version: u64,
}

impl UserView {
    fn of(user: &User) -> Self {
        Self {
            id: user.id.clone(),
            settings: OwnerSettings::of_user(user),
            created_at: date(user.created_at_ms),
            updated_at: date(user.updated_at_ms),
            version: user.version,
        }
    }
}

/// The caller may choose the id.
pub(super) async fn create(call: Call) -> Result<Reply, Fault> {
    let mut body = call.object()?;
    let id = match body.remove("id") {
        None | Some(Value::Null) => store::new_id(),
        // A taken one would tell of other teams.
        Some(_) if call.scope() != Scope::Everything => {
            return Err(Fault::forbidden("`id` is chosen by who sees the whole installation: leave it out."));
        }
        Some(id) => super::call::chosen_id(&id)?,
    };
    let settings: OwnerSettings = merge(&OwnerSettings::default(), body)?;
    let mut user = User { id, ..User::default() };
    settings.put_on_user(&mut user)?;
    keep_user(&call, &mut user)?;
    let change = call.change();
    let user = call.store(|store| async move { store.users().insert(user, &change).await }).await?;
    Ok(Reply::json(StatusCode::CREATED, &UserView::of(&user)))
}

pub(super) async fn list(call: Call) -> Result<Reply, Fault> {
    let (limit, after) = (call.limit()?, call.parameter("after"));
    let team = call.scope().team();
    let users = call.store(move |store| async move {
        match team {
            Some(team) => store.users().list_of_team(&team, after.as_deref(), limit).await,
            None => store.users().list(after.as_deref(), limit).await,
        }
    });
    let users = users.await?;
    Ok(Reply::ok(&Page::of(&users, limit, |user| &user.id, UserView::of)))
}

pub(super) async fn get(call: Call) -> Result<Reply, Fault> {
    Ok(Reply::ok(&UserView::of(&find(&call, &call.id).await?)))
}

/// The caller's user with this id.
pub(super) async fn find(call: &Call, id: &str) -> Result<User, Fault> {
    let wanted = id.to_owned();
    let user = call.store(|store| async move { store.users().get(&wanted).await }).await?;
    user.filter(|user| has_user(call, user))
        .ok_or_else(|| Fault::not_found(format!("There is no user {id}: GET /api/v1/users lists them.")))
}

pub(super) async fn update(call: Call) -> Result<Reply, Fault> {
    let mut user = find(&call, &call.id).await?;
    merge(&OwnerSettings::of_user(&user), call.object()?)?.put_on_user(&mut user)?;
    keep_user(&call, &mut user)?;
    replace(&call, user).await
}

pub(super) async fn block(call: Call) -> Result<Reply, Fault> {
    let user = find(&call, &call.id).await?;
    replace(&call, User { blocked: true, ..user }).await
}

pub(super) async fn unblock(call: Call) -> Result<Reply, Fault> {
    let user = find(&call, &call.id).await?;
    replace(&call, User { blocked: false, ..user }).await
}

async fn replace(call: &Call, user: User) -> Result<Reply, Fault> {
    let change = call.change();
    let user = call.store(|store| async move { Box::pin(store.users().update(user, &change)).await }).await?;
    Ok(Reply::ok(&UserView::of(&user)))
}

/// Refused while keys belong to it.
pub(super) async fn delete(call: Call) -> Result<Reply, Fault> {
    find(&call, &call.id).await?;
    let (id, change) = (call.id.clone(), call.change());
    call.store(|store| async move { store.users().delete(&id, &change).await }).await?;
    Ok(Deleted::reply(call.id))
}
