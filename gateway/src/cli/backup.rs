//! `signalbox backup` and `signalbox restore`: the store as a file that either database reads.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::SystemTime;

use anyhow::Context;
use store::DumpSummary;

use super::place::load;
use crate::backups;
use crate::config::Config;
use crate::storage::Storage;

/// Writes a backup; a gateway may go on using the store meanwhile.
pub(super) fn backup(config: &Path, to: Option<PathBuf>) -> anyhow::Result<ExitCode> {
    let config = load(config)?;
    let folder = config.backup.as_ref().map(|backup| PathBuf::from(&backup.path)).unwrap_or_default();
    let path = to.unwrap_or_else(|| folder.join(backups::file_name(SystemTime::now())));
    let storage = open(&config)?;
    let (store, target) = (storage.store.clone(), path.clone());
    let summary = storage.wait_for(async move { backups::make(&store, &target).await })??;
    tell("written", &path, &summary)
}

/// Reads a backup into an empty store: all of it or nothing.
pub(super) fn restore(config: &Path, from: &Path) -> anyhow::Result<ExitCode> {
    let storage = open(&load(config)?)?;
    let (store, path) = (storage.store.clone(), from.to_owned());
    let summary = storage.wait_for(async move { store.restore(&path).await })??;
    tell("restored", from, &summary)
}

pub(super) fn open(config: &Config) -> anyhow::Result<Storage> {
    Storage::open(&config.store)?.context("nothing is kept: set `store` in the configuration")
}

fn tell(what: &str, path: &Path, summary: &DumpSummary) -> anyhow::Result<ExitCode> {
    let rows: u64 = summary.rows.values().sum();
    writeln!(
        std::io::stdout().lock(),
        "{what}: {} ({rows} rows, SHA-256 {})",
        path.display(),
        summary.sha256
    )?;
    Ok(ExitCode::SUCCESS)
}
