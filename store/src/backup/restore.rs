//! Reads a dump into an empty store, in one transaction that is committed only when counts and checksum are right.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::Value as Json;
use sha2::{Digest, Sha256};

use super::dump::hexadecimal;
use super::tables::{Kind, RETIRED, TABLES, Table};
use super::{DumpSummary, FORMAT, FORMAT_VERSION, Head, Line, Tail, file_fault};
use crate::SCHEMA_VERSION;
use crate::database::{Database, Transaction, Value};
use crate::error::{Result, StoreError};
use crate::records::places;

/// Reads all of it or nothing.
pub(crate) async fn restore(database: &Database, path: &Path) -> Result<DumpSummary> {
    let mut lines =
        Lines { path, file: BufReader::new(File::open(path).map_err(file_fault(path))?), number: 0 };
    let mut digest = Sha256::new();
    let head = lines.next()?.ok_or_else(|| lines.fault("the file is empty"))?;
    check(&head, &lines)?;
    digest.update(&head);

    let mut transaction = database.write().await?;
    // Nobody may write between the look and the commit.
    if transaction.is_postgres() {
        let names: Vec<&str> = TABLES.iter().map(|table| table.name).collect();
        let lock = format!("LOCK TABLE {} IN EXCLUSIVE MODE", names.join(", "));
        transaction.execute(&lock, vec![]).await?;
    }
    refuse_rows(&mut transaction).await?;
    let mut rows: BTreeMap<String, u64> = TABLES.iter().map(|table| (table.name.to_owned(), 0)).collect();
    let tail = loop {
        let text = lines.next()?.ok_or_else(|| lines.fault("the end is missing: the file was cut short"))?;
        match serde_json::from_slice::<Line>(&text) {
            Ok(line) => {
                digest.update(&text);
                insert(&mut transaction, &line, &lines).await?;
                *rows.entry(line.table).or_default() += 1;
            }
            // The last line has another form.
            Err(error) => match serde_json::from_slice::<Tail>(&text) {
                Ok(tail) => break tail,
                Err(_) => return Err(lines.fault(error.to_string())),
            },
        }
    };
    if lines.next()?.is_some() {
        return Err(lines.fault("there is something behind the end"));
    }
    if tail.rows != rows {
        return Err(lines.fault(format!("the counts are {rows:?} and should be {:?}", tail.rows)));
    }
    let sha256 = hexadecimal(&digest.finalize());
    if tail.sha256 != sha256 {
        return Err(lines.fault("the checksum is wrong: the file was changed"));
    }
    count_rows(&mut transaction, &rows).await?;
    transaction.commit().await?;
    Ok(DumpSummary { rows, sha256 })
}

struct Lines<'a> {
    path: &'a Path,
    file: BufReader<File>,
    number: u64,
}

impl Lines<'_> {
    fn next(&mut self) -> Result<Option<Vec<u8>>> {
        let mut line = vec![];
        self.number += 1;
        let length = self.file.read_until(b'\n', &mut line).map_err(file_fault(self.path))?;
        Ok((length > 0).then_some(line))
    }

    fn fault(&self, reason: impl Into<String>) -> StoreError {
        StoreError::Dump { line: self.number, reason: reason.into() }
    }
}

fn check(head: &[u8], lines: &Lines<'_>) -> Result<()> {
    let head: Head =
        serde_json::from_slice(head).map_err(|_| lines.fault("the head of a dump was expected"))?;
    if head.format != FORMAT {
        return Err(lines.fault(format!("the format is {:?} and should be {FORMAT:?}", head.format)));
    }
    if head.version > FORMAT_VERSION || head.schema > SCHEMA_VERSION {
        return Err(StoreError::NewerSchema { found: head.schema, known: SCHEMA_VERSION });
    }
    Ok(())
}

async fn refuse_rows(transaction: &mut Transaction) -> Result<()> {
    for table in TABLES {
        let sql = format!("SELECT 1 AS found FROM {} LIMIT 1", table.name);
        if transaction.row(&sql, vec![]).await?.is_some() {
            return Err(StoreError::NotEmpty { table: table.name.to_owned() });
        }
    }
    Ok(())
}

/// What the database holds, not what was sent to it.
async fn count_rows(transaction: &mut Transaction, expected: &BTreeMap<String, u64>) -> Result<()> {
    for (table, expected) in expected {
        let sql = format!("SELECT COUNT(*) AS found FROM {table}");
        let found = transaction.row(&sql, vec![]).await?.map_or(Ok(0), |row| row.count("found"))?;
        if found != *expected {
            return Err(StoreError::database(format!(
                "{table} holds {found} rows after {expected} were written"
            )));
        }
    }
    Ok(())
}

async fn insert(transaction: &mut Transaction, line: &Line, lines: &Lines<'_>) -> Result<()> {
    let Some(table) = TABLES.iter().find(|table| table.name == line.table) else {
        return Err(lines.fault(format!("there is no table {:?}", line.table)));
    };
    let is_known = |key: &str| {
        table.columns.iter().any(|(name, _)| *name == key) || RETIRED.contains(&(table.name, key))
    };
    if let Some(stranger) = line.row.keys().find(|key| !is_known(key)) {
        return Err(lines.fault(format!("{} has no column {stranger:?}", table.name)));
    }
    // A column that an older schema did not have is left to its default.
    let present = || table.columns.iter().filter(|(name, _)| line.row.contains_key(*name));
    let names: Vec<&str> = present().map(|(name, _)| *name).collect();
    let values = present().map(|column| value(table, column, line, lines)).collect::<Result<Vec<_>>>()?;
    let sql =
        format!("INSERT INTO {} ({}) VALUES ({})", table.name, names.join(", "), places(1, names.len()));
    transaction.execute(&sql, values).await.map(|_| ())
}

fn value(table: &Table, (name, kind): &(&str, Kind), line: &Line, lines: &Lines<'_>) -> Result<Value> {
    let wrong = || lines.fault(format!("{}.{name} should be of kind {kind:?}", table.name));
    let json = line.row.get(*name).unwrap_or(&Json::Null);
    Ok(match (kind, json) {
        (Kind::Int, Json::Null) => Value::Int(None),
        (Kind::Int, json) => Value::Int(Some(json.as_i64().ok_or_else(wrong)?)),
        (Kind::Text, Json::Null) => Value::Text(None),
        (Kind::Text, json) => json.as_str().ok_or_else(wrong)?.into(),
        (Kind::Bytes, Json::Null) => Value::Bytes(None),
        (Kind::Bytes, json) => {
            Value::Bytes(Some(BASE64.decode(json.as_str().ok_or_else(wrong)?).map_err(|_| wrong())?))
        }
        (Kind::Bool, json) => json.as_bool().ok_or_else(wrong)?.into(),
    })
}
