//! Every path of the admin listener, one line each: what it takes, who may call it, and what answers.

use std::future::Future;
use std::pin::Pin;

use http::Method;

use super::call::Call;
use super::fault::Fault;
use super::reply::Reply;
use super::{
    audit, credentials, deployments, keys, litellm, process, reconcile, reports, spend, teams, users,
};

/// Who may call a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// Everybody who reaches the listener.
    Anyone,
    /// Whoever has the token, and everybody while none is configured: it shows names and figures.
    Reader,
    /// Whoever has the token; nobody while none is configured.
    Admin,
}

/// What answers a call.
pub(super) type Answering = Pin<Box<dyn Future<Output = Result<Reply, Fault>> + Send>>;

/// One path and method.
pub(super) struct Route {
    pub(super) method: Method,
    /// Segments, of which one may be `{id}`.
    pub(super) path: &'static str,
    pub(super) role: Role,
    pub(super) answer: fn(Call) -> Answering,
}

const fn route(method: Method, path: &'static str, role: Role, answer: fn(Call) -> Answering) -> Route {
    Route { method, path, role, answer }
}

/// All of them.
pub(super) static ROUTES: &[Route] = &[
    route(Method::GET, "/metrics", Role::Anyone, |call| Box::pin(process::metrics(call))),
    route(Method::GET, "/healthz", Role::Anyone, |call| Box::pin(process::health(call))),
    route(Method::GET, "/readyz", Role::Anyone, |call| Box::pin(process::readiness(call))),
    route(Method::GET, "/api/v1/deployments", Role::Reader, |call| Box::pin(deployments::list(call))),
    route(Method::GET, "/api/v1/spend", Role::Reader, |call| Box::pin(spend::of_key(call))),
    route(Method::GET, "/api/v1/reports", Role::Admin, |call| Box::pin(reports::sum(call))),
    route(Method::GET, "/api/v1/reconcile", Role::Admin, |call| Box::pin(reconcile::compare(call))),
    route(Method::GET, "/api/v1/audit", Role::Admin, |call| Box::pin(audit::list(call))),
    route(Method::GET, "/api/v1/keys", Role::Admin, |call| Box::pin(keys::list(call))),
    route(Method::POST, "/api/v1/keys", Role::Admin, |call| Box::pin(keys::create(call))),
    route(Method::GET, "/api/v1/keys/{id}", Role::Admin, |call| Box::pin(keys::get(call))),
    route(Method::PATCH, "/api/v1/keys/{id}", Role::Admin, |call| Box::pin(keys::update(call))),
    route(Method::DELETE, "/api/v1/keys/{id}", Role::Admin, |call| Box::pin(keys::delete(call))),
    route(Method::POST, "/api/v1/keys/{id}/block", Role::Admin, |call| Box::pin(keys::block(call))),
    route(Method::POST, "/api/v1/keys/{id}/unblock", Role::Admin, |call| Box::pin(keys::unblock(call))),
    route(Method::POST, "/api/v1/keys/{id}/rotate", Role::Admin, |call| Box::pin(keys::rotate(call))),
    route(Method::GET, "/api/v1/credentials", Role::Admin, |call| Box::pin(credentials::list(call))),
    route(Method::POST, "/api/v1/credentials", Role::Admin, |call| Box::pin(credentials::create(call))),
    route(Method::GET, "/api/v1/credentials/{id}", Role::Admin, |call| Box::pin(credentials::get(call))),
    route(Method::PATCH, "/api/v1/credentials/{id}", Role::Admin, |call| Box::pin(credentials::update(call))),
    route(Method::DELETE, "/api/v1/credentials/{id}", Role::Admin, |call| {
        Box::pin(credentials::delete(call))
    }),
    route(Method::GET, "/api/v1/teams", Role::Admin, |call| Box::pin(teams::list(call))),
    route(Method::POST, "/api/v1/teams", Role::Admin, |call| Box::pin(teams::create(call))),
    route(Method::GET, "/api/v1/teams/{id}", Role::Admin, |call| Box::pin(teams::get(call))),
    route(Method::PATCH, "/api/v1/teams/{id}", Role::Admin, |call| Box::pin(teams::update(call))),
    route(Method::DELETE, "/api/v1/teams/{id}", Role::Admin, |call| Box::pin(teams::delete(call))),
    route(Method::POST, "/api/v1/teams/{id}/block", Role::Admin, |call| Box::pin(teams::block(call))),
    route(Method::POST, "/api/v1/teams/{id}/unblock", Role::Admin, |call| Box::pin(teams::unblock(call))),
    route(Method::GET, "/api/v1/users", Role::Admin, |call| Box::pin(users::list(call))),
    route(Method::POST, "/api/v1/users", Role::Admin, |call| Box::pin(users::create(call))),
    route(Method::GET, "/api/v1/users/{id}", Role::Admin, |call| Box::pin(users::get(call))),
    route(Method::PATCH, "/api/v1/users/{id}", Role::Admin, |call| Box::pin(users::update(call))),
    route(Method::DELETE, "/api/v1/users/{id}", Role::Admin, |call| Box::pin(users::delete(call))),
    route(Method::POST, "/api/v1/users/{id}/block", Role::Admin, |call| Box::pin(users::block(call))),
    route(Method::POST, "/api/v1/users/{id}/unblock", Role::Admin, |call| Box::pin(users::unblock(call))),
    route(Method::POST, "/key/generate", Role::Admin, |call| Box::pin(litellm::generate(call))),
    route(Method::POST, "/key/update", Role::Admin, |call| Box::pin(litellm::update(call))),
    route(Method::POST, "/key/delete", Role::Admin, |call| Box::pin(litellm::delete(call))),
    route(Method::GET, "/key/info", Role::Admin, |call| Box::pin(litellm::info(call))),
    route(Method::GET, "/key/list", Role::Admin, |call| Box::pin(litellm::list(call))),
    route(Method::POST, "/key/block", Role::Admin, |call| Box::pin(litellm::block(call))),
    route(Method::POST, "/key/unblock", Role::Admin, |call| Box::pin(litellm::unblock(call))),
    route(Method::POST, "/key/regenerate", Role::Admin, |call| Box::pin(litellm::regenerate(call))),
    route(Method::POST, "/key/{id}/regenerate", Role::Admin, |call| Box::pin(litellm::regenerate(call))),
];

