//! Many records in one value: JSON lines, compressed with zstd (RFC 8878). A tenth of the size and a twentieth of the CPU of
//! a row for each. The first line says who pays for what, each other one is an array that begins with a place in it. The
//! ledger's blocks and those of the request log are made so.

use std::collections::HashMap;
use std::io::Read;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::database::Row;
use crate::error::{Result, StoreError};
use crate::ledger::Subject;

/// The fastest that zstd has; more saves little of such lines.
const LEVEL: i32 = 1;
/// What a value may become when it is read: ten thousand entries with long tags.
const MAX_SIZE: u64 = 256 << 20;
/// How the first line begins.
pub(crate) const HEAD: &[u8] = b"{\"subjects\":";

/// The first line.
#[derive(Serialize, Deserialize)]
struct Head<S> {
    subjects: Vec<S>,
}

/// Lines that are being put together.
pub(crate) struct Pack<'a> {
    table: &'static str,
    lines: Vec<u8>,
    subjects: Vec<&'a Subject>,
    /// Places by address: whoever makes many records shares a subject among them.
    shared: HashMap<usize, usize>,
    /// Places by what a subject says, for those that come from several values.
    known: HashMap<&'a Subject, usize>,
}

impl<'a> Pack<'a> {
    /// About so many records of this table.
    pub(crate) fn new(table: &'static str, records: usize) -> Self {
        let lines = Vec::with_capacity(records * 128);
        Self { table, lines, subjects: Vec::new(), shared: HashMap::new(), known: HashMap::new() }
    }

    /// The subject's place in the first line.
    pub(crate) fn place(&mut self, subject: &'a Arc<Subject>) -> usize {
        let Self { subjects, shared, known, .. } = self;
        *shared.entry(Arc::as_ptr(subject).addr()).or_insert_with(|| {
            *known.entry(subject.as_ref()).or_insert_with(|| {
                subjects.push(subject.as_ref());
                subjects.len() - 1
            })
        })
    }

    /// Adds a line.
    pub(crate) fn line(&mut self, line: &impl Serialize) -> Result<()> {
        serde_json::to_writer(&mut self.lines, line).map_err(|error| self.unfit(&error))?;
        self.lines.push(b'\n');
        Ok(())
    }

    /// All of them, compressed.
    pub(crate) fn finish(mut self) -> Result<Vec<u8>> {
        let head = Head { subjects: std::mem::take(&mut self.subjects) };
        let mut lines = serde_json::to_vec(&head).map_err(|error| self.unfit(&error))?;
        lines.push(b'\n');
        lines.append(&mut self.lines);
        zstd::bulk::compress(&lines, LEVEL)
            .map_err(|error| StoreError::database(format!("a block cannot be compressed: {error}")))
    }

    fn unfit(&self, error: &serde_json::Error) -> StoreError {
        StoreError::invalid(self.table, "entry", error.to_string())
    }
}

/// What is wrong with a value of this table.
pub(crate) fn damaged(table: &str, error: impl std::fmt::Display) -> StoreError {
    StoreError::database(format!("a block of {table} is damaged: {error}"))
}

/// The lines in the column `data` of a row of this table.
pub(crate) fn unpack(row: &Row, table: &str) -> Result<Vec<u8>> {
    let packed = row.bytes("data")?;
    let mut lines = Vec::new();
    let reader =
        zstd::stream::read::Decoder::new(packed.as_slice()).map_err(|error| damaged(table, error))?;
    reader.take(MAX_SIZE).read_to_end(&mut lines).map_err(|error| damaged(table, error))?;
    Ok(lines)
}

/// What the lines say; `record` answers None for a line that refers to no subject.
pub(crate) fn read<'l, L: Deserialize<'l>, T>(
    lines: &'l [u8],
    record: impl Fn(L, &[Arc<Subject>]) -> Option<T>,
) -> serde_json::Result<Vec<T>> {
    let mut lines = lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let head: Head<Subject> = serde_json::from_slice(lines.next().unwrap_or_default())?;
    let subjects: Vec<_> = head.subjects.into_iter().map(Arc::new).collect();
    let unknown = || <serde_json::Error as serde::de::Error>::custom("a line refers to no subject");
    lines.map(|line| record(serde_json::from_slice(line)?, &subjects).ok_or_else(unknown)).collect()
}
