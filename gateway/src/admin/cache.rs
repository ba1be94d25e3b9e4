//! The answer cache: how it stands, what it has under a key, and what is to go.

use std::sync::Arc;

use cache::exact::{Entry, Flags, Purge};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::call::Call;
use super::fault::Fault;
use super::reply::{Deleted, Reply};
use crate::answer_cache::{AnswerCache, SCOPES, SemanticStats, clock_ms, scope_named};

/// How the cache stands; what is counted begins with the process. Public API.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct CacheView {
    memory_hits: u64,
    /// Answers of other gateways of the cluster.
    shared_hits: u64,
    disk_hits: u64,
    misses: u64,
    stores: u64,
    /// Answers that were too large.
    refused: u64,
    evictions: u64,
    /// Answers that the disk's queue had no room for.
    disk_overflow: u64,
    memory_entries: u64,
    memory_bytes: u64,
    memory_capacity_bytes: u64,
    /// 0 without a disk tier.
    disk_capacity_bytes: u64,
    disk_written_bytes: u64,
    /// Its semantic side, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    semantic: Option<SemanticView>,
}

/// How the semantic cache stands; what is counted begins with the process. Public API.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct SemanticView {
    hits: u64,
    /// Hits whose answer was compared with a fresh one: both agreed.
    audited_right: u64,
    /// They did not.
    audited_wrong: u64,
    /// Clients said that an answer was wrong.
    objections: u64,
    entries: u64,
    bytes: u64,
    evictions: u64,
    /// There is evidence enough to serve, for one model at least.
    open: bool,
    /// The upper bound of the share of wrong answers, of the model where it is highest; 0 while nothing is served.
    bound: f64,
    /// Comparisons that it rests on.
    labels: u32,
    /// Those of them that found an answer wrong.
    wrong: u32,
}

/// An answer that is kept, without the answer. Public API.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct EntryView {
    id: String,
    created_ms: u64,
    fresh_until_ms: u64,
    stale_until_ms: u64,
    /// It was kept as a stream.
    stream: bool,
    bytes: usize,
    prompt_tokens: u64,
    completion_tokens: u64,
    /// What each hit saves.
    cost_micros: u64,
    deployment: String,
}

/// What is to be purged; exactly one, but for a namespace, which belongs to a scope. Public API.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct PurgeRequest {
    /// `true`: everything.
    all: bool,
    /// The id of an organisation, a team or a key, or everyone, as `organization:ID`, `team:ID`, `key:ID` or `global`.
    scope: Option<String>,
    /// A public model name, in all scopes.
    model: Option<String>,
    /// A namespace of `scope`.
    namespace: Option<String>,
}

/// Public API.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Purged {
    /// Always true.
    purged: bool,
}

pub(super) async fn stats(call: Call) -> Result<Reply, Fault> {
    let stats = cache(&call)?.exact.stats();
    let shared_hits = cache(&call)?.shared.as_ref().map_or(0, |shared| shared.stats().1);
    let semantic = cache(&call)?.semantic.as_ref().map(|semantic| SemanticView::from(semantic.stats()));
    Ok(Reply::ok(&CacheView {
        memory_hits: stats.memory_hits,
        shared_hits,
        disk_hits: stats.disk_hits,
        misses: stats.misses.saturating_sub(shared_hits),
        stores: stats.stores,
        refused: stats.refused,
        evictions: stats.evictions,
        disk_overflow: stats.overflow,
        memory_entries: stats.memory_entries,
        memory_bytes: stats.memory_bytes,
        memory_capacity_bytes: stats.memory_capacity_bytes,
        disk_capacity_bytes: stats.disk_capacity_bytes,
        disk_written_bytes: stats.disk_written_bytes,
        semantic,
    }))
}

pub(super) async fn get(call: Call) -> Result<Reply, Fault> {
    let hash = hash(&call.id)?;
    match cache(&call)?.exact.find(hash, clock_ms()).await {
        Some(entry) => Ok(Reply::ok(&EntryView::new(call.id.clone(), &entry))),
        None => Err(missing(&call.id)),
    }
}

pub(super) async fn delete(call: Call) -> Result<Reply, Fault> {
    let hash = hash(&call.id)?;
    if cache(&call)?.exact.find(hash, clock_ms()).await.is_none() {
        return Err(missing(&call.id));
    }
    note(&call, "delete", "cache_entry", call.id.clone()).await?;
    let was_there = cache(&call)?.exact.remove(hash).await;
    if let Some(shared) = &cache(&call)?.shared {
        shared.remove(hash).await.map_err(|_| not_shared("removed"))?;
    }
    if was_there { Ok(Deleted::reply(call.id)) } else { Err(missing(&call.id)) }
}

