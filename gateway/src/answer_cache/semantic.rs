//! Answers to questions that mean the same: what of a request is the question, which kept answer may serve it, and what
//! is learnt when a fresh answer comes. Which that is decides the cache crate; vectors come from `embedders`.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use cache::exact::{Entry, Flags, Question};
use cache::semantic::{self, Candidate, Decision, SemanticCache, Signature, Threshold, Vector, compare};
use domain::Micros;
use providers::{KeptAnswer, Operation, last_question};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::embedders::{Embedders, EncoderCounts};
use super::{AnswerCache, clock_ms};
use crate::allowance::Allowance;
use crate::app::App;
use crate::config::Embedder;
use crate::keys::Principal;
use crate::request::Request;
use crate::snapshot::Model;

/// A longer request is not searched for its question.
const LONGEST_BODY: usize = 1 << 20;
/// Comparisons of answers at once, and hits that are asked upstream as well; beyond that nothing is learnt of one.
const COMPARISONS: usize = 64;
const AUDITS: usize = 16;
/// A vector that no request waits for is waited for so long.
const LATER: Duration = Duration::from_secs(5);
/// So many served answers may be objected to.
const OBJECTABLE: usize = 10_000;

/// The semantic side of the cache.
#[derive(Debug)]
pub struct SemanticAnswers {
    /// The index, and what was learnt.
    pub cache: SemanticCache,
    embedders: Embedders,
    /// What was served, to whom: the newest last.
    served: Mutex<VecDeque<Served>>,
    comparisons: Arc<Semaphore>,
    audits: Arc<Semaphore>,
    audit_cost: Micros,
    allowance: Allowance,
    counts: Counts,
}

#[derive(Debug)]
struct Served {
    request_id: String,
    principal: Arc<Principal>,
    candidate: Candidate,
}

#[derive(Debug, Default)]
struct Counts {
    hits: AtomicU64,
    audited_right: AtomicU64,
    audited_wrong: AtomicU64,
    objections: AtomicU64,
}

/// How the semantic cache stands; counts begin with the process.
#[derive(Clone, Copy, Debug)]
pub struct SemanticStats {
    /// Answers served.
    pub hits: u64,
    /// Of those that were asked upstream too: the answers agreed.
    pub audited_right: u64,
    /// They did not.
    pub audited_wrong: u64,
    /// Clients said that an answer was wrong.
    pub objections: u64,
    /// Questions in the index.
    pub entries: u64,
    /// What they take.
    pub bytes: u64,
    /// Questions that left it for others.
    pub evictions: u64,
    /// What the evidence promises of what is served.
    pub promise: Threshold,
    /// How the transformer does; None where none is wanted.
    pub encoder: Option<EncoderCounts>,
}

/// What a request means, and what was found for it.
#[derive(Clone, Debug)]
pub struct Meaning {
    partition: u128,
    signature: Signature,
    vector: Embedding,
    found: semantic::Lookup,
    /// How long the request has waited for its vector.
    pub waited: Duration,
}

/// A question's vector, or what is to become one.
#[derive(Clone, Debug)]
enum Embedding {
    Ready(Vector),
    /// It was not needed yet, or was late: it is made when there is an answer to keep, beside the requests.
    Later(Arc<str>),
}

impl Meaning {
    /// The candidate that serves, or would.
    pub fn candidate(&self) -> Option<&Candidate> {
        self.found.candidates.first()
    }

    fn is_audit(&self) -> bool {
        self.found.decision == Decision::Audit
    }
}

/// An answer that has just come.
pub struct Fresh<'a> {
    /// The hash it is kept under.
    pub hash: u128,
    /// What it answers.
    pub request: &'a Request,
    /// As it was sent to the client.
    pub pieces: &'a [Bytes],
}

impl SemanticAnswers {
    /// With this much for the audits of each key in a day.
    pub(super) fn new(settings: semantic::Settings, audit_cost: Micros, embedders: Embedders) -> Self {
        Self {
            cache: SemanticCache::new(settings),
            embedders,
            served: Mutex::default(),
            comparisons: Arc::new(Semaphore::new(COMPARISONS)),
            audits: Arc::new(Semaphore::new(AUDITS)),
            audit_cost,
            allowance: Allowance::default(),
            counts: Counts::default(),
        }
    }

