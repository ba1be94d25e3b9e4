//! Answers that gateways of a cluster share: what of a lookup Redis is asked, what goes there, and how a purge at one
//! gateway is obeyed at all. How Redis is reached is the cluster crate's.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use anyhow::Context;
use cache::exact::{Cipher, Entry, ExactCache, Lookup, Purge};
use cluster::{Away, Heard, Known, Shelf, ShelfKeeper, ShelfStats};

use super::{AnswerCache, SemanticAnswers, clock_ms};
use crate::keys::Principal;
use crate::request::{Record, Request};
use crate::snapshot::Model;

/// In the folder of the disk tier.
const KNOWN_FILE: &str = "shared";
/// More purges at once are one of everything: each is written to the disk.
const MOST_AT_ONCE: usize = 64;

/// The shelf, and what is needed to read it.
#[derive(Debug)]
pub struct SharedAnswers {
    shelf: Shelf,
    cipher: Option<Arc<Cipher>>,
    hits: AtomicU64,
}

impl SharedAnswers {
    /// How it stands, and how many answers it had.
    pub fn stats(&self) -> (ShelfStats, u64) {
        (self.shelf.stats(), self.hits.load(Ordering::Relaxed))
    }

    /// Tells the other gateways of a purge.
    ///
    /// # Errors
    /// When it is not known to have reached Redis.
    pub async fn purge(&self, what: &Purge<'_>) -> Result<(), Away> {
        self.shelf.purge(&what.name()).await
    }

    /// Tells the other gateways of an entry that was removed.
    ///
    /// # Errors
    /// When it is not known to have reached Redis.
    pub async fn remove(&self, hash: u128) -> Result<(), Away> {
        self.shelf.purge(&removal(hash)).await
    }
}

fn removal(hash: u128) -> String {
    format!("entry\u{1f}{hash:032x}")
}

impl AnswerCache {
    /// What other gateways have for a lookup that found nothing here. Kept here too, from now on.
    pub async fn fetch(
        &self,
        principal: &Principal,
        model: &Model,
        request: &Request,
        lookup: &Lookup,
        record: &mut Record,
    ) -> Option<Arc<Entry>> {
        let shared = self.shared.as_ref()?;
        let (scope, key) = (self.scope(principal), lookup.key());
        let purges = [
            Purge::Scope(scope.0, scope.1).name(),
            Purge::Model(model.name.as_str()).name(),
            Purge::Namespace(scope, &request.controls.namespace).name(),
            removal(key.hash),
        ];
        let waiting = Instant::now();
        let found = shared.shelf.get(key.hash, &purges).await;
        record.waited += waiting.elapsed();
        let (bytes, purged) = found.ok().flatten()?;
        let (stamp, entry) = ExactCache::unpack(&bytes, key, shared.cipher.as_ref())?;
        if stamp < purged || entry.stale_until_ms <= clock_ms() {
            return None;
        }
        self.exact.take_over(lookup, entry.clone());
        shared.hits.fetch_add(1, Ordering::Relaxed);
        Some(entry)
    }

    /// True when other gateways may be asked.
    pub fn is_shared(&self) -> bool {
        self.shared.as_ref().is_some_and(|shared| shared.shelf.is_up())
    }

    /// Keeps an answer, here and for the other gateways; false when it is too large, or void already.
    pub fn keep(&self, lookup: &Lookup, entry: &Arc<Entry>) -> bool {
        // First: a purge that comes in between is newer than this, and one before was obeyed here.
        let stamp = self.shared.as_ref().and_then(|shared| shared.shelf.stamp());
        if !self.exact.keep(lookup, entry.clone()) {
            return false;
        }
        if let (Some(shared), Some(stamp)) = (&self.shared, stamp) {
            let ttl_ms = entry.stale_until_ms.saturating_sub(clock_ms());
            let packed = ExactCache::pack(lookup.key(), stamp.number, entry, shared.cipher.as_ref());
            if let Some(packed) = packed {
                shared.shelf.put(stamp, lookup.key().hash, packed, ttl_ms);
            }
        }
        true
    }
}

/// What obeys the other gateways.
struct Obedience {
    exact: Arc<ExactCache>,
    semantic: Option<Arc<SemanticAnswers>>,
    file: Option<PathBuf>,
}

impl Obedience {
    async fn hear(&self, heard: Heard) {
        match heard {
            Heard::Seeds(seeds) => {
                if let Err(error) = self.exact.adopt(seeds) {
                    tracing::warn!(%error, "the seeds of the cluster's cache could not be written");
                }
                if let Some(semantic) = &self.semantic {
                    semantic.cache.clear();
                }
            }
            Heard::Purges(purges) if purges.len() > MOST_AT_ONCE => self.purge(Purge::All).await,
            Heard::Purges(purges) => {
                for name in &purges {
                    let removed = name.strip_prefix("entry\u{1f}");
                    match (removed.and_then(|hash| u128::from_str_radix(hash, 16).ok()), Purge::named(name)) {
                        (Some(hash), _) => drop(self.exact.remove(hash).await),
                        (None, Some(purge)) => self.purge(purge).await,
                        // Of a later version: too much is better than too little.
                        (None, None) => self.purge(Purge::All).await,
                    }
                }
            }
            Heard::Obeyed(known) => self.write(&known),
        }
    }

    async fn purge(&self, what: Purge<'_>) {
        if let Err(error) = super::purge(&self.exact, self.semantic.as_deref(), what).await {
            tracing::error!(%error, "purge");
        }
    }

    fn write(&self, known: &Known) {
        let Some(file) = &self.file else { return };
        let beside = file.with_extension("new");
        let written = std::fs::write(&beside, format!("{} {}", known.seen, known.born))
            .and_then(|()| std::fs::rename(&beside, file));
        if let Err(error) = written {
            tracing::warn!(%error, path = %file.display(), "what was purged elsewhere could not be noted");
        }
    }

    /// Without the file everything that is known of the shelf is obeyed again.
    fn read(&self) -> Known {
        let text = self.file.as_ref().and_then(|file| std::fs::read_to_string(file).ok()).unwrap_or_default();
        let known = text.split_once(' ').and_then(|(seen, born)| Some((seen.parse().ok()?, born)));
        known.map_or_else(Known::default, |(seen, born)| Known { born: born.to_owned(), seen })
    }
}

/// Keeps the shelf up, on a thread of its own.
///
/// # Errors
/// When there is no thread to be had.
pub(super) fn start(
    shelf: Shelf,
    keeper: ShelfKeeper,
    cipher: Option<Arc<Cipher>>,
    exact: &Arc<ExactCache>,
    semantic: Option<Arc<SemanticAnswers>>,
    folder: Option<PathBuf>,
) -> anyhow::Result<SharedAnswers> {
    let file = folder.map(|folder| folder.join(KNOWN_FILE));
    let (seeds, obedience) = (exact.seeds(), Obedience { exact: exact.clone(), semantic, file });
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().context("cache.shared")?;
    let run = move || {
        let obeys = async |heard| obedience.hear(heard).await;
        runtime.block_on(keeper.run(seeds, obedience.read(), obeys));
    };
    std::thread::Builder::new()
        .name("shared-cache".to_owned())
        .spawn(run)
        .context("cache.shared: its thread cannot be started")?;
    Ok(SharedAnswers { shelf, cipher, hits: AtomicU64::new(0) })
}
