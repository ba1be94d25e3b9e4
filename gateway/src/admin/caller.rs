//! Who calls the admin API, how much of it is theirs, and whether a route is for them.

use std::sync::Arc;

use http::Method;

use super::fault::Fault;
use super::route::{Access, Route};
use super::site::Site;
use crate::accounts::Role;
use crate::keys::Principal;

/// Who calls.
#[derive(Clone, Debug)]
pub(super) enum Caller {
    /// Somebody who need not say who they are.
    Anyone,
    /// Whoever has `admin.token` of the configuration.
    Root,
    /// An operator, or a program of one.
    Account(Account),
    /// A virtual key, for itself; of the store or of the configuration.
    Key { principal: Arc<Principal>, is_stored: bool },
}

/// An account that has signed in.
#[derive(Clone, Debug)]
pub(super) struct Account {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) role: Role,
    /// The team to which it is confined.
    pub(super) team_id: Option<String>,
    /// None for a token.
    pub(super) session: Option<LiveSession>,
}

/// The session of a browser.
#[derive(Clone)]
pub(super) struct LiveSession {
    pub(super) token_hash: Vec<u8>,
    /// What a page must send with every change.
    pub(super) csrf: String,
    pub(super) expires_at_ms: i64,
}

impl std::fmt::Debug for LiveSession {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LiveSession(..)")
    }
}

/// What of the store a caller sees and changes. The rest answers as if it were not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope<'a> {
    /// Everything.
    Everything,
    /// What belongs to this team.
    Team(&'a str),
    /// This key.
    Key(&'a str),
}

impl Scope<'_> {
    /// The team to ask the store for; None for everything.
    pub(super) fn team(self) -> Option<String> {
        match self {
            Self::Team(team) => Some(team.to_owned()),
            Self::Everything | Self::Key(_) => None,
        }
    }
}

impl Caller {
    /// For the audit log.
    pub(super) fn actor(&self) -> &str {
        match self {
            Self::Anyone => "",
            Self::Root => "admin.token",
            Self::Account(account) => &account.name,
            Self::Key { principal, .. } => &principal.id,
        }
    }

    /// What is theirs.
    pub(super) fn scope(&self) -> Scope<'_> {
        match self {
            Self::Anyone | Self::Root => Scope::Everything,
            Self::Account(account) => account.team_id.as_deref().map_or(Scope::Everything, Scope::Team),
            Self::Key { principal, .. } => Scope::Key(&principal.id),
        }
    }

    /// Is the route for them?
    pub(super) fn admit(&self, route: &Route) -> Result<(), Fault> {
        let is_confined = self.scope() != Scope::Everything;
        let refused = match route.access {
            Access::Anyone => None,
            Access::Account if !matches!(self, Self::Account(_)) => {
                Some("This is for accounts that sign in with a password or a token of their own.")
            }
            Access::Open | Access::Installation if is_confined => {
                Some("This concerns the whole installation, and you see one team or key of it.")
            }
            Access::Team if matches!(self, Self::Key { .. }) => {
                Some("A virtual key sees itself only: sign in as an operator.")
            }
            _ => None,
        };
        if let Some(message) = refused {
            return Err(Fault::forbidden(message));
        }
        let is_viewer = matches!(self, Self::Account(account) if account.role == Role::Viewer);
        if is_viewer && route.access == Access::Contents {
            return Err(Fault::forbidden("A viewer sees no prompts: ask somebody with the role `admin`."));
        }
        if is_viewer && route.method != Method::GET && route.access != Access::Account {
            return Err(Fault::forbidden("A viewer changes nothing: ask somebody with the role `admin`."));
        }
        Ok(())
    }

    /// Does a change come from our own page? A browser sends its cookie from any page, and only ours knows the token.
    pub(super) fn guard(&self, method: &Method, site: Site, csrf: Option<&[u8]>) -> Result<(), Fault> {
        let Self::Account(Account { session: Some(session), .. }) = self else { return Ok(()) };
        if method == Method::GET || method == Method::HEAD {
            return Ok(());
        }
        if site != Site::Same {
            return Err(Fault::forbidden("A change with a session must come from a page of this address."));
        }
        let is_right =
            csrf.is_some_and(|csrf| bool::from(subtle::ConstantTimeEq::ct_eq(session.csrf.as_bytes(), csrf)));
        if is_right {
            return Ok(());
        }
        Err(Fault::forbidden("Send `csrf` of GET /api/v1/session as the header x-csrf-token."))
    }
}