/// The route and the text in place of `{id}`; or the methods that the path takes, none for an unknown path.
pub(super) fn find(method: &Method, path: &str) -> Result<(&'static Route, String), Vec<&'static str>> {
    // A head is the head of what a GET answers.
    let method = if method == Method::HEAD { &Method::GET } else { method };
    let mut others = Vec::new();
    for route in ROUTES {
        if let Some(id) = matches(route.path, path) {
            if route.method == *method {
                return Ok((route, id));
            }
            others.push(route.method.as_str());
        }
    }
    Err(others)
}

/// The paths, for whoever asked for another.
pub(super) fn known() -> String {
    let mut paths: Vec<&str> = ROUTES.iter().map(|route| route.path).collect();
    paths.dedup();
    paths.join(" ")
}

fn matches(template: &str, path: &str) -> Option<String> {
    let (mut wanted, mut given) = (template.split('/'), path.split('/'));
    let mut id = String::new();
    loop {
        match (wanted.next(), given.next()) {
            (None, None) => return Some(id),
            (Some("{id}"), Some(segment)) if !segment.is_empty() => segment.clone_into(&mut id),
            (Some(wanted), Some(given)) if wanted == given => {}
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_found_by_its_template_and_another_method_is_told_from_another_path() {
        let (route, id) = find(&Method::POST, "/api/v1/keys/k1/block").ok().unwrap();
        assert_eq!((route.path, id.as_str()), ("/api/v1/keys/{id}/block", "k1"));
        assert_eq!(find(&Method::PUT, "/api/v1/keys").err().unwrap(), ["GET", "POST"]);
        assert!(find(&Method::GET, "/api/v1/keys/").err().unwrap().is_empty());
        assert!(find(&Method::HEAD, "/metrics").is_ok());
    }

    #[test]
    fn everything_that_is_no_read_needs_the_token() {
        let open: Vec<_> = ROUTES
            .iter()
            .filter(|route| route.method != Method::GET && route.role != Role::Admin)
            .map(|route| route.path)
            .collect();
        assert!(open.is_empty(), "{open:?}");
    }
}
