//! Secrets that nobody configured: random ones in files beside the SQLite store, which the first start makes.

use std::fs;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use domain::Secret;

const BYTES: usize = 32;

/// Where a file of this name lies; None for PostgreSQL, whose gateways share no folder.
pub fn beside(store: &str, name: &str) -> Option<PathBuf> {
    let path = store.strip_prefix("sqlite:")?;
    let file = path.strip_prefix("//").unwrap_or(path);
    Some(Path::new(file).with_file_name(name))
}

/// The file's secret, 32 bytes in hexadecimal; the first process makes it.
///
/// # Errors
/// When it can be neither read nor made.
pub fn kept(path: &Path) -> anyhow::Result<Secret> {
    match fs::read_to_string(path) {
        Ok(text) => return Ok(Secret::new(text.trim())),
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
        _ => Ok(Secret::new(fs::read_to_string(path)?.trim())),
    }
}
