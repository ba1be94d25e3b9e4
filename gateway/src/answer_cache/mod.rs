//! Answers that are kept for whoever asks the same again: what of a request is looked up, for whom an answer is kept and
//! for how long, and what passes by. How it is kept is the cache crate's.

mod audit;
mod controls;
mod embedders;
mod keeper;
mod mark;
mod open;
mod refusal;
mod saver;
mod semantic;
mod shared;
mod warm;

use std::sync::Arc;

use cache::exact::{Entry, ExactCache, Flags, Key, Lookup, NotPurged, Purge, Question};
use providers::{Operation, has_both_modes};

use crate::config::{CacheScope, ExactCacheConfig, Sampled};
use crate::error::GatewayError;
use crate::keys::Principal;
use crate::ledger::now_ms;
use crate::request::{Record, Request};
use crate::snapshot::Model;

pub use audit::Nobody;
pub use controls::Controls;
pub use embedders::{EncoderCounts, minilm_folder, open_minilm};
pub use keeper::Keeper;
pub use mark::{Mark, Reason, Why};
pub use open::open;
pub use refusal::read as refusal;
pub use semantic::{Fresh, Meaning, SemanticAnswers, SemanticStats, learn};
pub use shared::SharedAnswers;
pub use warm::{SCOPES, WarmEntry, scope as scope_named};

/// The process does not wait longer for the disk when it ends.
const CLOSING_TIME: std::time::Duration = std::time::Duration::from_secs(5);

/// The answers that are kept, and the rules for it.
#[derive(Debug)]
pub struct AnswerCache {
    /// The entries.
    pub exact: Arc<ExactCache>,
    /// Which of them answer other wordings; None unless the configuration wants that.
    pub semantic: Option<Arc<SemanticAnswers>>,
    /// What other gateways have; None without a cluster.
    pub shared: Option<SharedAnswers>,
    /// Writes what that learns.
    saver: Option<saver::Saver>,
    rules: ExactCacheConfig,
}

/// Now, as the cache counts time.
pub fn clock_ms() -> u64 {
    u64::try_from(now_ms()).unwrap_or_default()
}

/// Makes kept answers void in both.
async fn purge(
    exact: &Arc<ExactCache>,
    semantic: Option<&SemanticAnswers>,
    what: Purge<'_>,
) -> Result<(), NotPurged> {
    // What the index has of them it would find gone, but it need not know of them that long.
    if let Some(semantic) = semantic {
        semantic.cache.clear();
    }
    exact.purge(what).await
}

impl AnswerCache {
    /// The lookup of a request; None when its answer is neither looked up nor kept.
    pub fn lookup(&self, principal: &Principal, model: &Model, request: &Request) -> Option<Lookup> {
        if !self.concerns(model, request) {
            return None;
        }
        self.key(principal, model, request, &request.body).map(|key| self.exact.lookup(key))
    }

