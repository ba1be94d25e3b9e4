//! The sealer that the configuration asks for: its keys, or one in a file beside the SQLite store that the first start
//! makes.

use anyhow::Context;

use super::{EncryptionKey, Sealer};
use crate::config::{Config, NO_STORE, SecretSource};
use crate::secret_file;

const FILE: &str = "encryption.secret";

/// The sealer of the configured store. None without a store, and for a PostgreSQL store without `encryption.key`, which
/// keeps nothing that needs one.
///
/// # Errors
/// When a key is missing, is none, or cannot be written.
pub fn sealer(config: &Config) -> anyhow::Result<Option<Sealer>> {
    if config.store == NO_STORE {
        return Ok(None);
    }
    let fault = |field: String| move |problem: String| anyhow::anyhow!("encryption.{field}: {problem}");
    let key = match &config.encryption.key {
        Some(source) => key(source).map_err(fault("key".to_owned()))?,
        None => {
            let Some(path) = secret_file::beside(&config.store, FILE) else { return Ok(None) };
            let secret = secret_file::kept(&path)
                .with_context(|| format!("encryption.key: {} cannot be used", path.display()))?;
            EncryptionKey::parse(&secret)
                .map_err(|problem| anyhow::anyhow!("encryption.key: {} {problem}", path.display()))?
        }
    };
    let old_keys = config.encryption.old_keys.iter().enumerate();
    let old_keys =
        old_keys.map(|(index, source)| self::key(source).map_err(fault(format!("old_keys[{index}]"))));
    Ok(Some(Sealer::new(key, old_keys.collect::<anyhow::Result<_>>()?)))
}

/// The 32 bytes of the key of one setting.
///
/// # Errors
/// A sentence for the operator.
pub(crate) fn key_bytes(source: &SecretSource) -> Result<Vec<u8>, String> {
    super::key::key_bytes(&source.resolve()?).map_err(str::to_owned)
}

/// The key of one setting.
///
/// # Errors
/// A sentence for the operator.
pub(crate) fn key(source: &SecretSource) -> Result<EncryptionKey, String> {
    EncryptionKey::parse(&source.resolve()?).map_err(str::to_owned)
}
