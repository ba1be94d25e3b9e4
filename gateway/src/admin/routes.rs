//! Every path of the admin listener: what it takes, who may call it, what it is for, and what answers. The OpenAPI
//! document and docs/admin-api.md say the same.

use http::Method;
use serde_json::{Map, Value};

use super::admins::{
    self, AdminView, AdminWithPassword, NewAdmin, NewToken, PasswordRequest, TokenRequest, TokenView,
};
use super::audit::{self, AuditRow};
use super::cache::{self, CacheView, EntryView, PurgeRequest, Purged};
use super::cache_warm::{self, WarmRequest, Warmed};
use super::contents::{self, ContentsList};
use super::credentials::{self, CredentialView, NewCredential};
use super::deployments::{self, DeploymentList};
use super::erase::{self, EraseRequest, ErasedView};
use super::explain::{self, ClientRequest, RouteExplanation};
use super::keys::{self, KeyView, NewKey, RotateRequest};
use super::ledger::{self, EntryPage};
use super::litellm::spend_logs::{self, SpendLog};
use super::litellm::{
    self, Alive, DeleteKeys, DeletedKeys, HealthReport, KeyChange, KeyInWords, KeyInfo, KeyList, KeyWords,
    ModelInfoList, NamedKey, NewKeyWords, Readiness, RegenerateKey,
};
use super::reconcile::{self, Reconciliation};
use super::reply::{Deleted, Page};
use super::reports::{self, Report};
use super::requests::{self, RequestPage, RequestRow};
use super::route::{Access, Kind, Parameter, Route};
use super::session::{self, LoginRequest, OwnPassword, SessionEnded, SessionView};
use super::spend::{self, KeySpend};
use super::teams::{self, NewOwner, TeamView};
use super::users::{self, UserView};
use super::{openapi, process};
use crate::accounts::AccountSettings;
use crate::keys::{KeySettings, OwnerSettings};

