//! What keys, teams, users, credentials and admins have in common: each is a table of rows with an id and a version,
//! and each change of one is audited and counted in the same transaction.

use std::collections::{HashMap, HashSet};
use std::marker::PhantomData;

use serde::Serialize;

use crate::Store;
use crate::audit::{self, Change, Difference};
use crate::database::{Row, Transaction, Value};
use crate::error::{Result, StoreError};
use crate::revision::{self, Topic};

/// A row of an administrated table.
pub(crate) trait Record: Serialize + Sized {
    const TABLE: &'static str;
    const TOPIC: Topic;
    /// Without `updated_at` and `version`, which are kept here; `id` first.
    const COLUMNS: &'static [&'static str];
    /// Columns that refer to another table, which SQLite does not name when one leads nowhere.
    const REFERENCES: &'static [(&'static str, &'static str)] = &[];

    /// The condition of rows that belong to the team `$3`.
    const OF_TEAM: &'static str = "$3 = ''";

    fn id(&self) -> &str;
    /// The team that a change of it concerns.
    fn team(&self) -> Option<&str> {
        None
    }
    /// In the order of `COLUMNS`.
    fn values(&self) -> Result<Vec<Value>>;
    fn read(row: &Row) -> Result<Self>;
    fn version(&self) -> u64;
    /// After a write.
    fn written(&mut self, at_ms: i64, version: u64);
    fn created_at(&mut self, at_ms: i64);
}

/// The rows of one administrated table. See [`Store::keys`] and its neighbours.
#[derive(Debug)]
pub struct Records<'a, R> {
    pub(crate) store: &'a Store,
    kind: PhantomData<fn() -> R>,
}

impl<R> Clone for Records<'_, R> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<R> Copy for Records<'_, R> {}

impl<'a, R> Records<'a, R> {
    pub(crate) fn new(store: &'a Store) -> Self {
        Self { store, kind: PhantomData }
    }
}

#[expect(private_bounds, reason = "sealed: the kinds of rows are this crate's")]
impl<R: Record + Send> Records<'_, R> {
    /// Adds one; times and version are filled in.
    ///
    /// # Errors
    /// `Conflict` with the field that is taken, `MissingReference` with the field that leads nowhere.
    pub async fn insert(self, record: R, change: &Change) -> Result<R> {
        insert(self.store, record, change).await
    }

    /// Replaces one, when it has not changed since it was read.
    ///
    /// # Errors
    /// `Stale`, `NotFound`, and those of `insert`.
    pub async fn update(self, record: R, change: &Change) -> Result<R> {
        replace(self.store, record, change).await
    }

    /// Removes one.
    ///
    /// # Errors
    /// `NotFound`; `InUse` while something refers to it.
    pub async fn delete(self, id: &str, change: &Change) -> Result<()> {
        delete::<R>(self.store, id, change).await
    }

    /// The one with this id.
    ///
    /// # Errors
    /// Those of any read.
    pub async fn get(self, id: &str) -> Result<Option<R>> {
        find(self.store, "id", id.into()).await
    }

    /// The one with this name.
    ///
    /// # Errors
    /// Those of any read.
    pub async fn by_name(self, name: &str) -> Result<Option<R>> {
        find(self.store, "name", name.into()).await
    }

    /// Up to `limit` (at most 1,000) in the order of their ids, after the id `after`.
    ///
    /// # Errors
    /// Those of any read.
    pub async fn list(self, after: Option<&str>, limit: u32) -> Result<Vec<R>> {
        list(self.store, after, limit).await
    }

    /// The same, only of what belongs to this team.
    ///
    /// # Errors
    /// Those of any read.
    pub async fn list_of_team(self, team_id: &str, after: Option<&str>, limit: u32) -> Result<Vec<R>> {
        let sql = format!("SELECT * FROM {} WHERE id > $1 AND {} ORDER BY id LIMIT $2", R::TABLE, R::OF_TEAM);
        let limit = i64::from(limit.min(MAX_PAGE));
        let values = vec![after.unwrap_or_default().into(), limit.into(), team_id.into()];
        self.store.database.rows(&sql, values).await?.iter().map(R::read).collect()
    }

    /// The version and time of change of every row by its id: what a copy in memory is compared with. The version alone
    /// begins anew when an id is deleted and made again.
    ///
    /// # Errors
    /// Those of any read.
    pub async fn versions(self) -> Result<HashMap<String, (u64, i64)>> {
        let sql = format!("SELECT id, version, updated_at FROM {}", R::TABLE);
        let rows = self.store.database.rows(&sql, vec![]).await?;
        rows.iter()
            .map(|row| Ok((row.text("id")?, (row.count("version")?, row.int("updated_at")?))))
            .collect()
    }

    /// The rows with these ids that are still there: few one by one, many in pages of the whole table.
    ///
    /// # Errors
    /// Those of any read.
    pub async fn of_ids(self, ids: &[String]) -> Result<Vec<R>> {
        let mut found = Vec::new();
        if ids.len() <= FEW {
            for id in ids {
                found.extend(self.get(id).await?);
            }
            return Ok(found);
        }
        let wanted: HashSet<&str> = ids.iter().map(String::as_str).collect();
        let mut after = None;
        loop {
            let page = self.list(after.as_deref(), MAX_PAGE).await?;
            let Some(last) = page.last() else { return Ok(found) };
            after = Some(last.id().to_owned());
            found.extend(page.into_iter().filter(|row| wanted.contains(row.id())));
        }
    }
}

