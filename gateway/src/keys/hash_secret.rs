//! The secret that hashes of stored keys are keyed with: configured, or a file beside the SQLite store that the first
//! start makes.

use std::fs;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::Context;

use super::KeyHasher;
use crate::config::{Config, NO_STORE};

const FILE: &str = "key-hash.secret";
const BYTES: usize = 32;

/// The hasher of the configured store; None without one.
///
/// # Errors
/// When the secret is missing, too short, or cannot be written.
pub fn hasher(config: &Config) -> anyhow::Result<Option<KeyHasher>> {
    if config.store == NO_STORE {
        return Ok(None);
    }
    let secret = match &config.key_hash {
        Some(source) => {
            source.resolve().map_err(|problem| anyhow::anyhow!("key_hash: {problem}"))?.expose().to_owned()
        }
        None => {
            let path = beside(&config.store)
                .context("key_hash: is missing: PostgreSQL needs env:NAME or file:PATH")?;
            kept(&path).with_context(|| format!("key_hash: {} cannot be used", path.display()))?
        }
    };
    let hasher =
        KeyHasher::new(secret.as_bytes()).map_err(|problem| anyhow::anyhow!("key_hash: {problem}"))?;
    Ok(Some(hasher))
}

/// Where it lies when it is not configured; None for PostgreSQL, whose gateways share no folder.
fn beside(store: &str) -> Option<PathBuf> {
    let path = store.strip_prefix("sqlite:")?;
    let file = path.strip_prefix("//").unwrap_or(path);
    Some(Path::new(file).with_file_name(FILE))
}

/// The file's secret; the first process makes it.
fn kept(path: &Path) -> anyhow::Result<String> {
    match fs::read_to_string(path) {
        Ok(text) => return Ok(text.trim().to_owned()),
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error.into()),
        Err(_) => {}
    }
    let mut bytes = [0; BYTES];
    getrandom::fill(&mut bytes).map_err(|error| anyhow::anyhow!("no randomness: {error}"))?;
    let text = bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"));
    // Written whole under another name and linked, so that a process beside this one reads all of it or none.
    let draft = path.with_extension(format!("{}.new", std::process::id()));
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
    writeln!(file, "{text}").and_then(|()| file.sync_all())?;
    let linked = fs::hard_link(&draft, path);
    fs::remove_file(&draft)?;
    match linked {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error.into()),
        _ => Ok(fs::read_to_string(path)?.trim().to_owned()),
    }
}
