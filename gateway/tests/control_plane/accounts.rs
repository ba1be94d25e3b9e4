//! Accounts and sessions over a real socket: signing in, what a browser must send, and when a session ends.

use std::process::Command;

use reqwest::header::HeaderMap;
use serde_json::{Value, json};

use crate::gateway::Gateway;
use crate::ledger::STORE;
use crate::operator::{TOKEN, call, done, start};

const PASSWORD: &str = "correct horse battery";
const SAME: (&str, &str) = ("sec-fetch-site", "same-origin");

async fn login(gateway: &Gateway, name: &str, password: &str) -> (u16, HeaderMap, Value) {
    let url = format!("http://{}/api/v1/session", gateway.admin);
    let body = json!({"name": name, "password": password});
    let answer = gateway.client.post(url).json(&body).send().await.unwrap();
    (answer.status().as_u16(), answer.headers().clone(), answer.json().await.unwrap())
}

/// A browser that has signed in.
struct Browser<'a> {
    gateway: &'a Gateway,
    cookie: String,
    csrf: String,
}

impl<'a> Browser<'a> {
    async fn open(gateway: &'a Gateway, name: &str) -> Self {
        let (status, headers, view) = login(gateway, name, PASSWORD).await;
        assert_eq!(status, 201, "{view}");
        let cookie = headers["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
        Self { gateway, cookie, csrf: view["csrf"].as_str().unwrap().to_owned() }
    }

    async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: Value) -> (u16, Value) {
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        let url = format!("http://{}{path}", self.gateway.admin);
        let mut request = self.gateway.client.request(method, url).header("cookie", &self.cookie);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = request.json(&body).send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    async fn is_live(&self) -> bool {
        self.send("GET", "/api/v1/session", &[], json!({})).await.0 == 200
    }
}

async fn account(gateway: &Gateway, name: &str, role: &str) -> String {
    let body = json!({"name": name, "role": role, "password": PASSWORD});
    done(gateway, "POST", "/api/v1/admins", body).await["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_change_with_a_cookie_needs_the_csrf_and_a_page_of_this_address() {
    let gateway = start("", STORE).await;
    account(&gateway, "ada", "admin").await;
    let (_, headers, _) = login(&gateway, "ada", PASSWORD).await;
    let cookie = headers["set-cookie"].to_str().unwrap();
    assert!(
        cookie.contains("; HttpOnly") && cookie.contains("; SameSite=Strict") && !cookie.contains("Secure")
    );
    let browser = Browser::open(&gateway, "ada").await;
    let (_, view) = browser.send("GET", "/api/v1/session", &[], json!({})).await;
    assert_eq!(
        (&view["name"], &view["role"], &view["csrf"]),
        (&json!("ada"), &json!("admin"), &json!(browser.csrf))
    );
    let csrf = ("x-csrf-token", browser.csrf.as_str());
    let origin = format!("http://{}", gateway.admin);
    let refused: [&[(&str, &str)]; 6] = [
        &[],
        &[csrf],
        &[SAME],
        &[SAME, ("x-csrf-token", "0")],
        &[csrf, ("sec-fetch-site", "cross-site")],
        &[csrf, ("origin", "http://evil.example")],
    ];
    for headers in refused {
        let (status, fault) = browser.send("POST", "/api/v1/keys", headers, json!({"name": "shop"})).await;
        assert_eq!((status, &fault["error"]["code"]), (403, &json!("forbidden")), "{headers:?}");
    }
    let (status, made) = browser.send("POST", "/api/v1/keys", &[csrf, SAME], json!({"name": "one"})).await;
    assert_eq!(status, 201, "{made}");
    let own_origin = ("origin", origin.as_str());
    let (status, made) =
        browser.send("POST", "/api/v1/keys", &[csrf, own_origin], json!({"name": "two"})).await;
    assert_eq!(status, 201, "{made}");
    let (status, _) = browser.send("DELETE", "/api/v1/session", &[csrf, SAME], json!({})).await;
    assert_eq!((status, browser.is_live().await), (200, false));
}

#[tokio::test]
async fn a_session_ends_when_the_password_changes_or_the_account_is_disabled() {
    let gateway = start("", STORE).await;
    let id = account(&gateway, "ada", "viewer").await;
    let browser = Browser::open(&gateway, "ada").await;
    let wrong = json!({"current": "wrong horse battery", "password": "new horse battery"});
    let headers = [("x-csrf-token", browser.csrf.as_str()), SAME];
    let (status, fault) = browser.send("POST", "/api/v1/session/password", &headers, wrong).await;
    assert_eq!((status, &fault["error"]["param"]), (400, &json!("current")));
    assert!(browser.is_live().await);
    let right = json!({"current": PASSWORD, "password": PASSWORD});
    let (status, done_) = browser.send("POST", "/api/v1/session/password", &headers, right).await;
    assert_eq!((status, browser.is_live().await), (200, false), "{done_}");

    let browser = Browser::open(&gateway, "ada").await;
    done(&gateway, "POST", &format!("/api/v1/admins/{id}/disable"), Value::Null).await;
    assert!(!browser.is_live().await);
    assert_eq!(login(&gateway, "ada", PASSWORD).await.0, 401);
    done(&gateway, "POST", &format!("/api/v1/admins/{id}/enable"), Value::Null).await;
    assert!(!browser.is_live().await, "what was disabled begins anew");

    let browser = Browser::open(&gateway, "ada").await;
    done(&gateway, "POST", &format!("/api/v1/admins/{id}/password"), json!({"password": PASSWORD})).await;
    assert!(!browser.is_live().await);
    let browser = Browser::open(&gateway, "ada").await;
    done(&gateway, "DELETE", &format!("/api/v1/admins/{id}"), Value::Null).await;
    assert!(!browser.is_live().await);
}

#[tokio::test]
async fn a_wrong_name_and_a_wrong_password_answer_the_same_and_the_eleventh_try_waits() {
    let gateway = start("", STORE).await;
    account(&gateway, "ada", "admin").await;
    let (status, _, fault) = login(&gateway, "ada", "wrong horse battery").await;
    let (unknown_status, _, unknown) = login(&gateway, "nobody", "wrong horse battery").await;
    assert_eq!((status, unknown_status, &fault), (401, 401, &unknown));
    for number in 0..9 {
        assert_eq!(login(&gateway, "ada", "wrong horse battery").await.0, 401, "{number}");
    }
    let (status, headers, _) = login(&gateway, "ada", PASSWORD).await;
    assert_eq!(status, 429, "the right password too");
    assert_eq!(headers["retry-after"], "60");
}

#[tokio::test]
async fn a_role_that_is_taken_away_is_gone_at_once_and_a_token_ends_with_its_account() {
    let gateway = start("", STORE).await;
    let id = account(&gateway, "ada", "admin").await;
    let made = done(&gateway, "POST", &format!("/api/v1/admins/{id}/tokens"), json!({"name": "ci"})).await;
    let token = made["token"].as_str().unwrap();
    let create = async |name: &str| {
        let url = format!("http://{}/api/v1/keys", gateway.admin);
        let request = gateway.client.post(url).bearer_auth(token).json(&json!({"name": name}));
        request.send().await.unwrap().status().as_u16()
    };
    assert_eq!(create("one").await, 201);
    done(&gateway, "PATCH", &format!("/api/v1/admins/{id}"), json!({"role": "viewer"})).await;
    assert_eq!(create("two").await, 403);
    let listed = done(&gateway, "GET", &format!("/api/v1/admins/{id}/tokens"), Value::Null).await;
    assert!(listed["data"][0]["hint"].as_str().unwrap().len() < 8 && !listed.to_string().contains(token));
    done(&gateway, "DELETE", &format!("/api/v1/admins/{id}"), Value::Null).await;
    assert_eq!(create("three").await, 401);
    let (status, fault) = call(&gateway, "POST", "/api/v1/admins", json!({"name": "admin.token"})).await;
    assert_eq!((status, &fault["error"]["param"]), (400, &json!("name")));
}

#[tokio::test]
async fn an_account_is_made_on_the_command_line_and_signs_in() {
    let gateway = Gateway::start("", STORE).await;
    let run = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_signalbox"))
            .args(arguments)
            .args(["--config", "signalbox.yaml"])
            .current_dir(&gateway.folder)
            .output()
            .unwrap();
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    // Without a token and accounts, figures are open; with an account they are not.
    let deployments = format!("http://{}/api/v1/deployments", gateway.admin);
    assert_eq!(gateway.client.get(&deployments).send().await.unwrap().status(), 200);
    let made: Value = serde_json::from_str(&run(&["admins", "create", "--name", "ada"])).unwrap();
    assert_eq!(gateway.client.get(&deployments).send().await.unwrap().status(), 401);
    let password = made["password"].as_str().unwrap();
    assert_eq!(login(&gateway, "ada", password).await.0, 201);
    assert!(run(&["admins", "list"]).contains("\"ada\""));
    run(&["admins", "disable", "ada"]);
    assert_eq!(login(&gateway, "ada", password).await.0, 401);
    run(&["admins", "enable", "ada"]);
    std::fs::write(gateway.folder.join("password"), format!("{PASSWORD}\n")).unwrap();
    run(&["admins", "password", "ada", "--password-file", "password"]);
    assert_eq!(login(&gateway, "ada", PASSWORD).await.0, 201);
    let printed: Value = serde_json::from_slice(
        &Command::new(env!("CARGO_BIN_EXE_signalbox")).arg("openapi").output().unwrap().stdout,
    )
    .unwrap();
    assert_eq!(printed["openapi"], "3.1.0");
}

#[tokio::test]
async fn an_address_that_guesses_tokens_has_to_wait_and_one_that_has_a_right_one_has_not() {
    let gateway = start("", &format!("{STORE}\nlimits: {{failed_auth: 20}}")).await;
    let url = format!("http://{}/api/v1/keys", gateway.admin);
    for number in 0..20 {
        let answer = gateway.client.get(&url).bearer_auth(format!("sb-admin-{number}")).send().await.unwrap();
        assert_eq!(answer.status(), 401, "{number}");
    }
    let refused = gateway.client.get(&url).bearer_auth("sb-admin-20").send().await.unwrap();
    assert_eq!((refused.status().as_u16(), refused.headers()["retry-after"].as_bytes()), (429, &b"10"[..]));
    // Neither whoever sends a right one nor whoever sends none is a guesser.
    assert_eq!(gateway.client.get(&url).bearer_auth(TOKEN).send().await.unwrap().status(), 200);
    assert_eq!(gateway.client.get(&url).send().await.unwrap().status(), 401);
}
