//! The entries: in memory, and on disk when there is a folder for them. A lookup in memory waits for nothing, and one
//! that finds nothing waits for nothing either; only what lies on the disk is waited for.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use foyer::{
    BlockEngineConfig, DeviceBuilder, FsDeviceBuilder, HybridCache, HybridCacheBuilder, HybridCachePolicy,
    PsyncIoEngineConfig, RecoverMode, S3FifoConfig, Spawner,
};
use tokio::runtime::{Handle, Runtime};

use super::cipher::Cipher;
use super::code::{self, Content, Kept};
use super::entry::Entry;
use super::installation::{BrokenInstallation, Installation};
use super::key::{Key, Keyer};
use super::purges::{NotPurged, Purge, Purges};
use super::tally::{Leaving, Registry, Stats, Tally, count, read};

/// An entry larger than a shard's share could not be kept at all.
const LEAST_SHARD_BYTES: usize = 4 << 20;
const MOST_SHARDS: usize = 16;
/// A block is the unit that the disk tier gives up when it is full.
const LARGEST_BLOCK: usize = 16 << 20;
const SMALLEST_BLOCK: usize = 1 << 20;
/// What is on its way to the disk: a full buffer is written while the next one fills.
const WRITE_BUFFER_BYTES: usize = 8 << 20;
const WRITE_QUEUE_BYTES: usize = 16 << 20;
/// Reads of the disk at once.
const READERS: usize = 8;

/// How large the cache may become, and where it is.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The most bytes in memory.
    pub memory_bytes: usize,
    /// The folder of the disk tier and the most bytes there.
    pub disk: Option<(PathBuf, usize)>,
    /// Encrypts what is on disk.
    pub cipher: Option<Arc<Cipher>>,
    /// The most bytes of one answer.
    pub largest_entry_bytes: usize,
}

/// Why there is no cache.
#[derive(Debug, thiserror::Error)]
pub enum NotOpened {
    /// Its own file.
    #[error(transparent)]
    Installation(#[from] BrokenInstallation),
    /// The disk tier.
    #[error(
        "the cache's disk tier cannot be opened: {0}; check its folder, its size and the space left there"
    )]
    Disk(foyer::Error),
    /// A thread.
    #[error("the cache's threads cannot be started: {0}")]
    Threads(std::io::Error),
}

/// What memory says of a key.
#[derive(Clone, Debug)]
pub enum Peek {
    /// Here it is.
    Hit(Arc<Entry>),
    /// The disk may have it.
    OnDisk,
    /// It is nowhere.
    Miss,
}

/// A key that is being looked up, with the number of the newest purge before.
#[derive(Clone, Copy, Debug)]
pub struct Lookup {
    key: Key,
    stamp: u64,
}

/// The exact cache.
pub struct ExactCache {
    entries: HybridCache<u128, Kept>,
    runtime: Handle,
    keyer: ArcSwap<Keyer>,
    cipher: Option<Arc<Cipher>>,
    installation: Mutex<Installation>,
    purges: ArcSwap<Purges>,
    tally: Arc<Tally>,
    largest_entry_bytes: usize,
    disk_capacity_bytes: usize,
}

impl std::fmt::Debug for ExactCache {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("ExactCache").field("stats", &self.stats()).finish_non_exhaustive()
    }
}

impl Lookup {
    /// The key.
    pub fn key(&self) -> &Key {
        &self.key
    }
}

impl ExactCache {
    /// Opens the cache and finds what the disk tier has. Takes a while, and is no call for an async task.
    ///
    /// # Errors
    /// When the folder cannot be used.
    pub fn open(settings: Settings) -> Result<Self, NotOpened> {
        let Settings { memory_bytes, disk, cipher, largest_entry_bytes } = settings;
        let installation = Installation::open(disk.as_ref().map(|(folder, _)| folder.as_path()))?;
        let tally = Arc::new(Tally::default());
        // Its own threads: no reading and writing on those that serve requests.
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .max_blocking_threads(READERS)
            .thread_name("cache")
            .enable_all()
            .build()
            .map_err(NotOpened::Threads)?;
        let shards = (memory_bytes / LEAST_SHARD_BYTES).clamp(1, MOST_SHARDS);
        let disk_capacity_bytes = disk.as_ref().map_or(0, |(_, bytes)| *bytes);
        let handle = runtime.handle().clone();
        let entries =
            handle.block_on(build(runtime, &tally, memory_bytes, shards, disk)).map_err(NotOpened::Disk)?;
        Ok(Self {
            entries,
            runtime: handle,
            keyer: ArcSwap::from_pointee(Keyer::new(installation.seeds)),
            cipher,
            purges: ArcSwap::from_pointee(installation.purges.clone()),
            installation: Mutex::new(installation),
            tally,
            largest_entry_bytes: largest_entry_bytes.min(memory_bytes / shards / 2),
            disk_capacity_bytes,
        })
    }

    /// What makes this cache's keys.
    pub fn keyer(&self) -> Keyer {
        **self.keyer.load()
    }

