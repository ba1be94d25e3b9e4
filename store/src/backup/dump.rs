//! Writes a dump: JSON lines, one row each, between a head and a tail with the row counts and a checksum.

use std::io::{BufWriter, Write};
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::Serialize;
use serde_json::Value as Json;
use sha2::{Digest, Sha256};

use super::tables::{Kind, TABLES, Table};
use super::{DumpSummary, FORMAT, FORMAT_VERSION, Head, Line, Partial, Tail, file_fault};
use crate::SCHEMA_VERSION;
use crate::database::{Database, Row, Transaction, Value};
use crate::error::{Result, StoreError};
use crate::records::places;

/// Rows read at once; a block of the ledger may have some hundred kilobytes.
const PAGE: usize = 100;

/// The lines so far, and their checksum.
struct Lines<'a> {
    path: &'a Path,
    file: BufWriter<std::fs::File>,
    digest: Sha256,
}

impl Lines<'_> {
    fn write(&mut self, line: &impl Serialize) -> Result<()> {
        let mut text = serde_json::to_vec(line).map_err(|error| StoreError::database(error.to_string()))?;
        text.push(b'\n');
        self.digest.update(&text);
        self.file.write_all(&text).map_err(file_fault(self.path))
    }
}

/// Dumps one unchanging state of the database.
pub(crate) async fn dump(database: &Database, target: &Path, now_ms: i64) -> Result<DumpSummary> {
    let (partial, file) = Partial::create(target)?;
    let mut lines = Lines { path: target, file: BufWriter::new(file), digest: Sha256::new() };
    lines.write(&Head {
        format: FORMAT.to_owned(),
        version: FORMAT_VERSION,
        schema: SCHEMA_VERSION,
        created_at_ms: now_ms,
    })?;
    let mut summary = DumpSummary::default();
    let mut snapshot = database.snapshot().await?;
    for table in TABLES {
        let count = write_table(&mut snapshot, table, &mut lines).await?;
        summary.rows.insert(table.name.to_owned(), count);
    }
    drop(snapshot);
    summary.sha256 = hexadecimal(&std::mem::take(&mut lines.digest).finalize());
    lines.write(&Tail { rows: summary.rows.clone(), sha256: summary.sha256.clone() })?;
    lines.file.flush().map_err(file_fault(target))?;
    partial.finish()?;
    Ok(summary)
}

async fn write_table(snapshot: &mut Transaction, table: &Table, lines: &mut Lines<'_>) -> Result<u64> {
    let key = table.key.join(", ");
    let head = format!("SELECT * FROM {}", table.name);
    let tail = format!(" ORDER BY {key} LIMIT {PAGE}");
    let first = format!("{head}{tail}");
    let next = format!("{head} WHERE ({key}) > ({}){tail}", places(1, table.key.len()));
    let mut after: Option<Vec<Value>> = None;
    let mut count = 0;
    loop {
        let rows = match after {
            None => snapshot.rows(&first, vec![]).await?,
            Some(values) => snapshot.rows(&next, values).await?,
        };
        for row in &rows {
            let columns =
                table.columns.iter().map(|(name, kind)| Ok(((*name).to_owned(), read(row, name, *kind)?)));
            lines.write(&Line { table: table.name.to_owned(), row: columns.collect::<Result<_>>()? })?;
            count += 1;
        }
        match rows.last() {
            Some(last) if rows.len() == PAGE => after = Some(place(last, table)?),
            _ => return Ok(count),
        }
    }
}

fn read(row: &Row, column: &str, kind: Kind) -> Result<Json> {
    Ok(match kind {
        Kind::Int => row.int_or_null(column)?.into(),
        Kind::Text => row.text_or_null(column)?.into(),
        Kind::Bytes => row.bytes_or_null(column)?.map(|bytes| BASE64.encode(bytes)).into(),
        Kind::Bool => row.bool(column)?.into(),
    })
}

/// The primary key of a row, to go on behind it.
fn place(row: &Row, table: &Table) -> Result<Vec<Value>> {
    let kind = |key: &str| table.columns.iter().find(|(name, _)| *name == key).map(|(_, kind)| *kind);
    table
        .key
        .iter()
        .map(|key| {
            Ok(match kind(key) {
                Some(Kind::Int) => row.int(key)?.into(),
                Some(Kind::Bytes) => row.bytes(key)?.as_slice().into(),
                Some(Kind::Bool) => row.bool(key)?.into(),
                Some(Kind::Text) | None => row.text(key)?.into(),
            })
        })
        .collect()
}

pub(super) fn hexadecimal(digest: &[u8]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}