    /// How it stands.
    pub fn stats(&self) -> SemanticStats {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        SemanticStats {
            hits: count(&self.counts.hits),
            audited_right: count(&self.counts.audited_right),
            audited_wrong: count(&self.counts.audited_wrong),
            objections: count(&self.counts.objections),
            entries: self.cache.len() as u64,
            bytes: self.cache.size_bytes() as u64,
            evictions: self.cache.evictions(),
            promise: self.cache.promise(),
            encoder: self.embedders.counts(),
        }
    }

    /// Remembers what was served, so that its client may object. A permit when it is to be asked upstream as well.
    pub fn served(
        &self,
        meaning: &Meaning,
        principal: &Arc<Principal>,
        request_id: &str,
    ) -> Option<OwnedSemaphorePermit> {
        self.counts.hits.fetch_add(1, Ordering::Relaxed);
        let candidate = meaning.candidate()?.clone();
        let served = Served { request_id: request_id.to_owned(), principal: principal.clone(), candidate };
        let mut all = self.served.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= OBJECTABLE {
            all.pop_front();
        }
        all.push_back(served);
        drop(all);
        let allows = || self.allowance.allows(&principal.id, self.audit_cost, clock_ms());
        let is_asked = meaning.is_audit() && allows();
        is_asked.then(|| self.audits.clone().try_acquire_owned().ok())?
    }

    /// An audit for this key has cost so much.
    pub fn charge(&self, principal: &Principal, cost: Micros) {
        self.allowance.spend(&principal.id, cost, clock_ms());
    }

    /// A client says whether an answer was right; false when it got none of that id from here. It can say so once.
    pub fn judge(&self, principal: &Principal, request_id: &str, is_right: bool) -> bool {
        let mut all = self.served.lock().unwrap_or_else(PoisonError::into_inner);
        let is_it = |served: &Served| served.request_id == request_id && served.principal.id == principal.id;
        let Some(served) = all.iter().rposition(is_it).and_then(|at| all.remove(at)) else { return false };
        drop(all);
        if !is_right {
            self.counts.objections.fetch_add(1, Ordering::Relaxed);
        }
        // Who is content seldom says so: praise is no evidence of how often answers are right.
        self.cache.learn(&served.candidate, is_right, !is_right);
        true
    }
}

impl AnswerCache {
    /// What a request means, and which kept questions are like it; None when it is not looked up by its meaning.
    pub async fn meaning(&self, principal: &Principal, model: &Model, request: &Request) -> Option<Meaning> {
        let semantic = self.semantic.as_deref()?;
        if !request.wants_one_text() || request.body.len() > LONGEST_BODY {
            return None;
        }
        let question = last_question(request.operation, &request.body)?;
        let signature = Signature::of(&question.text)?;
        let (before, after) =
            (request.body.get(..question.span.start)?, request.body.get(question.span.end..)?);
        let context = [before, b"null", after].concat();
        let embedder = semantic.embedders.for_model(model);
        // What one of them made is never compared with what another one did, nor judged by it.
        let salt = semantic.embedders.salt(embedder);
        let partition = self.key(principal, model, request, &context)?.hash ^ salt;
        let class = self.class(principal, model, request.operation)? ^ salt as u64;
        let (vector, waited) = semantic.embedding(question.text, embedder, partition).await?;
        let found = match &vector {
            Embedding::Ready(vector) => semantic.cache.lookup(partition, class, &signature, vector),
            Embedding::Later(..) => semantic::Lookup::default(),
        };
        Some(Meaning { partition, signature, vector, found, waited })
    }

    /// Questions that are judged together: of one scope, to one model.
    fn class(&self, principal: &Principal, model: &Model, operation: Operation) -> Option<u64> {
        let question = Question {
            scope: self.scope(principal),
            namespace: "",
            operation: operation.as_str(),
            model: model.name.as_str(),
            prompt_version: "",
            rest: &[],
            body: b"{}",
        };
        self.exact.keyer().key(&question).ok().map(|key| key.hash as u64)
    }