    /// The secrets of the keys.
    pub fn seeds(&self) -> [u64; 2] {
        self.keyer().seeds()
    }

    /// Takes on the secrets of others, who then find by the same keys. What was kept so far is not found any more. No call
    /// for an async task.
    ///
    /// # Errors
    /// When they cannot be written down: after a restart they have to be taken on again.
    pub fn adopt(&self, seeds: [u64; 2]) -> std::io::Result<()> {
        self.keyer.store(Arc::new(Keyer::new(seeds)));
        self.installation().adopt(seeds)
    }

    /// The bytes of an entry for a place that others read too, with the number of the newest purge there; None when it
    /// cannot be sealed.
    pub fn pack(key: &Key, stamp: u64, entry: &Arc<Entry>, cipher: Option<&Arc<Cipher>>) -> Option<Vec<u8>> {
        code::pack(&Kept { key: *key, stamp, content: Content::Open(entry.clone(), cipher.cloned()) })
    }

    /// The entry in such bytes and its number; None when it is broken, of another question, or sealed otherwise.
    pub fn unpack(bytes: &[u8], key: &Key, cipher: Option<&Arc<Cipher>>) -> Option<(u64, Arc<Entry>)> {
        code::unpack(bytes, key, cipher)
    }

    /// The most bytes of one answer; a larger one need not be collected.
    pub fn largest_entry_bytes(&self) -> usize {
        self.largest_entry_bytes
    }

    /// Begins a lookup. What is purged from now on concerns the answer that it leads to.
    pub fn lookup(&self, key: Key) -> Lookup {
        Lookup { key, stamp: self.purges.load().newest }
    }

    /// Looks in memory, and whether it is worth while to look on disk. What is past its time by `now_ms`, even for a
    /// stale answer, is not found.
    pub fn peek(&self, lookup: &Lookup, now_ms: u64) -> Peek {
        let found = self.entries.memory().get(&lookup.key.hash);
        if let Some(found) = found {
            return match self.judge(found.value(), &lookup.key, now_ms) {
                Some(entry) => {
                    count(&self.tally.memory_hits);
                    Peek::Hit(entry)
                }
                None => {
                    count(&self.tally.misses);
                    Peek::Miss
                }
            };
        }
        if self.may_be_on_disk(lookup) {
            return Peek::OnDisk;
        }
        count(&self.tally.misses);
        Peek::Miss
    }

    /// Is it worth while to look on disk? Nothing is read for this.
    pub fn may_be_on_disk(&self, lookup: &Lookup) -> bool {
        self.disk_capacity_bytes > 0 && self.entries.storage().may_contains(&lookup.key.hash)
    }

    /// Looks in memory once more, for somebody who has missed already; counts as no lookup.
    pub fn look_again(&self, lookup: &Lookup, now_ms: u64) -> Option<Arc<Entry>> {
        let found = self.entries.memory().get(&lookup.key.hash)?;
        self.judge(found.value(), &lookup.key, now_ms)
    }

    /// Reads from the disk what [`peek`](Self::peek) thought to be there.
    pub async fn load(&self, lookup: &Lookup, now_ms: u64) -> Option<Arc<Entry>> {
        let found = self.entries.get(&lookup.key.hash).await.ok().flatten();
        let entry = found.and_then(|found| self.judge(found.value(), &lookup.key, now_ms));
        count(if entry.is_some() { &self.tally.disk_hits } else { &self.tally.misses });
        entry
    }

    /// The entry, if it is this question's and still holds. What no longer does is removed.
    fn judge(&self, kept: &Kept, key: &Key, now_ms: u64) -> Option<Arc<Entry>> {
        // Another question with the same hash keeps its entry.
        if kept.key != *key {
            return None;
        }
        let entry = kept.open(self.cipher.as_ref());
        let holds = entry.filter(|entry| {
            entry.stale_until_ms > now_ms && !self.purges.load().concern(&kept.key, kept.stamp)
        });
        if holds.is_none() {
            self.entries.remove(&key.hash);
        }
        holds
    }

    /// Keeps an answer to the question of a lookup; false when it is too large, or void already.
    pub fn keep(&self, lookup: &Lookup, entry: impl Into<Arc<Entry>>) -> bool {
        let entry = entry.into();
        if entry.weight() > self.largest_entry_bytes {
            count(&self.tally.refused);
            return false;
        }
        let is_kept = self.insert(lookup, entry);
        if is_kept {
            count(&self.tally.stores);
        }
        is_kept
    }

    fn insert(&self, lookup: &Lookup, entry: Arc<Entry>) -> bool {
        let is_void = self.purges.load().concern(&lookup.key, lookup.stamp);
        if is_void || entry.weight() > self.largest_entry_bytes {
            return false;
        }
        let content = Content::Open(entry, self.cipher.clone());
        self.entries.insert(lookup.key.hash, Kept { key: lookup.key, stamp: lookup.stamp, content });
        true
    }

