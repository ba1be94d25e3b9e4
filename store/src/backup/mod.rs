//! Ways out of a store and back: a copy of a SQLite file, and a dump that either database reads.

mod copy;
mod dump;
mod restore;
mod tables;

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

pub(crate) use copy::copy;
pub(crate) use dump::dump;
pub(crate) use restore::restore;

use crate::error::{Result, StoreError};

/// The version of the dump's form.
pub const FORMAT_VERSION: u32 = 1;

const FORMAT: &str = "signalbox-dump";

/// What a dump holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DumpSummary {
    /// Rows of each table.
    pub rows: BTreeMap<String, u64>,
    /// SHA-256 of all lines but the last, in hexadecimal.
    pub sha256: String,
}

/// The first line.
#[derive(Debug, Serialize, Deserialize)]
struct Head {
    format: String,
    version: u32,
    schema: i64,
    created_at_ms: i64,
}

/// One row: the table, and its values by column; bytes are Base64.
#[derive(Debug, Serialize, Deserialize)]
struct Line {
    table: String,
    row: serde_json::Map<String, serde_json::Value>,
}

/// The last line.
#[derive(Debug, Serialize, Deserialize)]
struct Tail {
    rows: BTreeMap<String, u64>,
    sha256: String,
}

fn file_fault(path: &Path) -> impl Fn(std::io::Error) -> StoreError + '_ {
    |source| StoreError::File { path: path.to_owned(), source }
}

/// A file under another name until it is whole; removed when it never becomes so.
struct Partial {
    path: PathBuf,
    target: PathBuf,
}

impl Partial {
    fn create(target: &Path) -> Result<(Self, File)> {
        if target.exists() {
            return Err(file_fault(target)(std::io::ErrorKind::AlreadyExists.into()));
        }
        let mut name = target.as_os_str().to_owned();
        name.push(format!(".{}.partial", crate::new_id()));
        let path = PathBuf::from(name);
        let file = OpenOptions::new()
            .create_new(true)
            .write(true)
            .mode(0o600)
            .open(&path)
            .map_err(file_fault(&path))?;
        Ok((Self { path, target: target.to_owned() }, file))
    }

    /// Gives the file its name, on the disk for good. Never replaces another file.
    fn finish(self) -> Result<()> {
        let fault = file_fault(&self.target);
        File::open(&self.path).and_then(|file| file.sync_all()).map_err(&fault)?;
        std::fs::hard_link(&self.path, &self.target).map_err(&fault)?;
        let folder = self.target.parent().filter(|folder| !folder.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new("."))).and_then(|folder| folder.sync_all()).map_err(&fault)
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        // Nothing can be done about a leftover but to leave it.
        let _ = std::fs::remove_file(&self.path);
    }
}