    fn scope<'a>(&self, principal: &'a Principal) -> (&'static str, &'a str) {
        match (self.rules.scope, &principal.organization, &principal.team) {
            (CacheScope::Global, ..) => ("global", ""),
            (CacheScope::Organization, Some(organization), _) => ("organization", &**organization),
            (CacheScope::Organization | CacheScope::Team, _, Some(team)) => ("team", &**team),
            (CacheScope::Organization | CacheScope::Team | CacheScope::Key, ..) => ("key", &*principal.id),
        }
    }

    /// What holds at least the answers of this key or team; without them, everything.
    pub fn holding<'a>(&self, key: Option<&'a str>, team: Option<&'a str>) -> Purge<'a> {
        match (self.rules.scope, key, team) {
            (CacheScope::Key, Some(key), _) => Purge::Scope("key", key),
            (CacheScope::Team, None, Some(team)) => Purge::Scope("team", team),
            _ => Purge::All,
        }
    }

    /// Makes kept answers void.
    ///
    /// # Errors
    /// When that cannot be written to disk; in this process it holds all the same.
    pub async fn make_void(&self, what: Purge<'_>) -> Result<(), NotPurged> {
        purge(&self.exact, self.semantic.as_deref(), what).await
    }

    /// The key of a request with this body, or with a part of it.
    fn key(&self, principal: &Principal, model: &Model, request: &Request, body: &[u8]) -> Option<Key> {
        self.key_in(self.scope(principal), model, request, body)
    }

    fn key_in(&self, scope: (&str, &str), model: &Model, request: &Request, body: &[u8]) -> Option<Key> {
        let mut rest: Vec<(&str, &[u8])> = vec![("asked", request.head.model.as_bytes())];
        rest.extend(request.query.as_deref().map(|query| ("query", query.as_bytes())));
        rest.extend(
            crate::coalesce::headers_with_effect(request)
                .map(|(name, value)| (name.as_str(), value.as_bytes())),
        );
        // What has one mode only is kept for it.
        if !has_both_modes(request.operation) && request.head.stream {
            rest.push(("stream", b""));
        }
        let question = Question {
            scope,
            namespace: &request.controls.namespace,
            operation: request.operation.as_str(),
            model: model.name.as_str(),
            prompt_version: "",
            rest: &rest,
            body,
        };
        self.exact.keyer().key(&question).ok()
    }

    /// The process ends: what was learnt is written. Waits for the disk.
    pub fn finish(&self) {
        if let Some(saver) = &self.saver {
            saver.finish();
        }
        // It waits on its own threads, which none that drives async tasks may do.
        let (exact, (closed, waits)) = (self.exact.clone(), std::sync::mpsc::channel());
        let closing = std::thread::Builder::new().name("cache-close".to_owned()).spawn(move || {
            exact.close();
            let _ = closed.send(());
        });
        if closing.is_err() || waits.recv_timeout(CLOSING_TIME).is_err() {
            tracing::warn!("the cache could not be closed in time: what was kept last may be lost");
        }
    }

    fn concerns(&self, model: &Model, request: &Request) -> bool {
        let (caching, controls) = (&request.head.caching, &request.controls);
        let is_kept = matches!(
            request.operation,
            Operation::ChatCompletions
                | Operation::Completions
                | Operation::Embeddings
                | Operation::Messages
                | Operation::Responses
                | Operation::Rerank
                | Operation::Moderations
        );
        let is_generated =
            !matches!(request.operation, Operation::Embeddings | Operation::Rerank | Operation::Moderations);
        let may_vary = is_generated && !caching.is_steady && self.rules.sampled == Sampled::Off;
        is_kept
            && model.caches
            && !(controls.no_cache && controls.no_store)
            && !caching.is_stateful
            && (controls.opted_in || !(may_vary || caching.has_tools && !self.rules.tools))
    }

    /// Why a request goes on that takes no kept answer: is there one? Nothing is read from the disk for it.
    pub fn why_declined(&self, lookup: &Lookup, now_ms: u64) -> Why {
        let kept = self.exact.look_again(lookup, now_ms);
        if kept.is_none() && self.exact.may_be_on_disk(lookup) {
            return Why::Request;
        }
        Why::of(kept.as_deref(), now_ms)
    }

    /// The answer to a request that missed it a moment ago.
    pub fn just_kept(&self, lookup: &Lookup, controls: &Controls) -> Option<Arc<Entry>> {
        let now = clock_ms();
        let entry = self.exact.look_again(lookup, now)?;
        (entry.fresh_until_ms > now && controls.takes(&entry, now)).then_some(entry)
    }

    /// May this answer be served while a new one is fetched, or when no provider has one?
    pub fn takes_stale(&self, entry: &Entry, now_ms: u64, failed: bool) -> bool {
        let rules = &self.rules;
        let allowed = if failed { rules.stale_if_error } else { rules.stale_while_revalidate };
        u128::from(now_ms.saturating_sub(entry.fresh_until_ms)) < allowed.0.as_millis()
    }

    fn longest_stale(&self) -> std::time::Duration {
        self.rules.stale_if_error.0.max(self.rules.stale_while_revalidate.0)
    }

    /// Keeps a provider's refusal of the request itself, unless there is an answer.
    pub fn refused(&self, lookup: &Lookup, error: &GatewayError) {
        let now = clock_ms();
        let ttl_ms = u64::try_from(self.rules.negative_ttl.0.as_millis()).unwrap_or(u64::MAX);
        if let Some(entry) = refusal::kept(error, now, ttl_ms)
            && self.exact.look_again(lookup, now).is_none()
        {
            self.exact.keep(lookup, entry);
        }
    }

    /// How long the call for an answer goes on that nobody waits for any more.
    pub fn outlives(&self) -> std::time::Duration {
        self.rules.outlives.0
    }

    /// An answer that was given in full, as it is kept.
    pub fn entry(&self, request: &Request, record: &Record, pieces: &[bytes::Bytes]) -> Entry {
        let now = clock_ms();
        let millis = |time: std::time::Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let fresh_until_ms = now.saturating_add(millis(request.controls.ttl.unwrap_or(self.rules.ttl.0)));
        let flag = |is_set: bool, flag: Flags| if is_set { flag } else { Flags::default() };
        Entry {
            created_ms: now,
            fresh_until_ms,
            stale_until_ms: fresh_until_ms.saturating_add(millis(self.longest_stale())),
            flags: flag(request.head.stream, Flags::STREAMED)
                .with(flag(request.head.stream && request.head.include_usage, Flags::WITH_USAGE)),
            status: record.status,
            usage: record.usage.unwrap_or_default(),
            cost: record.cost().unwrap_or_default(),
            origin: record.deployment.as_ref().map_or_else(Box::default, |it| it.id.as_str().into()),
            pieces: Entry::gather(pieces),
        }
    }
}