    /// Keeps an answer that another gateway has kept.
    pub fn take_over(&self, lookup: &Lookup, entry: Arc<Entry>) {
        self.insert(lookup, entry);
    }

    /// The entry of a hash, for somebody who has only that; counts as no lookup.
    pub async fn find(&self, hash: u128, now_ms: u64) -> Option<Arc<Entry>> {
        let found = self.entries.get(&hash).await.ok().flatten()?;
        let key = found.value().key;
        if key.hash == hash { self.judge(found.value(), &key, now_ms) } else { None }
    }

    /// Removes one entry; it is gone from the disk when this returns. True when there may have been one.
    pub async fn remove(&self, hash: u128) -> bool {
        let was_there = self.entries.contains(&hash);
        self.entries.remove(&hash);
        self.entries.storage().wait().await;
        was_there
    }

    /// Makes everything void that belongs to `what` and was asked for before now.
    ///
    /// # Errors
    /// When it cannot be written down. It holds until the process ends all the same.
    pub async fn purge(self: &Arc<Self>, what: Purge<'_>) -> Result<(), NotPurged> {
        let hash = (what != Purge::All).then(|| self.keyer().purged(&what));
        let this = self.clone();
        let written = self.runtime.spawn_blocking(move || this.write_purge(hash)).await;
        if what == Purge::All {
            self.entries.memory().clear();
            if let Err(error) = self.entries.storage().destroy().await {
                tracing::warn!(%error, "the cache's disk tier could not be emptied; nothing of it is served");
            }
        }
        match written {
            Ok(written) => written,
            Err(error) => {
                let path = self.installation().shown();
                Err(NotPurged { path, source: std::io::Error::other(error) })
            }
        }
    }

    fn write_purge(&self, hash: Option<u64>) -> Result<(), NotPurged> {
        let mut installation = self.installation();
        let purges = installation.purges.with(hash);
        // In force first: a full disk must not keep what is to go.
        self.purges.store(Arc::new(purges.clone()));
        let written = installation.save(&purges);
        installation.purges = purges;
        written.map_err(|source| NotPurged { path: installation.shown(), source })
    }

    fn installation(&self) -> std::sync::MutexGuard<'_, Installation> {
        self.installation.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until what was kept and removed so far is on its way out of this process.
    pub async fn flush(&self) {
        self.entries.storage().wait().await;
    }

    /// Writes what is to be written, and ends. No call for an async task.
    pub fn close(&self) {
        if let Err(error) = self.runtime.block_on(self.entries.close()) {
            tracing::warn!(%error, "the cache was not closed in good order");
        }
    }

    /// The cache in figures.
    pub fn stats(&self) -> Stats {
        let (tally, memory) = (&self.tally, self.entries.memory());
        Stats {
            memory_hits: read(&tally.memory_hits),
            disk_hits: read(&tally.disk_hits),
            misses: read(&tally.misses),
            stores: read(&tally.stores),
            refused: read(&tally.refused),
            evictions: read(&tally.evictions),
            overflow: read(&tally.overflow),
            memory_entries: memory.entries() as u64,
            memory_bytes: memory.usage() as u64,
            memory_capacity_bytes: memory.capacity() as u64,
            disk_capacity_bytes: self.disk_capacity_bytes as u64,
            disk_written_bytes: self.entries.statistics().disk_write_bytes() as u64,
        }
    }
}

async fn build(
    runtime: Runtime,
    tally: &Arc<Tally>,
    memory_bytes: usize,
    shards: usize,
    disk: Option<(PathBuf, usize)>,
) -> foyer::Result<HybridCache<u128, Kept>> {
    let builder = HybridCacheBuilder::new()
        .with_name("exact")
        // An answer is on its way to the disk when it is kept, not when memory is short: it survives a crash.
        .with_policy(HybridCachePolicy::WriteOnInsertion)
        .with_event_listener(Arc::new(Leaving(tally.clone())))
        .with_metrics_registry(Box::new(Registry(tally.clone())))
        .memory(memory_bytes)
        .with_shards(shards)
        // A hit takes no lock for writing.
        .with_eviction_config(S3FifoConfig::default())
        .with_weighter(|_: &u128, kept: &Kept| kept.weight())
        .storage()
        .with_spawner(Spawner::from(runtime));
    let Some((folder, bytes)) = disk else { return builder.build().await };
    let block = (bytes / 16).clamp(SMALLEST_BLOCK, LARGEST_BLOCK);
    let device = FsDeviceBuilder::new(folder.join("entries")).with_capacity(bytes).build()?;
    builder
        .with_io_engine_config(PsyncIoEngineConfig::new())
        .with_engine_config(
            BlockEngineConfig::new(device)
                .with_block_size(block)
                .with_buffer_pool_size(WRITE_BUFFER_BYTES)
                .with_submit_queue_size_threshold(WRITE_QUEUE_BYTES)
                // Without it what was removed comes back with a restart.
                .with_tombstone_log(true),
        )
        // A broken entry is a miss, and no reason not to start.
        .with_recover_mode(RecoverMode::Quiet)
        .build()
        .await
}
