//! Backups of the store: one dump now, or one every so often with the oldest deleted.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use store::{DumpSummary, Store, StoreError};

use crate::alerts::raise;
use crate::config::{AlertKind, BackupConfig};
use crate::ledger::now_ms;
use crate::telemetry::Metrics;

const PREFIX: &str = "signalbox-";
const SUFFIX: &str = ".jsonl";
/// After a backup that failed.
const AGAIN: Duration = Duration::from_secs(300);
/// Between two looks at the clock: a machine may sleep, or be set right.
const LOOK: Duration = Duration::from_secs(60);

/// Why there is no backup.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The store is away, or the file cannot be written.
    #[error("{0}")]
    Store(#[from] StoreError),
    /// The folder cannot be made or read.
    #[error("{path}: {source}", path = .path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What happened.
        source: io::Error,
    },
}

/// Makes backups for as long as the process lives.
#[derive(Debug)]
pub struct Schedule {
    store: Store,
    folder: PathBuf,
    every: Duration,
    keep: usize,
    metrics: &'static Metrics,
}

impl Schedule {
    /// Of this store, as the configuration asks for it.
    pub fn new(store: Store, config: &BackupConfig, metrics: &'static Metrics) -> Self {
        let folder = PathBuf::from(&config.path);
        Self { store, folder, every: config.every.0, keep: config.keep as usize, metrics }
    }

    /// One backup whenever the newest is older than the interval, also when an earlier process made it.
    pub async fn run(self) {
        loop {
            let wait = match self.turn().await {
                Ok(wait) => wait,
                Err(error) => {
                    self.metrics.backups.with_label_values(&["failed"]).inc();
                    let message = format!("no backup was made, and it is tried again in 5 minutes: {error}");
                    tracing::warn!(message);
                    raise(AlertKind::BackupFailed, &self.folder.to_string_lossy(), message);
                    AGAIN
                }
            };
            tokio::time::sleep(wait.min(LOOK.max(self.every / 10))).await;
        }
    }

    /// How long there is nothing to do.
    async fn turn(&self) -> Result<Duration, BackupError> {
        let fault = |source| BackupError::Folder { path: self.folder.clone(), source };
        let age = newest(&self.folder).map_err(fault)?;
        if let Some(left) = age.and_then(|age| self.every.checked_sub(age)).filter(|left| !left.is_zero()) {
            return Ok(left);
        }
        make(&self.store, &self.folder.join(file_name(SystemTime::now()))).await?;
        self.metrics.backups.with_label_values(&["ok"]).inc();
        prune(&self.folder, self.keep).map_err(fault)?;
        Ok(self.every)
    }
}

/// Writes a backup, and the folder for it when there is none.
///
/// # Errors
/// When the store is away, or the file exists or cannot be written.
pub async fn make(store: &Store, path: &Path) -> Result<DumpSummary, BackupError> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        fs::create_dir_all(folder)
            .map_err(|source| BackupError::Folder { path: folder.to_owned(), source })?;
    }
    Ok(store.dump(path, now_ms()).await?)
}

/// What a backup of that time is called: names sort by time.
pub fn file_name(at: SystemTime) -> String {
    let at = humantime::format_rfc3339_seconds(at).to_string().replace(':', "-");
    format!("{PREFIX}{at}{SUFFIX}")
}

/// The backups of a folder, oldest first.
fn listed(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with(PREFIX) && name.ends_with(SUFFIX) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// The age of the newest one; None without any.
fn newest(folder: &Path) -> io::Result<Option<Duration>> {
    let Some(path) = listed(folder)?.pop() else { return Ok(None) };
    Ok(Some(fs::metadata(path)?.modified()?.elapsed().unwrap_or_default()))
}

fn prune(folder: &Path, keep: usize) -> io::Result<()> {
    let backups = listed(folder)?;
    let old = backups.len().saturating_sub(keep);
    backups.iter().take(old).try_for_each(fs::remove_file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_go_and_other_files_stay() {
        let folder = tempfile::tempdir().unwrap();
        let at =
            |seconds| folder.path().join(file_name(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)));
        for seconds in [100, 5, 2_000_000_000, 60] {
            fs::write(at(seconds), "").unwrap();
        }
        let other = folder.path().join("notes.jsonl");
        fs::write(&other, "").unwrap();
        prune(folder.path(), 2).unwrap();
        assert_eq!(listed(folder.path()).unwrap(), [at(100), at(2_000_000_000)]);
        assert!(other.exists() && newest(folder.path()).unwrap().is_some());
    }
}