    /// The answer that serves a question. Candidates whose answer has gone go too.
    pub async fn alike(&self, meaning: &mut Meaning, now_ms: u64) -> Option<Arc<Entry>> {
        let semantic = self.semantic.as_deref()?;
        while let Some(candidate) = meaning.found.candidates.first() {
            if meaning.found.decision == Decision::Ask || !candidate.may_serve() {
                break;
            }
            let id = candidate.id;
            let is_answer =
                |entry: &Arc<Entry>| entry.fresh_until_ms > now_ms && !entry.flags.contain(Flags::REFUSED);
            match self.exact.find(id, now_ms).await.filter(is_answer) {
                Some(entry) => return Some(entry),
                None => {
                    semantic.cache.remove(meaning.partition, id);
                    meaning.found.candidates.remove(0);
                }
            }
        }
        meaning.found.decision = Decision::Ask;
        None
    }
}

impl SemanticAnswers {
    /// The vector of a question by the deadline, and how long that was waited for. None when it has none.
    async fn embedding(
        &self,
        text: String,
        embedder: Embedder,
        partition: u128,
    ) -> Option<(Embedding, Duration)> {
        if embedder == Embedder::Static {
            let vector = Vector::new(&self.embedders.table(&text)?)?;
            return Some((Embedding::Ready(vector), Duration::ZERO));
        }
        let began = Instant::now();
        // Where nothing is kept there is nothing to compare with, and nothing to wait for.
        let made = if self.cache.knows(partition) {
            Box::pin(self.embedders.transformed(&text, None)).await
        } else {
            None
        };
        let embedding = match made.as_deref().and_then(Vector::new) {
            Some(vector) => Embedding::Ready(vector),
            None => Embedding::Later(text.into()),
        };
        Some((embedding, began.elapsed()))
    }
}

/// Keeps a question whose answer was kept, and learns from the answer whether those to questions like it would have done.
pub fn learn(app: &Arc<App>, meaning: Meaning, fresh: &Fresh<'_>) {
    let Some(semantic) = app.answers.as_ref().and_then(|answers| answers.semantic.clone()) else { return };
    let Meaning { partition, signature, vector, found, .. } = meaning;
    let id = fresh.hash;
    match vector {
        Embedding::Ready(vector) => {
            semantic.cache.insert(partition, semantic::Entry { id, vector, signature });
        }
        Embedding::Later(text) => {
            let Ok(permit) = semantic.comparisons.clone().try_acquire_owned() else { return };
            tokio::spawn(async move {
                let made = semantic.embedders.transformed(&text, Some(LATER)).await;
                if let Some(vector) = made.as_deref().and_then(Vector::new) {
                    semantic.cache.insert(partition, semantic::Entry { id, vector, signature });
                }
                drop(permit);
            });
            return;
        }
    }
    if found.candidates.is_empty() {
        return;
    }
    let Ok(permit) = semantic.comparisons.clone().try_acquire_owned() else { return };
    let (operation, text) = (fresh.request.operation, fresh.request.text_of(fresh.pieces));
    let app = app.clone();
    tokio::spawn(async move {
        if let (Some(text), Some(answers)) = (text, &app.answers) {
            compare_all(answers, &semantic, operation, &found, &text).await;
        }
        drop(permit);
    });
}

async fn compare_all(
    answers: &AnswerCache,
    semantic: &SemanticAnswers,
    operation: Operation,
    found: &semantic::Lookup,
    fresh: &str,
) {
    for (at, candidate) in found.candidates.iter().enumerate() {
        let Some(entry) = answers.exact.find(candidate.id, clock_ms()).await else {
            semantic.cache.remove(candidate.partition, candidate.id);
            continue;
        };
        let kept = KeptAnswer {
            operation,
            pieces: &entry.pieces,
            is_stream: entry.flags.contain(Flags::STREAMED),
            has_usage: entry.flags.contain(Flags::WITH_USAGE),
            usage: entry.usage,
        };
        let Some(kept) = kept.text() else { continue };
        let is_right = compare::agree(&kept, fresh);
        semantic.cache.learn(candidate, is_right, at == 0);
        if at == 0 && found.decision == Decision::Audit {
            let counts = &semantic.counts;
            let counter = if is_right { &counts.audited_right } else { &counts.audited_wrong };
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }
}
