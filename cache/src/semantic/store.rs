//! The semantic cache: partitions of entries, classes of evidence, and the decision whether a kept answer may serve.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::class::Class;
use super::decision::{Candidate, Decision, Lookup, Nearest};
use super::evidence::{Needs, Threshold};
use super::guard::{Objection, Rules, compare};
use super::partition::{Entry, Neighbour, Partition};
use super::signature::Signature;
use super::stem::mix;
use super::vector::Vector;
use super::wordings::Wordings;

/// So many of the nearest entries are compared word by word.
const COMPARED: usize = 32;
/// So many that pass are kept as candidates.
const CANDIDATES: usize = 8;
/// Partitions lie in so many maps, each with its own lock.
const SHARDS: usize = 16;
/// A class is a model of a scope; the least used one goes beyond this number.
const MAX_CLASSES: usize = 1024;

/// How the cache behaves.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// The share of hits that may be wrong.
    pub max_error: f64,
    /// The share of hits that are also asked upstream.
    pub audit_share: f64,
    /// Memory of all entries together.
    pub max_bytes: usize,
    /// Entries of one partition.
    pub max_partition_entries: usize,
    /// Which rules the guard has.
    pub rules: Rules,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            max_error: 0.01,
            audit_share: 0.05,
            max_bytes: 128 << 20,
            max_partition_entries: 100_000,
            rules: Rules::default(),
        }
    }
}

type Shard = RwLock<HashMap<u128, Arc<RwLock<Partition>>>>;

/// Finds kept answers by what questions mean.
#[derive(Debug)]
pub struct SemanticCache {
    settings: Settings,
    needs: Needs,
    shards: [Shard; SHARDS],
    classes: RwLock<HashMap<u64, Arc<RwLock<Class>>>>,
    size_bytes: AtomicUsize,
    evictions: AtomicU64,
    /// Counts what is worth to be saved.
    changes: AtomicU64,
    /// Counts lookups: the clock of partitions, and the lot by which audits are drawn.
    ticks: AtomicU64,
}

impl SemanticCache {
    /// An empty one.
    pub fn new(settings: Settings) -> Self {
        Self {
            needs: Needs::new(settings.max_error),
            settings,
            shards: Default::default(),
            classes: RwLock::default(),
            size_bytes: AtomicUsize::new(0),
            evictions: AtomicU64::new(0),
            changes: AtomicU64::new(0),
            ticks: AtomicU64::new(0),
        }
    }

    /// Looks for an answer to a question. `partition` stands for everything but the question, `class` for the questions
    /// that are judged together.
    pub fn lookup(&self, partition: u128, class: u64, signature: &Signature, vector: &Vector) -> Lookup {
        let tick = self.ticks.fetch_add(1, Ordering::Relaxed);
        let Some(entries) = self.partition(partition) else { return Lookup::default() };
        let judge = self.class(class);
        let entries = read(&entries);
        entries.used_at.store(tick, Ordering::Relaxed);
        let judge = judge.as_ref().map(|judge| read(judge));
        let place = Place { partition, class };
        let mut lookup = Lookup::default();
        for neighbour in entries.nearest(vector, COMPARED) {
            let judged = self.judge(place, signature, &neighbour, judge.as_deref());
            if lookup.nearest.is_none() {
                let objection = judged.as_ref().err().copied();
                lookup.nearest =
                    Some(Nearest { id: neighbour.id, similarity: neighbour.similarity, objection });
            }
            lookup.candidates.extend(judged.ok());
            if lookup.candidates.len() >= CANDIDATES {
                break;
            }
        }
        lookup.candidates.sort_by(|one, other| other.score.total_cmp(&one.score));
        lookup.decision = match lookup.candidates.iter().position(Candidate::may_serve) {
            None => Decision::Ask,
            Some(at) => {
                lookup.candidates.swap(0, at);
                if let Some(first) = lookup.candidates.first() {
                    entries.mark_used(first.id);
                }
                if self.is_audited(tick) { Decision::Audit } else { Decision::Hit }
            }
        };
        lookup
    }

