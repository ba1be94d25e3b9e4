//! What belongs to whom: keeps what a caller sees and changes to its team or key. What is somebody else's answers as if it
//! were not there.

use store::{User, VirtualKey};

use super::call::Call;
use super::caller::Scope;
use super::fault::Fault;

/// Is the key one of the caller's?
pub(super) async fn has_key(call: &Call, key: &VirtualKey) -> Result<bool, Fault> {
    let team = match call.scope() {
        Scope::Everything => return Ok(true),
        Scope::Key(id) => return Ok(key.id == id),
        Scope::Team(team) => team,
    };
    match (&key.team_id, &key.user_id) {
        (Some(owner), _) => Ok(owner == team),
        // The team of a key without one is its user's.
        (None, Some(user)) => Ok(user_in(call, user, team).await?),
        (None, None) => Ok(false),
    }
}

/// Is the user one of the caller's?
pub(super) fn has_user(call: &Call, user: &User) -> bool {
    match call.scope() {
        Scope::Everything => true,
        Scope::Team(team) => user.team_id.as_deref() == Some(team),
        Scope::Key(_) => false,
    }
}

/// Is the team the caller's?
pub(super) fn has_team(call: &Call, id: &str) -> bool {
    match call.scope() {
        Scope::Everything => true,
        Scope::Team(team) => team == id,
        Scope::Key(_) => false,
    }
}

/// A key that the caller makes or changes stays in the caller's team, and belongs to a user of it. Nor does it name
/// another organisation than its team's: who sets that of a team decides.
pub(super) async fn keep_key(call: &Call, key: &mut VirtualKey) -> Result<(), Fault> {
    keep_team_and_user(call, key).await?;
    keep_organization(call, key).await
}

async fn keep_organization(call: &Call, key: &VirtualKey) -> Result<(), Fault> {
    if key.organization_id.is_none() {
        return Ok(());
    }
    let (team, user) = (key.team_id.clone(), key.user_id.clone());
    let team = call.store(|store| async move {
        let of_user = match (&team, user) {
            (None, Some(user)) => store.users().get(&user).await?.and_then(|user| user.team_id),
            _ => None,
        };
        match team.or(of_user) {
            Some(team) => store.teams().get(&team).await,
            None => Ok(None),
        }
    });
    match team.await? {
        Some(team) if team.organization_id != key.organization_id => Err(Fault::invalid(
            Some("organization_id"),
            "`organization_id` is not that of the key's team: leave it out.",
        )),
        _ => Ok(()),
    }
}

async fn keep_team_and_user(call: &Call, key: &mut VirtualKey) -> Result<(), Fault> {
    let Scope::Team(team) = call.scope() else { return Ok(()) };
    keep_team(&mut key.team_id, team)?;
    match &key.user_id {
        Some(user) if !user_in(call, user, team).await? => Err(Fault::invalid(
            Some("user_id"),
            "`user_id` is nobody of your team: GET /api/v1/users lists them.",
        )),
        _ => Ok(()),
    }
}

/// A user that the caller makes or changes stays in the caller's team.
pub(super) fn keep_user(call: &Call, user: &mut User) -> Result<(), Fault> {
    match call.scope() {
        Scope::Team(team) => keep_team(&mut user.team_id, team),
        _ => Ok(()),
    }
}

fn keep_team(chosen: &mut Option<String>, team: &str) -> Result<(), Fault> {
    match chosen {
        Some(other) if other != team => {
            Err(Fault::forbidden("`team_id` is your own team or left out: you see no other."))
        }
        _ => {
            *chosen = Some(team.to_owned());
            Ok(())
        }
    }
}

async fn user_in(call: &Call, user: &str, team: &str) -> Result<bool, Fault> {
    let id = user.to_owned();
    let user = call.store(|store| async move { store.users().get(&id).await }).await?;
    Ok(user.is_some_and(|user| user.team_id.as_deref() == Some(team)))
}
