//! Has this been answered before? In memory nothing is waited for; what is on disk is.

use std::sync::Arc;
use std::time::Instant;

use cache::exact::{Entry, Lookup, Peek};

use crate::answer_cache::{AnswerCache, Mark, Meaning, Reason, Why, clock_ms, refusal};
use crate::app::App;
use crate::error::GatewayError;
use crate::keys::Principal;
use crate::request::{Record, Request};

/// What the cache has for a request.
#[derive(Debug, Default)]
pub struct Found {
    /// Its answer.
    pub fresh: Option<Arc<Entry>>,
    /// That answer is past its time, and a new one is to be fetched.
    pub revalidates: bool,
    /// An answer that is better than none.
    pub stale: Option<Arc<Entry>>,
    /// Under this an answer is kept.
    pub fill: Option<Lookup>,
    /// What was looked up besides the request itself: with `fresh`, that is the answer to another wording.
    pub meaning: Option<Box<Meaning>>,
}

/// Looks up what may be looked up.
///
/// # Errors
/// [`GatewayError::NotKept`] for a client that wants a kept answer or none; a refusal that is kept.
pub async fn run(
    app: &App,
    principal: &Principal,
    request: &Request,
    record: &mut Record,
) -> Result<Found, GatewayError> {
    let Some(answers) = &app.answers else { return Ok(Found::default()) };
    let controls = &request.controls;
    let lookup = record.model.as_ref().and_then(|model| answers.lookup(principal, model, request));
    let Some(lookup) = lookup else {
        record.cache = Some(Mark::Bypass);
        return only_if_cached(request, None, record).map(|()| Found::default());
    };
    let hash = lookup.key().hash;
    let fill = (!controls.no_store).then_some(lookup);
    let now = clock_ms();
    if controls.no_cache {
        record.cache = Some(Mark::Declined { hash, why: answers.why_declined(&lookup, now) });
        only_if_cached(request, Some(hash), record)?;
        return Ok(Found { fill, ..Found::default() });
    }
    let mut found = find(answers, &lookup, now, record).await;
    if answers.is_shared() && found.as_ref().is_none_or(|entry| entry.fresh_until_ms <= now) {
        found = find_shared(answers, principal, request, &lookup, record).await.or(found);
    }
    let is_young = |entry: &Arc<Entry>| controls.takes(entry, now);
    let why = Why::of(found.as_deref(), now);
    let found = found.filter(is_young);
    match found {
        Some(entry) if entry.fresh_until_ms > now => {
            record.cache = Some(hit(hash, &entry, now));
            match refusal(&entry) {
                Some(refusal) => Err(refusal),
                None => Ok(Found { fresh: Some(entry), ..Found::default() }),
            }
        }
        Some(entry) if answers.takes_stale(&entry, now, false) => {
            record.cache = Some(stale(hash, &entry, now, None));
            let revalidates = fill.is_some() && !controls.only_if_cached;
            Ok(Found { fresh: Some(entry), revalidates, fill, ..Found::default() })
        }
        old => {
            let (alike, meaning) = find_alike(answers, principal, request, record, now).await;
            if alike.as_ref().is_some_and(is_young) {
                return Ok(Found { fresh: alike, fill, meaning, ..Found::default() });
            }
            record.cache = Some(Mark::Miss { hash, why });
            only_if_cached(request, Some(hash), record)?;
            let stale = old.filter(|entry| answers.takes_stale(entry, now, true));
            Ok(Found { stale, fill, meaning, ..Found::default() })
        }
    }
}

/// How a hit is told of.
pub fn hit(hash: u128, entry: &Entry, now_ms: u64) -> Mark {
    let (age, ttl) = age_and_ttl(entry, now_ms);
    Mark::Hit { hash, age, ttl }
}

/// How an answer past its time is told of.
pub fn stale(hash: u128, entry: &Entry, now_ms: u64, failed: Option<u16>) -> Mark {
    let (age, ttl) = age_and_ttl(entry, now_ms);
    Mark::Stale { hash, age, ttl, failed }
}

fn age_and_ttl(entry: &Entry, now_ms: u64) -> (u64, i64) {
    let age = now_ms.saturating_sub(entry.created_ms) / 1_000;
    (age, entry.fresh_until_ms.cast_signed().saturating_sub(now_ms.cast_signed()) / 1_000)
}

/// The answer to another wording, and what the question means. Without `fill` nothing is learnt of the question either.
async fn find_alike(
    answers: &AnswerCache,
    principal: &Principal,
    request: &Request,
    record: &mut Record,
    now: u64,
) -> (Option<Arc<Entry>>, Option<Box<Meaning>>) {
    let Some(model) = record.model.clone() else { return (None, None) };
    // Boxed: few requests get here, and it would be part of every request's future.
    let meaning = Box::pin(answers.meaning(principal, &model, request)).await;
    let Some(mut meaning) = meaning.map(Box::new) else { return (None, None) };
    record.waited += meaning.waited;
    let waiting = Instant::now();
    let entry = Box::pin(answers.alike(&mut meaning, now)).await;
    record.waited += waiting.elapsed();
    if let (Some(entry), Some(candidate)) = (&entry, meaning.candidate()) {
        let (age, ttl) = age_and_ttl(entry, now);
        record.cache = Some(Mark::Semantic { hash: candidate.id, age, ttl, reason: Reason::from(candidate) });
    }
    (entry, Some(meaning))
}

async fn find(answers: &AnswerCache, lookup: &Lookup, now: u64, record: &mut Record) -> Option<Arc<Entry>> {
    match answers.exact.peek(lookup, now) {
        Peek::Hit(entry) => Some(entry),
        Peek::Miss => None,
        Peek::OnDisk => {
            let waiting = Instant::now();
            let entry = Box::pin(answers.exact.load(lookup, now)).await;
            record.waited += waiting.elapsed();
            entry
        }
    }
}

/// What another gateway of the cluster has.
async fn find_shared(
    answers: &AnswerCache,
    principal: &Principal,
    request: &Request,
    lookup: &Lookup,
    record: &mut Record,
) -> Option<Arc<Entry>> {
    let model = record.model.clone()?;
    Box::pin(answers.fetch(principal, &model, request, lookup, record)).await
}

fn only_if_cached(request: &Request, hash: Option<u128>, record: &mut Record) -> Result<(), GatewayError> {
    if request.controls.only_if_cached {
        record.cache = Some(Mark::Unserved { hash });
        return Err(GatewayError::NotKept);
    }
    Ok(())
}
