//! Prompts and answers of keys that ask for it, encrypted by the caller; in a table of their own, since a client's
//! request id may come twice. What was erased is not appended any more, whoever still had it in a queue.

use crate::Store;
use crate::database::{Row, Value};
use crate::erasure::{self, Owned};
use crate::error::Result;
use crate::records::places;

/// What was said in one request, encrypted. Texts that do not apply are empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SealedContents {
    /// Ours, and unique.
    pub id: String,
    /// The request's, which its client may have chosen.
    pub request_id: String,
    /// When the request arrived.
    pub at_ms: i64,
    /// Whose key.
    pub key_id: String,
    /// The key's team.
    pub team_id: String,
    /// The key's user.
    pub user_id: String,
    /// Which key it is encrypted with.
    pub encryption_key_id: String,
    /// What the cipher needs beside its key.
    pub nonce: Vec<u8>,
    /// Prompt and answer.
    pub ciphertext: Vec<u8>,
}

/// Whose contents to read.
#[derive(Clone, Debug)]
pub enum ContentsOf {
    /// Anybody's.
    Anyone,
    /// This team's.
    Team(String),
    /// This key's.
    Key(String),
}

/// Rows of one deleting statement: each may have half a megabyte, which is overwritten.
const PAGE: i64 = 50;
const COLUMNS: [&str; 9] =
    ["id", "request_id", "at", "key_id", "team_id", "user_id", "encryption_key_id", "nonce", "ciphertext"];

/// Prompts and answers. See [`Store::contents`].
#[derive(Clone, Copy, Debug)]
pub struct Contents<'a>(pub(crate) &'a Store);

impl Contents<'_> {
    /// Appends contents, all or none, but for those that were erased meanwhile.
    ///
    /// # Errors
    /// Those of any write.
    pub async fn append(self, contents: &[SealedContents]) -> Result<()> {
        let Some(oldest_ms) = contents.iter().map(|it| it.at_ms).min() else { return Ok(()) };
        let sql = format!(
            "INSERT INTO request_contents ({}) VALUES ({}) ON CONFLICT (id) DO NOTHING",
            COLUMNS.join(", "),
            places(1, COLUMNS.len())
        );
        let mut transaction = self.0.database.write().await?;
        let erased = erasure::reaching(&mut transaction, oldest_ms).await?;
        for it in contents.iter().filter(|it| !erased.iter().any(|erasure| erasure.concerns(&owned(it)))) {
            transaction.execute(&sql, values(it)).await?;
        }
        transaction.commit().await
    }

    /// What was said in the requests with this id, newest first, at most `limit` of them.
    ///
    /// # Errors
    /// Those of any read.
    pub async fn of_request(
        self,
        request_id: &str,
        whose: &ContentsOf,
        limit: u32,
    ) -> Result<Vec<SealedContents>> {
        let (condition, owner) = match whose {
            ContentsOf::Anyone => ("$2 = ''", ""),
            ContentsOf::Team(id) => ("team_id = $2", id.as_str()),
            ContentsOf::Key(id) => ("key_id = $2", id.as_str()),
        };
        let sql = format!(
            "SELECT * FROM request_contents WHERE request_id = $1 AND {condition}
             ORDER BY at DESC, id DESC LIMIT $3"
        );
        let values = vec![request_id.into(), owner.into(), i64::from(limit).into()];
        self.0.database.rows(&sql, values).await?.iter().map(read).collect()
    }

    /// Contents that are encrypted with another key than this one, in the order of their ids, behind `after`.
    ///
    /// # Errors
    /// Those of any read.
    pub async fn not_sealed_with(
        self,
        encryption_key_id: &str,
        after: &str,
        limit: u32,
    ) -> Result<Vec<SealedContents>> {
        let sql =
            "SELECT * FROM request_contents WHERE encryption_key_id <> $1 AND id > $2 ORDER BY id LIMIT $3";
        let values = vec![encryption_key_id.into(), after.into(), i64::from(limit).into()];
        self.0.database.rows(sql, values).await?.iter().map(read).collect()
    }

    /// Puts other ciphertexts of the same contents in place of theirs, all or none. What is gone stays so.
    ///
    /// # Errors
    /// Those of any write.
    pub async fn reseal(self, contents: &[SealedContents]) -> Result<()> {
        let sql =
            "UPDATE request_contents SET encryption_key_id = $2, nonce = $3, ciphertext = $4 WHERE id = $1";
        let mut transaction = self.0.database.write().await?;
        for it in contents {
            let (nonce, ciphertext) = (it.nonce.as_slice(), it.ciphertext.as_slice());
            let values = vec![
                it.id.as_str().into(),
                it.encryption_key_id.as_str().into(),
                nonce.into(),
                ciphertext.into(),
            ];
            transaction.execute(sql, values).await?;
        }
        transaction.commit().await
    }

    /// Erases what is older than this time; answers how many requests it concerned. A few rows at a time, so that others
    /// can write in between: an error leaves part of the work done, and the same call goes on.
    ///
    /// # Errors
    /// Those of any write; `Busy` when everything is deleted, but a reader keeps SQLite's log from being emptied.
    pub async fn erase_before(self, at_ms: i64) -> Result<u64> {
        let erased = self.delete("at < $1", vec![at_ms.into()]).await?;
        // Also when there is nothing: the time before, it may have failed behind the last row.
        self.0.database.fold_log().await?;
        Ok(erased)
    }

    /// Empties SQLite's log of what was overwritten or deleted.
    ///
    /// # Errors
    /// `Busy` while a reader needs it.
    pub async fn fold_log(self) -> Result<()> {
        self.0.database.fold_log().await
    }

    pub(crate) async fn delete(self, condition: &str, values: Vec<Value>) -> Result<u64> {
        let sql = format!(
            "DELETE FROM request_contents WHERE id IN
             (SELECT id FROM request_contents WHERE {condition} LIMIT {PAGE})"
        );
        erasure::repeat(self.0, &sql, values).await
    }
}

fn owned(it: &SealedContents) -> Owned<'_> {
    Owned {
        at_ms: it.at_ms,
        key_id: &it.key_id,
        team_id: &it.team_id,
        user_id: &it.user_id,
        request_id: &it.request_id,
    }
}

fn values(it: &SealedContents) -> Vec<Value> {
    vec![
        it.id.as_str().into(),
        it.request_id.as_str().into(),
        it.at_ms.into(),
        it.key_id.as_str().into(),
        it.team_id.as_str().into(),
        it.user_id.as_str().into(),
        it.encryption_key_id.as_str().into(),
        it.nonce.as_slice().into(),
        it.ciphertext.as_slice().into(),
    ]
}

fn read(row: &Row) -> Result<SealedContents> {
    Ok(SealedContents {
        id: row.text("id")?,
        request_id: row.text("request_id")?,
        at_ms: row.int("at")?,
        key_id: row.text("key_id")?,
        team_id: row.text("team_id")?,
        user_id: row.text("user_id")?,
        encryption_key_id: row.text("encryption_key_id")?,
        nonce: row.bytes("nonce")?,
        ciphertext: row.bytes("ciphertext")?,
    })
}
