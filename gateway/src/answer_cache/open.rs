//! Opens the cache that the configuration asks for.

use std::sync::Arc;

use anyhow::Context;
use cache::exact::{Cipher, ExactCache, Settings};

use super::AnswerCache;
use crate::config::{CacheConfig, Size};
use crate::seal::key_bytes;

const MEMORY: Size = Size(256 << 20);

/// The cache of a configuration.
///
/// # Errors
/// When its folder or its key cannot be used.
pub fn open(config: &CacheConfig) -> anyhow::Result<AnswerCache> {
    let bytes = |size: Size| usize::try_from(size.0).unwrap_or(usize::MAX);
    let rules = config.exact.unwrap_or_default();
    let key = config.disk.as_ref().and_then(|disk| disk.key.as_ref());
    let cipher = key
        .map(|source| {
            let key = key_bytes(source).map_err(|problem| anyhow::anyhow!("cache.disk.key: {problem}"))?;
            Cipher::new(&key).context("cache.disk.key")
        })
        .transpose()?;
    let settings = Settings {
        memory_bytes: bytes(config.memory.unwrap_or(MEMORY)),
        disk: config.disk.as_ref().map(|disk| (disk.path.clone().into(), bytes(disk.size))),
        cipher: cipher.map(Arc::new),
        largest_entry_bytes: bytes(rules.largest),
    };
    // The cache waits for its own threads, which a thread that serves must not.
    let opened = std::thread::scope(|scope| scope.spawn(|| ExactCache::open(settings)).join());
    let exact = opened
        .map_err(|_| anyhow::anyhow!("cache: it could not be opened: see the log"))?
        .context("cache")?;
    Ok(AnswerCache { exact: Arc::new(exact), rules })
}