pub(super) async fn purge(call: Call) -> Result<Reply, Fault> {
    let asked: PurgeRequest = call.typed()?;
    let wrong = || {
        let text =
            format!("Name one of `all`: true, `scope` ({SCOPES}), `model`, or `namespace` with its `scope`.");
        Fault::invalid(None, text)
    };
    let scope = asked.scope.as_deref().map(|scope| scope_named(scope).ok_or_else(wrong));
    let what = match (asked.all, scope.transpose()?, &asked.model, &asked.namespace) {
        (true, None, None, None) => Purge::All,
        (false, Some((kind, id)), None, None) => Purge::Scope(kind, id),
        (false, None, Some(model), None) => Purge::Model(model),
        (false, Some(scope), None, Some(namespace)) => Purge::Namespace(scope, namespace),
        _ => return Err(wrong()),
    };
    let named = match what {
        Purge::All => "all".to_owned(),
        Purge::Scope(..) => asked.scope.clone().unwrap_or_default(),
        Purge::Model(model) => format!("model:{model}"),
        Purge::Namespace(_, namespace) => {
            format!("{}/{namespace}", asked.scope.as_deref().unwrap_or_default())
        }
    };
    cache(&call)?;
    note(&call, "purge", "cache", named).await?;
    make_void(cache(&call)?, what).await?;
    Ok(Reply::ok(&Purged { purged: true }))
}

/// Makes kept answers void, here and at the gateways that share them.
pub(super) async fn make_void(answers: &AnswerCache, what: Purge<'_>) -> Result<(), Fault> {
    answers.make_void(what).await.map_err(|error| {
        tracing::error!(%error, "purge");
        Fault::internal(
            "It is purged in this process, but could not be written to disk: see the log, and repeat it.",
        )
    })?;
    match &answers.shared {
        Some(shared) => shared.purge(&what).await.map_err(|_| not_shared("purged")),
        None => Ok(()),
    }
}

fn not_shared(done: &str) -> Fault {
    Fault::unavailable(&format!(
        "It is {done} in this process, but the cluster's Redis is away and the other gateways do not know: repeat it."
    ))
}

pub(super) fn cache(call: &Call) -> Result<&AnswerCache, Fault> {
    call.app
        .answers
        .as_ref()
        .ok_or_else(|| Fault::unavailable("There is no cache: add a `cache` section to the configuration."))
}

/// The audit log hears of it first. A gateway without a store has none.
pub(super) async fn note(
    call: &Call,
    action: &'static str,
    kind: &'static str,
    object: String,
) -> Result<(), Fault> {
    if call.app.storage.is_none() {
        return Ok(());
    }
    let change = call.change();
    call.store(move |store| async move { store.audit().note(&change, action, (kind, &object), "").await })
        .await
}

fn hash(id: &str) -> Result<u128, Fault> {
    let hash = Some(id).filter(|id| id.len() == 32).and_then(|id| u128::from_str_radix(id, 16).ok());
    hash.ok_or_else(|| {
        Fault::invalid(Some("id"), "A key is the 32 hexadecimal digits after `key=` in `cache-status`.")
    })
}

fn missing(id: &str) -> Fault {
    Fault::not_found(format!("Nothing is kept under {id}."))
}

impl EntryView {
    fn new(id: String, entry: &Arc<Entry>) -> Self {
        Self {
            id,
            created_ms: entry.created_ms,
            fresh_until_ms: entry.fresh_until_ms,
            stale_until_ms: entry.stale_until_ms,
            stream: entry.flags.contain(Flags::STREAMED),
            bytes: entry.len(),
            prompt_tokens: entry.usage.prompt,
            completion_tokens: entry.usage.completion,
            cost_micros: entry.cost.0,
            deployment: entry.origin.to_string(),
        }
    }
}

impl From<SemanticStats> for SemanticView {
    fn from(stats: SemanticStats) -> Self {
        Self {
            hits: stats.hits,
            audited_right: stats.audited_right,
            audited_wrong: stats.audited_wrong,
            objections: stats.objections,
            entries: stats.entries,
            bytes: stats.bytes,
            evictions: stats.evictions,
            open: stats.promise.is_open(),
            bound: stats.promise.bound,
            labels: stats.promise.labels,
            wrong: stats.promise.wrong,
        }
    }
}