    fn judge(
        &self,
        place: Place,
        signature: &Signature,
        neighbour: &Neighbour<'_>,
        judge: Option<&Class>,
    ) -> Result<Candidate, Objection> {
        let difference = compare(signature, neighbour.signature, self.settings.rules)?;
        let similarity = neighbour.similarity;
        let (score, threshold) = match judge {
            Some(judge) => (judge.wordings.score(&difference, similarity), judge.evidence.threshold()),
            None => (Wordings::default().score(&difference, similarity), Threshold::CLOSED),
        };
        Ok(Candidate {
            id: neighbour.id,
            partition: place.partition,
            class: place.class,
            similarity,
            score,
            threshold,
            is_vetoed: score <= neighbour.veto,
            difference,
        })
    }

    fn is_audited(&self, tick: u64) -> bool {
        let lot = mix(tick.wrapping_add(0x5eed)) >> 11;
        (lot as f64) < self.settings.audit_share * (1_u64 << 53) as f64
    }

    /// Whether a partition has entries, so that a lookup may find one.
    pub fn knows(&self, partition: u128) -> bool {
        self.partition(partition).is_some_and(|entries| read(&entries).len() > 0)
    }

    /// Keeps a question whose answer lies under `entry.id`.
    pub fn insert(&self, partition: u128, entry: Entry) {
        self.changes.fetch_add(1, Ordering::Relaxed);
        let grown = entry.size_bytes();
        let found = {
            let mut shard = write(self.shard(partition));
            Arc::clone(shard.entry(partition).or_default())
        };
        let (before, after) = {
            let mut entries = write(&found);
            let before = entries.size_bytes();
            let mut evicted = 0;
            while entries.len() >= self.settings.max_partition_entries.max(1) && entries.evict_one() > 0 {
                evicted += 1;
            }
            self.evictions.fetch_add(evicted, Ordering::Relaxed);
            entries.used_at.store(self.ticks.load(Ordering::Relaxed), Ordering::Relaxed);
            entries.insert(entry);
            (before, entries.size_bytes())
        };
        self.resize(before, after);
        if self.size_bytes.load(Ordering::Relaxed) + grown > self.settings.max_bytes {
            self.shrink(partition);
        }
    }

    /// Forgets an entry, whose answer is gone.
    pub fn remove(&self, partition: u128, id: u128) {
        let Some(entries) = self.partition(partition) else { return };
        let freed = write(&entries).remove(id);
        self.resize(freed, 0);
    }

    /// Forgets everything but what was learnt.
    pub fn clear(&self) {
        for shard in &self.shards {
            write(shard).clear();
        }
        self.size_bytes.store(0, Ordering::Relaxed);
    }

    /// Learns whether a candidate's answer would have been right. Only the first candidate of a lookup, the one that was
    /// or would have been served, may count as evidence; the others tell what exchanges of words do.
    pub fn learn(&self, candidate: &Candidate, is_right: bool, is_evidence: bool) {
        self.changes.fetch_add(1, Ordering::Relaxed);
        let class = self.class_or_new(candidate.class);
        {
            let mut class = write(&class);
            if is_evidence && !candidate.is_vetoed {
                class.evidence.push(candidate.score, is_right, &self.needs);
            }
            class.wordings.learn(&candidate.difference, candidate.similarity, is_right);
        }
        if !is_right {
            self.veto(candidate);
        }
    }

    /// Stops an entry from serving questions that are no more alike than this one.
    fn veto(&self, candidate: &Candidate) {
        self.veto_at(candidate.partition, candidate.id, candidate.score);
    }

    pub(super) fn veto_at(&self, partition: u128, id: u128, score: f32) {
        if let Some(entries) = self.partition(partition) {
            write(&entries).veto(id, score);
        }
    }

