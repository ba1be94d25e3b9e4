//! Replays a stream of questions through the cache as the gateway would: looks up, serves or asks, learns from what was
//! asked, keeps it. What is true is known here, so that hits can be counted as right or wrong.

use std::collections::HashMap;

use super::decision::Decision;
use super::evidence::{Threshold, upper_bound};
use super::partition::Entry;
use super::signature::Signature;
use super::store::{SemanticCache, Settings};
use super::vector::Vector;

#[cfg(test)]
pub(super) mod stream;
#[cfg(test)]
pub(super) mod tests;

/// Everything in a stream is of one partition and one class.
const PARTITION: u128 = 1;
const CLASS: u64 = 1;
/// So many of a lookup's candidates are compared with the fresh answer.
pub const LEARNT_CANDIDATES: usize = 8;

/// What became of the requests so far.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Tally {
    /// Requests.
    pub requests: u64,
    /// Answered by the cache, repeats to the letter among them.
    pub hits: u64,
    /// Answered with an answer of another question.
    pub false_hits: u64,
    /// Repeats to the letter, which the exact cache serves.
    pub exact_hits: u64,
    /// Hits that were asked upstream as well.
    pub audits: u64,
}

impl Tally {
    /// The share of all requests that were hits.
    pub fn hit_rate(&self) -> f64 {
        self.hits as f64 / self.requests.max(1) as f64
    }

    /// The share of hits that were false.
    pub fn false_hit_rate(&self) -> f64 {
        self.false_hits as f64 / self.hits.max(1) as f64
    }

    /// The upper bound of the share of false hits that what was seen allows.
    pub fn seen_bound(&self) -> f64 {
        let whole = |count: u64| u32::try_from(count).unwrap_or(u32::MAX);
        if self.hits == 0 { 0.0 } else { upper_bound(whole(self.false_hits), whole(self.hits)) }
    }
}

/// A replay under way.
#[derive(Debug)]
pub struct Replay {
    cache: SemanticCache,
    tally: Tally,
    /// What each kept question's answer is.
    answers: Vec<Kept>,
    exact: HashMap<String, usize>,
}

#[derive(Debug)]
struct Kept {
    truth: String,
    answer: String,
}

/// One request of a stream.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The question.
    pub prompt: &'a str,
    /// Requests with an equal one may share an answer.
    pub truth: &'a str,
    /// What the provider would answer.
    pub answer: &'a str,
    /// The question's vector.
    pub vector: Option<&'a [f32]>,
}

impl Replay {
    /// With an empty cache.
    pub fn new(settings: Settings) -> Self {
        Self {
            cache: SemanticCache::new(settings),
            tally: Tally::default(),
            answers: Vec::new(),
            exact: HashMap::new(),
        }
    }

    /// One request. `agree` says whether two answers serve the same question; the cache learns from nothing else.
    pub fn step(&mut self, request: Request<'_>, agree: impl Fn(&str, &str) -> bool) {
        self.tally.requests += 1;
        if let Some(kept) = self.exact.get(request.prompt) {
            let is_false = self.answers.get(*kept).is_some_and(|kept| kept.truth != request.truth);
            self.tally.hits += 1;
            self.tally.exact_hits += 1;
            self.tally.false_hits += u64::from(is_false);
            return;
        }
        let signature = Signature::of(request.prompt);
        let vector = request.vector.and_then(Vector::new);
        let known = signature.zip(vector);
        let lookup =
            known.as_ref().map(|(signature, vector)| self.cache.lookup(PARTITION, CLASS, signature, vector));
        let lookup = lookup.unwrap_or_default();
        if let Some(served) = lookup.served() {
            let is_false = self.kept(served.id).is_none_or(|kept| kept.truth != request.truth);
            self.tally.hits += 1;
            self.tally.false_hits += u64::from(is_false);
            if lookup.decision == Decision::Hit {
                return;
            }
            self.tally.audits += 1;
        }
        for (at, candidate) in lookup.candidates.iter().take(LEARNT_CANDIDATES).enumerate() {
            let is_right = self.kept(candidate.id).is_some_and(|kept| agree(&kept.answer, request.answer));
            self.cache.learn(candidate, is_right, at == 0);
        }
        if lookup.decision == Decision::Ask {
            let id = self.answers.len();
            self.exact.insert(request.prompt.to_owned(), id);
            self.answers.push(Kept { truth: request.truth.to_owned(), answer: request.answer.to_owned() });
            if let Some((signature, vector)) = known {
                self.cache.insert(PARTITION, Entry { id: id as u128, vector, signature });
            }
        }
    }

    fn kept(&self, id: u128) -> Option<&Kept> {
        usize::try_from(id).ok().and_then(|id| self.answers.get(id))
    }

    /// What became of the requests so far.
    pub fn tally(&self) -> Tally {
        self.tally
    }

    /// What the cache promises of what it serves now.
    pub fn promise(&self) -> Threshold {
        self.cache.promise()
    }
}

/// Replays a stream with one fixed threshold on the cosine and nothing else, as caches without a guard do.
pub fn fixed_threshold(requests: &[Request<'_>], threshold: f32) -> Tally {
    let mut tally = Tally::default();
    let mut kept: Vec<(&str, Vec<f32>)> = Vec::new();
    for request in requests {
        tally.requests += 1;
        let Some(vector) = request.vector else { continue };
        let cosine = |other: &[f32]| vector.iter().zip(other).map(|(one, other)| one * other).sum::<f32>();
        let best = kept
            .iter()
            .map(|(truth, other)| (cosine(other), *truth))
            .max_by(|one, other| one.0.total_cmp(&other.0))
            .filter(|(similarity, _)| *similarity >= threshold);
        match best {
            Some((_, truth)) => {
                tally.hits += 1;
                tally.false_hits += u64::from(truth != request.truth);
            }
            None => kept.push((request.truth, vector.to_vec())),
        }
    }
    tally
}
