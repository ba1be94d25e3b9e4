//! Every path of the admin listener: what it takes, who may call it, what it is for, and what answers. The OpenAPI
//! document and docs/admin-api.md say the same.

use http::Method;
use serde_json::{Map, Value};

use super::audit::{self, AuditRow};
use super::credentials::{self, CredentialView, NewCredential};
use super::deployments::{self, DeploymentList};
use super::keys::{self, KeyView, NewKey, RotateRequest};
use super::litellm::{
    self, DeleteKeys, DeletedKeys, KeyChange, KeyInWords, KeyInfo, KeyList, KeyWords, NamedKey, NewKeyWords,
    RegenerateKey,
};
use super::reconcile::{self, Reconciliation};
use super::reply::{Deleted, Page};
use super::reports::{self, Report};
use super::route::{Access, Kind, Parameter, Route};
use super::spend::{self, KeySpend};
use super::teams::{self, NewOwner, TeamView};
use super::users::{self, UserView};
use super::{openapi, process};
use crate::keys::{KeySettings, OwnerSettings};

/// Of lists in pages.
const PAGE: &[Parameter] = &[
    Parameter { name: "after", kind: Kind::Text, about: "`next` of the page before." },
    Parameter { name: "limit", kind: Kind::Number(1_000), about: "Rows of a page; 100 without it." },
];
const KEY: Parameter =
    Parameter { name: "key", kind: Kind::Needed, about: "The name or id of a virtual key." };

/// A line of the table: method, path, who may call it, what answers, what is taken and given, what it is for.
macro_rules! routes {
    ($($method:ident $path:literal $access:ident $answer:path [$($shape:tt)*] $about:literal;)+) => {
        /// All of them.
        pub(super) static ROUTES: &[Route] = &[$(
            Route::new(Method::$method, $path, Access::$access, $about, |call| Box::pin($answer(call))) $($shape)*,
        )+];
    };
}

