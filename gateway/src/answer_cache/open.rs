//! Opens the cache that the configuration asks for.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use cache::exact::{Cipher, ExactCache, Settings};
use cache::semantic;
use cluster::Shelf;
use domain::Micros;

use super::embedders::Embedders;
use super::saver::Saver;
use super::{AnswerCache, SemanticAnswers, shared};
use crate::config::{CacheConfig, Config, SecretSource, SemanticCacheConfig, Size};
use crate::seal::key_bytes;

const MEMORY: Size = Size(256 << 20);
/// In the folder of the disk tier.
const STATE_FILE: &str = "semantic.state";

/// The cache of a configuration; None without its section.
///
/// # Errors
/// When its folder or its key cannot be used.
pub fn open(config: &Config) -> anyhow::Result<Option<AnswerCache>> {
    config.cache.as_ref().map(|cache| open_with(cache, config)).transpose()
}

fn open_with(config: &CacheConfig, whole: &Config) -> anyhow::Result<AnswerCache> {
    let bytes = |size: Size| usize::try_from(size.0).unwrap_or(usize::MAX);
    let rules = config.exact.unwrap_or_default();
    let common = cipher("cache.key", config.key.as_ref())?;
    let own = cipher("cache.disk.key", config.disk.as_ref().and_then(|disk| disk.key.as_ref()))?;
    let cipher = own.or_else(|| common.clone());
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
    let semantic = config.semantic.as_ref().map(|semantic| open_semantic(semantic, whole)).transpose()?;
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
    let exact = Arc::new(exact);
    let shared = match whole.cluster.as_ref().filter(|_| config.shared.enabled) {
        Some(cluster) => {
            let url = cluster.url.resolve().map_err(anyhow::Error::msg).context("cluster")?;
            let (shelf, keeper) = Shelf::new(&url, config.shared.deadline.0).context("cluster")?;
            let folder = config.disk.as_ref().map(|disk| PathBuf::from(&disk.path));
            Some(shared::start(shelf, keeper, common, &exact, semantic.clone(), folder)?)
        }
        None => None,
    };
    Ok(AnswerCache { exact, semantic, shared, saver, rules })
}

fn cipher(path: &'static str, key: Option<&SecretSource>) -> anyhow::Result<Option<Arc<Cipher>>> {
    let cipher = key.map(|source| {
        let key = key_bytes(source).map_err(|problem| anyhow::anyhow!("{path}: {problem}"))?;
        Cipher::new(&key).context(path)
    });
    Ok(cipher.transpose()?.map(Arc::new))
}

fn open_semantic(config: &SemanticCacheConfig, whole: &Config) -> anyhow::Result<Arc<SemanticAnswers>> {
    let embedders = Embedders::open(config, whole).context("cache.semantic.embedder")?;
    let settings = semantic::Settings {
        max_error: config.max_error,
        audit_share: config.audit_share,
        max_bytes: usize::try_from(config.memory.0).unwrap_or(usize::MAX),
        ..semantic::Settings::default()
    };
    let audit_cost = Micros::from_usd(config.audit_usd);
    Ok(Arc::new(SemanticAnswers::new(settings, audit_cost, embedders)))
}