/// Rows that are read one by one.
const FEW: usize = 50;

/// Adds a row; answers it as it is stored.
async fn insert<R: Record>(store: &Store, mut record: R, change: &Change) -> Result<R> {
    record.created_at(change.at_ms);
    record.written(change.at_ms, 1);
    let columns = R::COLUMNS.join(", ");
    let places = places(1, R::COLUMNS.len() + 2);
    let sql = format!("INSERT INTO {} ({columns}, updated_at, version) VALUES ({places})", R::TABLE);
    let mut values = record.values()?;
    values.extend([change.at_ms.into(), Value::from(1_i64)]);
    let mut transaction = store.database.write().await?;
    if let Err(error) = transaction.execute(&sql, values).await {
        drop(transaction);
        return Err(name_reference(store, &record, error).await);
    }
    let difference = Difference { before: None, after: Some(json::<R>(&record)?), team: team(&record) };
    finish::<R>(transaction, change, "create", record.id(), difference).await?;
    Ok(record)
}

/// Reads the row, lets `edit` change it, writes it back; nobody else changes it in between.
pub(crate) async fn modify<R: Record>(
    store: &Store,
    id: &str,
    change: &Change,
    action: &str,
    edit: impl FnOnce(&mut R) -> Result<()> + Send,
) -> Result<R> {
    let mut transaction = store.database.write().await?;
    let lock = if transaction.is_postgres() { " FOR UPDATE" } else { "" };
    let sql = format!("SELECT * FROM {} WHERE id = $1{lock}", R::TABLE);
    let row = transaction.row(&sql, vec![id.into()]).await?;
    let mut record = R::read(&row.ok_or_else(|| StoreError::not_found(R::TABLE, id))?)?;
    let (before, version, team_before) = (json::<R>(&record)?, record.version(), team(&record));
    edit(&mut record)?;
    record.written(change.at_ms, version + 1);

    let columns: Vec<String> =
        R::COLUMNS.iter().enumerate().map(|(index, column)| format!("{column} = ${}", index + 1)).collect();
    let next = R::COLUMNS.len() + 1;
    let sql = format!(
        "UPDATE {} SET {}, updated_at = ${next}, version = ${} WHERE id = ${}",
        R::TABLE,
        columns.join(", "),
        next + 1,
        next + 2,
    );
    let mut values = record.values()?;
    values.extend([change.at_ms.into(), record.version().into(), id.into()]);
    if let Err(error) = transaction.execute(&sql, values).await {
        drop(transaction);
        return Err(name_reference(store, &record, error).await);
    }
    // A move from one team to another shows each of them what is the other's: neither sees it.
    let team = Some(team(&record)).filter(|team| *team == team_before).unwrap_or_default();
    let difference = Difference { before: Some(before), after: Some(json::<R>(&record)?), team };
    finish::<R>(transaction, change, action, id, difference).await?;
    Ok(record)
}

