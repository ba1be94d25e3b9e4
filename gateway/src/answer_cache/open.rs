//! Opens the cache that the configuration asks for.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use cache::exact::{Cipher, ExactCache, Settings};
use cache::semantic;
use router_model::embed::StaticEmbedder;

use super::saver::Saver;
use super::{AnswerCache, SemanticAnswers};
use crate::config::{CacheConfig, Embedder, SemanticCacheConfig, Size};
use crate::seal::key_bytes;

const MEMORY: Size = Size(256 << 20);
/// In the folder of the disk tier.
const STATE_FILE: &str = "semantic.state";

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
        .transpose()?
        .map(Arc::new);
    let settings = Settings {
        memory_bytes: bytes(config.memory.unwrap_or(MEMORY)),
        disk: config.disk.as_ref().map(|disk| (disk.path.clone().into(), bytes(disk.size))),
        cipher: cipher.clone(),
        largest_entry_bytes: bytes(rules.largest),
    };
    // The cache waits for its own threads, which a thread that serves must not.
    let opened = std::thread::scope(|scope| scope.spawn(|| ExactCache::open(settings)).join());
    let exact = opened
        .map_err(|_| anyhow::anyhow!("cache: it could not be opened: see the log"))?
        .context("cache")?;
    let semantic = config.semantic.as_ref().map(open_semantic).transpose()?;
    let state = config.disk.as_ref().map(|disk| Path::new(&disk.path).join(STATE_FILE));
    let saver = match semantic.clone().zip(state) {
        Some((semantic, path)) => {
            if let Err(error) = semantic.cache.load(&path, cipher.as_deref()) {
                tracing::warn!(%error, path = %path.display(), "the state of the semantic cache is not used");
            }
            let saver = Saver::start(semantic, path, cipher);
            Some(saver.context("cache.semantic: its thread cannot be started")?)
        }
        None => None,
    };
    Ok(AnswerCache { exact: Arc::new(exact), semantic, saver, rules })
}

fn open_semantic(config: &SemanticCacheConfig) -> anyhow::Result<Arc<SemanticAnswers>> {
    let embedder = match config.embedder {
        Embedder::Static => StaticEmbedder::built_in().context("cache.semantic.embedder")?,
    };
    let settings = semantic::Settings {
        max_error: config.max_error,
        audit_share: config.audit_share,
        max_bytes: usize::try_from(config.memory.0).unwrap_or(usize::MAX),
        ..semantic::Settings::default()
    };
    Ok(Arc::new(SemanticAnswers::new(settings, embedder)))
}
