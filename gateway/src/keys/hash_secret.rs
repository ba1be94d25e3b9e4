//! The secret that hashes of stored keys are keyed with: configured, or a file beside the SQLite store that the first
//! start makes.

use anyhow::Context;

use super::KeyHasher;
use crate::config::{Config, NO_STORE};
use crate::secret_file;

const FILE: &str = "key-hash.secret";

/// The hasher of the configured store; None without one.
///
/// # Errors
/// When the secret is missing, too short, or cannot be written.
pub fn hasher(config: &Config) -> anyhow::Result<Option<KeyHasher>> {
    if config.store == NO_STORE {
        return Ok(None);
    }
    let secret = match &config.key_hash {
        Some(source) => source.resolve().map_err(|problem| anyhow::anyhow!("key_hash: {problem}"))?,
        None => {
            let path = secret_file::beside(&config.store, FILE)
                .context("key_hash: is missing: PostgreSQL needs env:NAME or file:PATH")?;
            secret_file::kept(&path)
                .with_context(|| format!("key_hash: {} cannot be used", path.display()))?
        }
    };
    let hasher = KeyHasher::new(secret.expose().as_bytes())
        .map_err(|problem| anyhow::anyhow!("key_hash: {problem}"))?;
    Ok(Some(hasher))
}