/// Of lists in pages.
const PAGE: &[Parameter] = &[
    Parameter { name: "after", kind: Kind::Text, about: "`next` of the page before." },
    Parameter { name: "limit", kind: Kind::Number(1_000), about: "Rows of a page; 100 without it." },
];
const KEY: Parameter = Parameter {
    name: "key",
    kind: Kind::Text,
    about: "The name or id of a virtual key, which sees itself without it.",
};

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
    GET "/api/v1/openapi.json" OpenOwner openapi::get [.gives::<Map<String, Value>>()]
        "This API as an OpenAPI document.";
    GET "/api/v1/session" Owner session::get [.gives::<SessionView>()]
        "Who one is, and what a page sends with every change.";
    POST "/api/v1/session" Anyone session::begin [.takes::<LoginRequest>().makes::<SessionView>()]
        "Signs in with name and password: a cookie, and the csrf that goes with every change.";
    DELETE "/api/v1/session" Account session::end [.gives::<SessionEnded>()]
        "Signs out.";
    POST "/api/v1/session/password" Account session::change_password
        [.takes::<OwnPassword>().gives::<SessionEnded>()]
        "Changes one's own password and ends one's sessions.";
    GET "/api/v1/admins" Installation admins::list [.query(PAGE).gives::<Page<AdminView>>()]
        "Accounts of operators, in the order of their ids.";
    POST "/api/v1/admins" Installation admins::create [.takes::<NewAdmin>().makes::<AdminWithPassword>()]
        "Makes an account.";
    GET "/api/v1/admins/{id}" Installation admins::get [.gives::<AdminView>()]
        "One account.";
    PATCH "/api/v1/admins/{id}" Installation admins::update [.takes::<AccountSettings>().gives::<AdminView>()]
        "Changes the settings that the body has; null resets one.";
    DELETE "/api/v1/admins/{id}" Installation admins::delete [.gives::<Deleted>()]
        "Deletes an account with its sessions and tokens.";
    POST "/api/v1/admins/{id}/disable" Installation admins::disable [.gives::<AdminView>()]
        "Ends the sessions of an account and lets it sign in no more.";
    POST "/api/v1/admins/{id}/enable" Installation admins::enable [.gives::<AdminView>()]
        "Lets an account sign in again.";
    POST "/api/v1/admins/{id}/password" Installation admins::reset_password
        [.takes::<PasswordRequest>().gives::<AdminWithPassword>()]
        "Gives an account another password and ends its sessions.";
    GET "/api/v1/admins/{id}/tokens" Installation admins::list_tokens [.gives::<Page<TokenView>>()]
        "The tokens of an account.";
    POST "/api/v1/admins/{id}/tokens" Installation admins::create_token
        [.takes::<TokenRequest>().makes::<NewToken>()]
        "Makes a token with which a program acts for an account; it is shown this once.";
    DELETE "/api/v1/admin-tokens/{id}" Installation admins::delete_token [.gives::<Deleted>()]
        "Ends a token.";
    GET "/api/v1/deployments" Open deployments::list [.gives::<DeploymentList>()]
        "What each deployment is doing now.";
    GET "/api/v1/spend" OpenOwner spend::of_key [.query(&[KEY]).gives::<KeySpend>()]
        "What a virtual key has spent since the beginning.";
    GET "/api/v1/reports" Owner reports::sum [.query(reports::QUERY).gives_rows::<Report>(&["text/csv"])]
        "What was spent, added up by key, team, user, model, provider, tag and day.";
    GET "/api/v1/ledger" Owner ledger::list [.query(ledger::QUERY).gives_rows::<EntryPage>(&["text/csv", "application/jsonl"])]
        "The single entries of the ledger: attempts, and requests that needed none.";
    GET "/api/v1/requests" Owner requests::list [.query(requests::QUERY).gives::<RequestPage>()]
        "What happened to each request, newest first, unless `log.requests` is off.";
    GET "/api/v1/requests/{id}" Owner requests::get [.gives::<RequestRow>()]
        "What happened to one request.";
    GET "/api/v1/requests/{id}/contents" Contents contents::get [.gives::<ContentsList>()]
        "What was said in one request, when its key has `store_prompts`; it is audited.";
    POST "/api/v1/erase" Team erase::erase [.takes::<EraseRequest>().gives::<ErasedView>()]
        "Erases prompts and answers, and with `requests` the request log, of a key, team, user, request or time.";
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
    GET "/api/v1/cache" Installation cache::stats [.gives::<CacheView>()]
        "How the answer cache of this gateway stands.";
    POST "/api/v1/cache/purge" Installation cache::purge [.takes::<PurgeRequest>().gives::<Purged>()]
        "Makes kept answers void: all, or those of a scope, a model or a namespace.";
    POST "/api/v1/cache/warm" Installation cache_warm::warm [.takes::<WarmRequest>().gives::<Warmed>()]
        "Keeps answers before anybody has asked, each with its request.";
    GET "/api/v1/cache/{id}" Installation cache::get [.gives::<EntryView>()]
        "What is kept under a key, without the answer.";
    DELETE "/api/v1/cache/{id}" Installation cache::delete [.gives::<Deleted>()]
        "Removes one kept answer.";
    POST "/api/v1/route/explain" Installation explain::explain
        [.query(explain::QUERY).takes::<ClientRequest>().gives::<RouteExplanation>()]
        "What a virtual model would decide about a request, the body, and why; nothing is sent.";
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
    GET "/spend/logs" Installation spend_logs::list [.query(spend_logs::QUERY).gives::<Vec<SpendLog>>()]
        "What requests or days cost, in LiteLLM's words.";
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
    GET "/model/info" Owner litellm::model_info [.query(litellm::MODEL_INFO).gives::<ModelInfoList>()]
        "Models, their deployments and prices, in LiteLLM's words.";
    GET "/v1/model/info" Owner litellm::model_info [.query(litellm::MODEL_INFO).gives::<ModelInfoList>()]
        "Models, their deployments and prices, in LiteLLM's words.";
    GET "/health" Open litellm::endpoints [.gives::<HealthReport>()]
        "Deployments in and out of rotation, as they are known; calls no provider.";
    GET "/health/liveliness" Anyone litellm::liveness [.gives::<Alive>()]
        "Answers while the process runs.";
    GET "/health/liveness" Anyone litellm::liveness [.gives::<Alive>()]
        "Answers while the process runs.";
    GET "/health/readiness" Anyone litellm::readiness [.gives::<Readiness>()]
        "Whether requests are taken, and whether the store answers.";
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
            assert!(route.about.len() > 7 && route.about.ends_with('.'), "{}", route.path);
            let is_open = matches!(route.access, Access::Anyone | Access::Open | Access::OpenOwner);
            let is_login = route.path == "/api/v1/session";
            assert!(route.method == Method::GET || !is_open || is_login, "{}", route.path);
        }
    }
}
