//! What the commands that work on the store have in common: whose store it is, who changes it, how a row is printed.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use serde_json::Value;
use store::Change;

use crate::config::{self, Config};
use crate::ledger::now_ms;
use crate::storage::Storage;

/// Whose store.
#[derive(Debug, Args)]
pub(super) struct Place {
    /// The configuration file, for `store` and the secrets that belong to it.
    #[arg(long)]
    config: PathBuf,
}

impl Place {
    /// The configuration and the open store.
    pub(super) fn open(&self) -> anyhow::Result<(Config, Storage)> {
        let config = load(&self.config)?;
        let storage = Storage::open(&config.store)?;
        Ok((config, storage.context("nothing is kept: set `store` in the configuration")?))
    }
}

/// A sound configuration.
pub(super) fn load(path: &Path) -> anyhow::Result<Config> {
    match config::load(path) {
        Ok(loaded) => Ok(loaded.config),
        Err(faults) => anyhow::bail!("{} has faults:\n{faults}", path.display()),
    }
}

/// A change that is made now from here.
pub(super) fn change() -> Change {
    Change { at_ms: now_ms(), actor: "cli".to_owned(), address: String::new() }
}

/// One JSON object a line.
pub(super) fn print(row: &Value) -> anyhow::Result<ExitCode> {
    writeln!(std::io::stdout().lock(), "{row}")?;
    Ok(ExitCode::SUCCESS)
}