routes! {
    GET "/metrics" Anyone process::metrics []
        "Metrics in Prometheus' text format.";
    GET "/healthz" Anyone process::health []
        "Answers ok while the process runs.";
    GET "/readyz" Anyone process::readiness []
        "Answers ready, or 503 while the process drains.";
    GET "/api/v1/openapi.json" Open openapi::get [.gives::<Map<String, Value>>()]
        "This API as an OpenAPI document.";
    GET "/api/v1/deployments" Open deployments::list [.gives::<DeploymentList>()]
        "What each deployment is doing now.";
    GET "/api/v1/spend" Open spend::of_key [.query(&[KEY]).gives::<KeySpend>()]
        "What a virtual key has spent since the beginning.";
    GET "/api/v1/reports" Owner reports::sum [.query(reports::QUERY).gives_rows::<Report>()]
        "What was spent, added up by key, team, user, model, provider, tag and day.";
    GET "/api/v1/reconcile" Installation reconcile::compare [.query(reconcile::QUERY).gives::<Reconciliation>()]
        "Whether the sums of reports and budgets are those of the single attempts.";
    GET "/api/v1/audit" Team audit::list [.query(audit::QUERY).gives::<Page<AuditRow>>()]
        "Who changed what, newest first.";
    GET "/api/v1/keys" Team keys::list [.query(PAGE).gives::<Page<KeyView>>()]
        "Virtual keys of the store, in the order of their ids.";
    POST "/api/v1/keys" Team keys::create [.takes::<KeySettings>().makes::<NewKey>()]
        "Makes a virtual key, which is shown this once.";
    GET "/api/v1/keys/{id}" Owner keys::get [.gives::<KeyView>()]
        "One virtual key, without its secret.";
    PATCH "/api/v1/keys/{id}" Team keys::update [.takes::<KeySettings>().gives::<KeyView>()]
        "Changes the settings that the body has; null resets one.";
    DELETE "/api/v1/keys/{id}" Team keys::delete [.gives::<Deleted>()]
        "Deletes a virtual key; what it spent stays in the ledger.";
    POST "/api/v1/keys/{id}/block" Team keys::block [.gives::<KeyView>()]
        "Refuses a virtual key until it is unblocked.";
    POST "/api/v1/keys/{id}/unblock" Team keys::unblock [.gives::<KeyView>()]
        "Takes a virtual key again.";
    POST "/api/v1/keys/{id}/rotate" Owner keys::rotate [.takes::<RotateRequest>().gives::<NewKey>()]
        "Exchanges the secret of a virtual key.";
    GET "/api/v1/credentials" Installation credentials::list [.query(PAGE).gives::<Page<CredentialView>>()]
        "Credentials of providers in the store, without their secrets.";
    POST "/api/v1/credentials" Installation credentials::create [.takes::<NewCredential>().makes::<CredentialView>()]
        "Makes a credential of a provider, which gateways use within a second.";
    GET "/api/v1/credentials/{id}" Installation credentials::get [.gives::<CredentialView>()]
        "One credential, without its secret.";
    PATCH "/api/v1/credentials/{id}" Installation credentials::update [.takes::<NewCredential>().gives::<CredentialView>()]
        "Changes a credential; with `secret` the credential itself is exchanged.";
    DELETE "/api/v1/credentials/{id}" Installation credentials::delete [.gives::<Deleted>()]
        "Deletes a credential.";
    GET "/api/v1/teams" Team teams::list [.query(PAGE).gives::<Page<TeamView>>()]
        "Teams, in the order of their ids.";
    POST "/api/v1/teams" Installation teams::create [.takes::<NewOwner>().makes::<TeamView>()]
        "Makes a team.";
    GET "/api/v1/teams/{id}" Team teams::get [.gives::<TeamView>()]
        "One team.";
    PATCH "/api/v1/teams/{id}" Installation teams::update [.takes::<OwnerSettings>().gives::<TeamView>()]
        "Changes the settings that the body has; null resets one.";
    DELETE "/api/v1/teams/{id}" Installation teams::delete [.gives::<Deleted>()]
        "Deletes a team to which no key and no user belongs.";
    POST "/api/v1/teams/{id}/block" Installation teams::block [.gives::<TeamView>()]
        "Refuses all keys of a team until it is unblocked.";
    POST "/api/v1/teams/{id}/unblock" Installation teams::unblock [.gives::<TeamView>()]
        "Takes the keys of a team again.";
    GET "/api/v1/users" Team users::list [.query(PAGE).gives::<Page<UserView>>()]
        "Users, in the order of their ids.";
    POST "/api/v1/users" Team users::create [.takes::<NewOwner>().makes::<UserView>()]
        "Makes a user.";
    GET "/api/v1/users/{id}" Team users::get [.gives::<UserView>()]
        "One user.";
    PATCH "/api/v1/users/{id}" Team users::update [.takes::<OwnerSettings>().gives::<UserView>()]
        "Changes the settings that the body has; null resets one.";
    DELETE "/api/v1/users/{id}" Team users::delete [.gives::<Deleted>()]
        "Deletes a user to whom no key belongs.";
    POST "/api/v1/users/{id}/block" Team users::block [.gives::<UserView>()]
        "Refuses all keys of a user until it is unblocked.";
    POST "/api/v1/users/{id}/unblock" Team users::unblock [.gives::<UserView>()]
        "Takes the keys of a user again.";
    POST "/key/generate" Team litellm::generate [.takes::<KeyWords>().gives::<NewKeyWords>()]
        "Makes a virtual key, in LiteLLM's words.";
    POST "/key/update" Team litellm::update [.takes::<KeyChange>().gives::<KeyInWords>()]
        "Changes a virtual key, in LiteLLM's words.";
    POST "/key/delete" Team litellm::delete [.takes::<DeleteKeys>().gives::<DeletedKeys>()]
        "Deletes virtual keys, by themselves, their tokens or aliases.";
    GET "/key/info" Owner litellm::info [.query(litellm::INFO).gives::<KeyInfo>()]
        "One virtual key and what it has spent, in LiteLLM's words.";
    GET "/key/list" Team litellm::list [.query(litellm::LIST).gives::<KeyList>()]
        "The tokens of virtual keys, or the keys, page by page.";
    POST "/key/block" Team litellm::block [.takes::<NamedKey>().gives::<KeyInWords>()]
        "Refuses a virtual key until it is unblocked.";
    POST "/key/unblock" Team litellm::unblock [.takes::<NamedKey>().gives::<KeyInWords>()]
        "Takes a virtual key again.";
    POST "/key/regenerate" Owner litellm::regenerate [.takes::<RegenerateKey>().gives::<NewKeyWords>()]
        "Exchanges the secret of the virtual key that the body names.";
    POST "/key/{id}/regenerate" Owner litellm::regenerate [.takes::<RegenerateKey>().gives::<NewKeyWords>()]
        "Exchanges the secret of a virtual key, named by itself or its token.";
}

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
    fn every_path_says_what_it_is_for_and_what_changes_something_is_open_to_nobody() {
        for route in ROUTES {
            assert!(route.about.len() > 10 && route.about.ends_with('.'), "{}", route.path);
            let is_open = matches!(route.access, Access::Anyone | Access::Open);
            assert!(route.method == Method::GET || !is_open, "{}", route.path);
        }
    }
}