    /// The threshold of a class.
    pub fn threshold(&self, class: u64) -> Threshold {
        self.class(class).map_or(Threshold::CLOSED, |class| read(&class).evidence.threshold())
    }

    /// The worst bound of what is served in any class, and how many labels of served answers said wrong, of how many.
    pub fn promise(&self) -> Threshold {
        let mut worst = Threshold { bound: 0.0, ..Threshold::CLOSED };
        for (_, class) in self.classes() {
            let threshold = read(&class).evidence.threshold();
            if threshold.is_open() {
                worst.bound = worst.bound.max(threshold.bound);
                worst.score = worst.score.min(threshold.score);
                worst.labels += threshold.labels;
                worst.wrong += threshold.wrong;
            }
        }
        worst
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.shards
            .iter()
            .map(|shard| read(shard).values().map(|entries| read(entries).len()).sum::<usize>())
            .sum()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// About how much memory entries take.
    pub fn size_bytes(&self) -> usize {
        self.size_bytes.load(Ordering::Relaxed)
    }

    /// Changes when there is something new to save.
    pub fn changes(&self) -> u64 {
        self.changes.load(Ordering::Relaxed)
    }

    /// How many entries had to go for want of room.
    pub fn evictions(&self) -> u64 {
        self.evictions.load(Ordering::Relaxed)
    }

    /// Makes room for a sixteenth: whole partitions go, those that were not asked for longest first, and of the one that
    /// is growing single entries.
    fn shrink(&self, growing: u128) {
        let goal = self.settings.max_bytes - self.settings.max_bytes / 16;
        let mut oldest: Vec<(u64, u128)> = Vec::new();
        for shard in &self.shards {
            let shard = read(shard);
            oldest.extend(
                shard.iter().map(|(key, entries)| (read(entries).used_at.load(Ordering::Relaxed), *key)),
            );
        }
        oldest.sort_unstable();
        for (_, partition) in oldest {
            if self.size_bytes() <= goal {
                return;
            }
            if partition == growing {
                continue;
            }
            if let Some(entries) = write(self.shard(partition)).remove(&partition) {
                let entries = read(&entries);
                self.evictions.fetch_add(entries.len() as u64, Ordering::Relaxed);
                self.resize(entries.size_bytes(), 0);
            }
        }
        let Some(entries) = self.partition(growing) else { return };
        let mut entries = write(&entries);
        while self.size_bytes() > goal {
            let freed = entries.evict_one();
            if freed == 0 {
                return;
            }
            self.evictions.fetch_add(1, Ordering::Relaxed);
            self.resize(freed, 0);
        }
    }

    fn resize(&self, before: usize, after: usize) {
        if after >= before {
            self.size_bytes.fetch_add(after - before, Ordering::Relaxed);
        } else {
            // A partition that was evicted while it grew may have been counted off already.
            let freed = before - after;
            let less = |size: usize| Some(size.saturating_sub(freed));
            let _ = self.size_bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
        }
    }

    fn shard(&self, partition: u128) -> &Shard {
        let [first, rest @ ..] = &self.shards;
        rest.get(mix(partition as u64) as usize % SHARDS).unwrap_or(first)
    }

    fn partition(&self, partition: u128) -> Option<Arc<RwLock<Partition>>> {
        read(self.shard(partition)).get(&partition).cloned()
    }

    pub(super) fn partitions(&self) -> Vec<(u128, Arc<RwLock<Partition>>)> {
        let all = |shard: &Shard| -> Vec<_> {
            read(shard).iter().map(|(key, value)| (*key, Arc::clone(value))).collect()
        };
        self.shards.iter().flat_map(all).collect()
    }

    fn class(&self, class: u64) -> Option<Arc<RwLock<Class>>> {
        read(&self.classes).get(&class).cloned()
    }

    pub(super) fn classes(&self) -> Vec<(u64, Arc<RwLock<Class>>)> {
        read(&self.classes).iter().map(|(key, value)| (*key, Arc::clone(value))).collect()
    }

    pub(super) fn class_or_new(&self, class: u64) -> Arc<RwLock<Class>> {
        if let Some(found) = self.class(class) {
            return found;
        }
        let mut classes = write(&self.classes);
        if classes.len() >= MAX_CLASSES {
            let least = classes
                .iter()
                .min_by_key(|(_, class)| read(class).evidence.labels.len())
                .map(|(key, _)| *key);
            least.map(|least| classes.remove(&least));
        }
        Arc::clone(classes.entry(class).or_default())
    }

    pub(super) fn needs(&self) -> &Needs {
        &self.needs
    }
}

#[derive(Clone, Copy)]
struct Place {
    partition: u128,
    class: u64,
}

/// What is behind these locks stays whole when a thread panics: each change is a few assignments.
pub(super) fn read<T>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

pub(super) fn write<T>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::semantic::replay::tests::word_vector;

