//! What the admin API can do, read from its OpenAPI document, and calls of it that name a target.

use serde_json::{Value, json};

/// One path and method of the document.
pub(super) struct Operation {
    pub(super) name: String,
    pub(super) method: String,
    pub(super) path: String,
    pub(super) access: String,
    pub(super) parameters: Vec<String>,
    /// The members of its body.
    pub(super) members: Vec<String>,
    pub(super) takes_body: bool,
    pub(super) status: u16,
    /// Of the answer, when it is JSON.
    pub(super) schema: Option<Value>,
}

/// Ids of one of each.
#[derive(Clone, Debug)]
pub(super) struct Target {
    pub(super) key: String,
    pub(super) team: String,
    pub(super) user: String,
    pub(super) admin: String,
    pub(super) token: String,
    pub(super) credential: String,
    /// The newest one in the log.
    pub(super) request: String,
    /// The key of a kept answer.
    pub(super) kept: String,
}

pub(super) fn operations() -> Vec<Operation> {
    let document = gateway::admin::openapi();
    let mut found = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let text = |name: &str| operation[name].as_str().unwrap().to_owned();
            let parameters = operation["parameters"].as_array().unwrap();
            let body = &operation["requestBody"]["content"]["application/json"]["schema"]["properties"];
            let responses = operation["responses"].as_object().unwrap();
            let status = responses.keys().find(|status| status.starts_with('2')).unwrap();
            let schema = &responses[status]["content"]["application/json"]["schema"];
            found.push(Operation {
                name: text("operationId"),
                method: method.to_uppercase(),
                path: path.clone(),
                access: text("x-access"),
                parameters: parameters.iter().map(|it| it["name"].as_str().unwrap().to_owned()).collect(),
                members: body.as_object().map(|it| it.keys().cloned().collect()).unwrap_or_default(),
                takes_body: operation.get("requestBody").is_some(),
                status: status.parse().unwrap(),
                schema: schema.is_object().then(|| {
                    let mut schema = schema.clone();
                    schema["components"] = document["components"].clone();
                    schema
                }),
            });
        }
    }
    assert!(found.len() > 55, "{}", found.len());
    found
}

impl Operation {
    pub(super) fn is_write(&self) -> bool {
        self.method != "GET"
    }

    /// What explains a route takes a request, and does nothing with it.
    pub(super) fn changes(&self) -> bool {
        self.is_write() && self.path != "/api/v1/route/explain"
    }

    /// The path with one of the target in it.
    pub(super) fn path_of(&self, target: &Target) -> String {
        let id = match self.path.as_str() {
            path if path.contains("/team") => &target.team,
            path if path.contains("/user") => &target.user,
            path if path.contains("/admin-tokens") => &target.token,
            path if path.contains("/admins") => &target.admin,
            path if path.contains("/credentials") => &target.credential,
            path if path.contains("/requests") => &target.request,
            path if path.contains("/cache") => &target.kept,
            _ => &target.key,
        };
        self.path.replace("{id}", id)
    }

    pub(super) fn is_of_one(&self) -> bool {
        self.path.contains("{id}")
    }

    /// Calls that name something of the target: in the path, in the query, in the body, and what is the caller's own moved
    /// to it.
    pub(super) fn calls(&self, own: &Target, target: &Target) -> Vec<(String, Value)> {
        let mut calls = Vec::new();
        let path = self.path_of(target);
        if self.is_of_one() {
            calls.push((path.clone(), if self.takes_body { json!({}) } else { Value::Null }));
        }
        for name in &self.parameters {
            if let Some(value) = named(name, target) {
                let value = value.as_str().map_or_else(String::new, str::to_owned);
                // Two answers a moment apart must have the same times.
                let is_timed = self.parameters.iter().any(|it| it == "from");
                let times = if is_timed { "&from=2026-01-01&to=2026-01-02" } else { "" };
                calls.push((format!("{path}?{name}={value}{times}"), Value::Null));
            }
        }
        for member in &self.members {
            let Some(value) = named(member, target) else { continue };
            let mut body = json!({member: value});
            if self.members.iter().any(|it| it == "name") && !self.is_of_one() {
                body["name"] = "new".into();
            }
            if self.is_of_one() && member != "key" {
                calls.push((self.path_of(own), body.clone()));
            }
            calls.push((path.clone(), body));
        }
        calls
    }
}

/// What a parameter or member of this name says of the target.
fn named(name: &str, target: &Target) -> Option<Value> {
    Some(match name {
        "key" | "object_id" => target.key.as_str().into(),
        "keys" => json!([target.key]),
        "team" | "team_id" => target.team.as_str().into(),
        "user" | "user_id" => target.user.as_str().into(),
        _ => return None,
    })
}
