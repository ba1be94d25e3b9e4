//! Organisations: whose teams and keys share kept answers, and who decides which one a key belongs to.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::gateway::{Gateway, KEY, chat};
use crate::keys::{text, until};
use crate::ledger::STORE;
use crate::operator::{call, done, start};

const MODELS: &str = "
  other: {deployments: [{provider: mock, model: m}], cache: off}
";

/// What the cache says of an answer to this key, and under which key it keeps it.
async fn asked(gateway: &Gateway, key: &str) -> (String, String) {
    let request = gateway.client.post(gateway.url("/v1/chat/completions")).bearer_auth(key);
    let answer = request.body(chat("plain", false).to_string()).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    let header = |name: &str| answer.headers()[name].to_str().unwrap().to_owned();
    let (mark, status) = (header("x-signalbox-cache"), header("cache-status"));
    answer.bytes().await.unwrap();
    // An answer is kept right after its last byte was sent.
    gateway.until_metric("signalbox_requests_in_flight 0").await;
    let (_, key) = status.split_once("key=").unwrap();
    (mark, key.to_owned())
}

async fn mark(gateway: &Gateway, key: &str) -> String {
    asked(gateway, key).await.0
}

/// A key that works.
async fn key(gateway: &Gateway, settings: Value) -> String {
    let made = done(gateway, "POST", "/api/v1/keys", settings).await;
    // Another question, so that what is tested was never asked.
    until(gateway, text(&made, "key"), "other", (200, "")).await;
    text(&made, "key").to_owned()
}

async fn organized() -> Gateway {
    let extra = format!("{STORE}\ncache: {{exact: {{scope: organization}}}}");
    start(MODELS, &extra).await
}

#[tokio::test]
async fn teams_of_one_organisation_share_answers_and_two_organisations_do_not() {
    let gateway = organized().await;
    for (id, organization) in [("red", "acme"), ("blue", "acme"), ("green", "umbrella")] {
        let team = json!({"id": id, "name": id, "organization_id": organization});
        let made = done(&gateway, "POST", "/api/v1/teams", team).await;
        assert_eq!(made["organization_id"], organization);
    }
    done(&gateway, "POST", "/api/v1/teams", json!({"id": "grey", "name": "grey"})).await;
    let of_team = async |team: &str| key(&gateway, json!({"name": team, "team_id": team})).await;
    let (red, blue, green, grey) =
        (of_team("red").await, of_team("blue").await, of_team("green").await, of_team("grey").await);
    let own = key(&gateway, json!({"name": "alone", "organization_id": "acme"})).await;
    // LiteLLM's words for the same.
    let words = json!({"key_alias": "words", "organization_id": "umbrella"});
    let made = done(&gateway, "POST", "/key/generate", words).await;
    assert_eq!(made["organization_id"], "umbrella");
    let theirs = text(&made, "key").to_owned();
    until(&gateway, &theirs, "other", (200, "")).await;

    assert_eq!(mark(&gateway, &red).await, "miss");
    assert_eq!(mark(&gateway, &blue).await, "hit", "another team of the organisation");
    assert_eq!(mark(&gateway, &own).await, "hit", "a key of the organisation without a team");
    assert_eq!(mark(&gateway, &green).await, "miss", "another organisation");
    assert_eq!(mark(&gateway, &theirs).await, "hit", "its key without a team");
    assert_eq!(mark(&gateway, &grey).await, "miss", "a team without an organisation");
    assert_eq!(mark(&gateway, KEY).await, "miss", "a key of the configuration without one");

    // A purge of one organisation leaves the other's answers.
    done(&gateway, "POST", "/api/v1/cache/purge", json!({"scope": "organization:acme"})).await;
    assert_eq!(mark(&gateway, &blue).await, "miss");
    assert_eq!(mark(&gateway, &green).await, "hit");
    // A team that moves finds what its new organisation has, under the same key.
    let theirs = asked(&gateway, &green).await;
    done(&gateway, "PATCH", "/api/v1/teams/grey", json!({"organization_id": "umbrella"})).await;
    let deadline = Instant::now() + Duration::from_secs(10);
    while asked(&gateway, &grey).await.1 != theirs.1 {
        assert!(Instant::now() < deadline, "the team stays where it was");
    }
    assert_eq!(mark(&gateway, &grey).await, "hit");
}

#[tokio::test]
async fn a_key_belongs_to_no_other_organisation_than_its_team() {
    let gateway = organized().await;
    let team = json!({"id": "red", "name": "red", "organization_id": "acme"});
    done(&gateway, "POST", "/api/v1/teams", team).await;
    done(&gateway, "POST", "/api/v1/teams", json!({"id": "grey", "name": "grey"})).await;
    for (team, organization, expected) in
        [("red", "acme", 201), ("red", "umbrella", 400), ("grey", "acme", 400)]
    {
        let name = format!("{team} of {organization}");
        let key = json!({"name": name, "team_id": team, "organization_id": organization});
        let (status, answer) = call(&gateway, "POST", "/api/v1/keys", key).await;
        assert_eq!(status, expected, "{answer}");
        if status == 400 {
            assert_eq!(answer["error"]["param"], "organization_id", "{answer}");
        }
    }
    // Nor by way of its user.
    done(&gateway, "POST", "/api/v1/users", json!({"id": "u1", "name": "u1", "team_id": "grey"})).await;
    let key = json!({"name": "by user", "user_id": "u1", "organization_id": "acme"});
    assert_eq!(call(&gateway, "POST", "/api/v1/keys", key).await.0, 400);
    let user = json!({"name": "u2", "organization_id": "acme"});
    assert_eq!(call(&gateway, "POST", "/api/v1/users", user).await.0, 400);
    assert_eq!(call(&gateway, "PATCH", "/api/v1/teams/red", json!({"organization_id": " "})).await.0, 400);
}