/// Replaces the row, when it is still the version that `record` was read as.
async fn replace<R: Record + Send>(store: &Store, record: R, change: &Change) -> Result<R> {
    let id = record.id().to_owned();
    let edit = |stored: &mut R| {
        if stored.version() != record.version() {
            return Err(StoreError::Stale { table: R::TABLE.to_owned(), id: record.id().to_owned() });
        }
        *stored = record;
        Ok(())
    };
    modify(store, &id, change, "update", edit).await
}

/// Removes a row that nothing refers to.
async fn delete<R: Record>(store: &Store, id: &str, change: &Change) -> Result<()> {
    let mut transaction = store.database.write().await?;
    let sql = format!("DELETE FROM {} WHERE id = $1 RETURNING *", R::TABLE);
    let row = transaction.row(&sql, vec![id.into()]).await.map_err(|error| match error {
        StoreError::MissingReference { .. } => {
            StoreError::InUse { table: R::TABLE.to_owned(), id: id.to_owned() }
        }
        other => other,
    })?;
    let record = R::read(&row.ok_or_else(|| StoreError::not_found(R::TABLE, id))?)?;
    let difference = Difference { before: Some(json::<R>(&record)?), after: None, team: team(&record) };
    finish::<R>(transaction, change, "delete", id, difference).await
}

/// The row whose `column` has this value.
async fn find<R: Record>(store: &Store, column: &str, value: Value) -> Result<Option<R>> {
    let sql = format!("SELECT * FROM {} WHERE {column} = $1", R::TABLE);
    store.database.row(&sql, vec![value]).await?.map(|row| R::read(&row)).transpose()
}

/// The longest page of [`list`].
const MAX_PAGE: u32 = 1_000;

/// Rows in the order of their ids, after `after`.
async fn list<R: Record>(store: &Store, after: Option<&str>, limit: u32) -> Result<Vec<R>> {
    let sql = format!("SELECT * FROM {} WHERE id > $1 ORDER BY id LIMIT $2", R::TABLE);
    let values = vec![after.unwrap_or_default().into(), i64::from(limit.min(MAX_PAGE)).into()];
    store.database.rows(&sql, values).await?.iter().map(R::read).collect()
}

/// `$3, $4, $5` for `first` 3 and `count` 3.
pub(crate) fn places(first: usize, count: usize) -> String {
    (first..first + count).map(|place| format!("${place}")).collect::<Vec<_>>().join(", ")
}

/// A value as JSON text, for a column or the audit log.
pub(crate) fn json<R: Record>(value: &impl Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(|error| StoreError::invalid(R::TABLE, "", error.to_string()))
}

fn team(record: &impl Record) -> String {
    record.team().unwrap_or_default().to_owned()
}

async fn finish<R: Record>(
    mut transaction: Transaction,
    change: &Change,
    action: &str,
    id: &str,
    difference: Difference,
) -> Result<()> {
    audit::append(&mut transaction, change, action, (R::TABLE, id), difference).await?;
    revision::raise(&mut transaction, R::TOPIC).await?;
    transaction.commit().await
}

/// Finds out which reference leads nowhere, where the database does not tell.
async fn name_reference<R: Record>(store: &Store, record: &R, error: StoreError) -> StoreError {
    let StoreError::MissingReference { field, .. } = &error else { return error };
    if !field.is_empty() && field != "FOREIGN KEY constraint failed" {
        return error;
    }
    let Ok(values) = record.values() else { return error };
    for (column, table) in R::REFERENCES {
        let value = R::COLUMNS.iter().position(|name| name == column).and_then(|index| values.get(index));
        let Some(value @ Value::Text(Some(_))) = value else { continue };
        let sql = format!("SELECT id FROM {table} WHERE id = $1");
        if let Ok(None) = store.database.row(&sql, vec![value.clone()]).await {
            return StoreError::MissingReference { table: R::TABLE.to_owned(), field: (*column).to_owned() };
        }
    }
    error
}
