//! Answers that are kept before anybody has asked: each with its request, as a client would send it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cache::exact::{Entry, Flags};
use domain::{Micros, Usage};
use http::{HeaderName, HeaderValue};
use providers::{KeptAnswer, Operation, Wanted, has_both_modes};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::{AnswerCache, Controls, clock_ms};
use crate::request::Request;
use crate::snapshot::Snapshot;

/// A request and its answer. Public API.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WarmEntry {
    /// Where it is sent, as in `/v1/chat/completions`.
    path: String,
    /// Who it is for: `organization:ID`, `team:ID`, `key:ID` or `global`, as `cache.exact.scope` has it.
    scope: String,
    /// The body that is sent.
    request: Value,
    /// The whole answer, which is not streamed.
    answer: Value,
    /// Headers that go to the provider, as in `anthropic-version`: a request with others is another one.
    #[serde(default)]
    headers: BTreeMap<String, String>,
    /// How long it is kept, in seconds; without it as long as others.
    #[serde(default)]
    ttl: Option<f64>,
    /// A part of the scope's cache.
    #[serde(default)]
    namespace: String,
}

/// How scopes are written.
pub const SCOPES: &str = "`organization:ID`, `team:ID`, `key:ID` or `global`";

/// The kind and the id of a scope that is written so.
pub fn scope(text: &str) -> Option<(&str, &str)> {
    match text.split_once(':') {
        Some((kind @ ("organization" | "team" | "key"), id)) if !id.is_empty() => Some((kind, id)),
        None if text == "global" => Some(("global", "")),
        _ => None,
    }
}

impl AnswerCache {
    /// Keeps an answer.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn warm(&self, snapshot: &Snapshot, entry: &WarmEntry) -> Result<(), String> {
        let scope = scope(&entry.scope).ok_or_else(|| format!("`scope` is {SCOPES}"))?;
        let request = request(entry)?;
        let name = &request.head.model;
        let model = snapshot
            .models
            .iter()
            .find_map(|(known, model)| (known.as_str() == &**name).then_some(model))
            .ok_or_else(|| format!("there is no model `{name}`"))?;
        if !self.concerns(model, &request) {
            return Err("a request like this is not looked up: see docs/cache.md".to_owned());
        }
        let answer = [Bytes::from(entry.answer.to_string())];
        check(&request, &answer)?;
        let key = self.key_in(scope, model, &request, &request.body);
        let key = key.ok_or("the request has a number that stands for several")?;
        let ttl = entry.ttl.map(|ttl| Duration::try_from_secs_f64(ttl).map_err(|_| "`ttl` is no time"));
        let now = clock_ms();
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let until = now.saturating_add(millis(ttl.transpose()?.unwrap_or(self.rules.ttl.0)));
        let kept = Entry {
            created_ms: now,
            fresh_until_ms: until,
            stale_until_ms: until.saturating_add(millis(self.longest_stale())),
            flags: Flags::default(),
            status: 200,
            usage: Usage::default(),
            cost: Micros(0),
            origin: Box::default(),
            pieces: Entry::gather(&answer),
        };
        let lookup = self.exact.lookup(key);
        if self.keep(&lookup, &Arc::new(kept)) { Ok(()) } else { Err("it is too large".to_owned()) }
    }
}

fn request(entry: &WarmEntry) -> Result<Request, String> {
    let operation = Operation::from_path(&entry.path)
        .ok_or_else(|| format!("`path`: there is nothing at {}", entry.path))?;
    let body = Bytes::from(entry.request.to_string());
    let head = providers::read_request_head(operation, &entry.path, &body)
        .map_err(|error| format!("`request`: {}", error.message))?;
    let headers = entry.headers.iter().map(|(name, value)| {
        let name = HeaderName::try_from(name).ok()?;
        Some((name, HeaderValue::try_from(value).ok()?))
    });
    let headers: Option<Vec<_>> = headers.collect();
    let headers = headers.ok_or("`headers`: one is no header of HTTP")?;
    let controls = Controls { namespace: entry.namespace.clone(), opted_in: true, ..Controls::default() };
    Ok(Request { operation, head, body, query: None, headers, controls, session: None })
}

/// Can it be given to a client?
fn check(request: &Request, answer: &[Bytes]) -> Result<(), String> {
    if !has_both_modes(request.operation) {
        return Ok(());
    }
    let operation = request.operation;
    let kept =
        KeptAnswer { operation, pieces: answer, is_stream: false, has_usage: false, usage: Usage::default() };
    let wanted = Wanted { stream: true, include_usage: false, body: &request.body };
    kept.replay(&wanted).map(drop).map_err(|error| format!("`answer`: {}", error.reason))
}