    fn insert(cache: &SemanticCache, partition: u128, id: u128) {
        let text = format!("question {partition} about cake {id}");
        let (vector, signature) = (Vector::new(&word_vector(&text)).unwrap(), Signature::of(&text).unwrap());
        cache.insert(partition, Entry { id, vector, signature });
    }

    #[test]
    fn memory_is_capped_whether_one_partition_grows_or_many_do() {
        for partitions in [1, 500] {
            let cache = SemanticCache::new(Settings { max_bytes: 200_000, ..Settings::default() });
            for id in 0..2000 {
                insert(&cache, id % partitions, id);
                assert!(cache.size_bytes() <= 200_000);
            }
            assert!(cache.evictions() > 0 && cache.len() > 100);
            assert_eq!(cache.len() as u64 + cache.evictions(), 2000);
            let counted: usize =
                cache.partitions().iter().map(|(_, entries)| read(entries).size_bytes()).sum();
            assert_eq!(cache.size_bytes(), counted);
        }
        let cache = SemanticCache::new(Settings { max_partition_entries: 50, ..Settings::default() });
        (0..200).for_each(|id| insert(&cache, 1, id));
        assert_eq!((cache.len(), cache.evictions()), (50, 150));
    }

    #[test]
    fn a_question_of_another_partition_is_never_found() {
        let cache = SemanticCache::new(Settings::default());
        (0..100).for_each(|id| insert(&cache, id % 7, id));
        for id in 0..100 {
            let text = format!("question {} about cake {id}", id % 7);
            let (vector, signature) =
                (Vector::new(&word_vector(&text)).unwrap(), Signature::of(&text).unwrap());
            for partition in 0..8 {
                let found = cache.lookup(partition, 1, &signature, &vector);
                let is_there = found.candidates.iter().any(|candidate| candidate.id == id);
                assert_eq!(is_there, partition == id % 7, "{id} in {partition}");
            }
        }
        cache.clear();
        assert!(cache.is_empty() && cache.size_bytes() == 0);
    }

    #[test]
    fn lookups_learning_and_growth_go_on_beside_each_other() {
        let cache =
            SemanticCache::new(Settings { max_bytes: 300_000, max_error: 0.5, ..Settings::default() });
        std::thread::scope(|scope| {
            for thread in 0..4_u128 {
                let cache = &cache;
                scope.spawn(move || {
                    for id in 0..400 {
                        insert(cache, id % 3, id * 4 + thread);
                        let text = format!("hi, question {} about cake {}", id % 3, id * 4 + thread);
                        let vector = Vector::new(&word_vector(&text)).unwrap();
                        let found = cache.lookup(id % 3, 1, &Signature::of(&text).unwrap(), &vector);
                        found.candidates.iter().for_each(|candidate| cache.learn(candidate, true, true));
                        cache.remove(id % 3, id * 2);
                    }
                });
            }
        });
        assert!(cache.size_bytes() <= 300_000 && cache.threshold(1).is_open());
    }
}
