//! Sessions of admins. Tokens arrive hashed.

use crate::Store;
use crate::admins::Admin;
use crate::audit::{self, Change, Difference};
use crate::database::Row;
use crate::error::{Result, StoreError};
use crate::records::Record;

/// One session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdminSession {
    /// The hash of its token.
    pub token_hash: Vec<u8>,
    /// Whose.
    pub admin_id: String,
    /// The hash of its token against cross-site requests.
    pub csrf_hash: Vec<u8>,
    /// Where it began; empty when unknown.
    pub address: String,
    /// When it began.
    pub created_at_ms: i64,
    /// When it ends by itself.
    pub expires_at_ms: i64,
    /// When it was last used.
    pub seen_at_ms: i64,
}

/// Sessions. See [`Store::sessions`].
#[derive(Clone, Copy, Debug)]
pub struct Sessions<'a>(pub(crate) &'a Store);

impl Sessions<'_> {
    /// Begins one; the audit log has it as `login`.
    ///
    /// # Errors
    /// `MissingReference` when there is no such admin, `Conflict` when the token is taken.
    pub async fn insert(self, session: &AdminSession, change: &Change) -> Result<()> {
        let sql =
            "INSERT INTO sessions (token_hash, admin_id, csrf_hash, address, created_at, expires_at, seen_at)
                   VALUES ($1, $2, $3, $4, $5, $6, $7)";
        let values = vec![
            session.token_hash.as_slice().into(),
            session.admin_id.as_str().into(),
            session.csrf_hash.as_slice().into(),
            session.address.as_str().into(),
            session.created_at_ms.into(),
            session.expires_at_ms.into(),
            session.seen_at_ms.into(),
        ];
        let mut transaction = self.0.database.write().await?;
        transaction.execute(sql, values).await.map_err(|error| match error {
            StoreError::MissingReference { .. } => {
                StoreError::MissingReference { table: "sessions".to_owned(), field: "admin_id".to_owned() }
            }
            other => other,
        })?;
        let object = ("admins", session.admin_id.as_str());
        audit::append(&mut transaction, change, "login", object, Difference::default()).await?;
        transaction.commit().await
    }

    /// The live session with this token and its admin, who may sign in; it was used after `seen_after_ms`.
    ///
    /// # Errors
    /// Those of any read.
    pub async fn live(
        self,
        token_hash: &[u8],
        now_ms: i64,
        seen_after_ms: i64,
    ) -> Result<Option<(AdminSession, Admin)>> {
        let sql = "SELECT sessions.* FROM sessions JOIN admins ON admins.id = sessions.admin_id
                   WHERE token_hash = $1 AND sessions.expires_at > $2 AND sessions.seen_at > $3
                   AND sessions.created_at >= admins.sessions_from AND admins.disabled = FALSE";
        let values = vec![token_hash.into(), now_ms.into(), seen_after_ms.into()];
        let Some(row) = self.0.database.row(sql, values).await? else { return Ok(None) };
        let session = read(&row)?;
        let sql = "SELECT * FROM admins WHERE id = $1 AND disabled = FALSE";
        let row = self.0.database.row(sql, vec![session.admin_id.as_str().into()]).await?;
        row.map(|row| Ok((session, Admin::read(&row)?))).transpose()
    }

    /// It is used now.
    ///
    /// # Errors
    /// Those of any write.
    pub async fn touch(self, token_hash: &[u8], now_ms: i64) -> Result<()> {
        let mut transaction = self.0.database.write().await?;
        let sql = "UPDATE sessions SET seen_at = $2 WHERE token_hash = $1";
        transaction.execute(sql, vec![token_hash.into(), now_ms.into()]).await?;
        transaction.commit().await
    }

    /// Ends one, which the audit log has as `logout`; nothing happens when it has ended already.
    ///
    /// # Errors
    /// Those of any write.
    pub async fn end(self, token_hash: &[u8], change: &Change) -> Result<()> {
        let mut transaction = self.0.database.write().await?;
        let sql = "DELETE FROM sessions WHERE token_hash = $1 RETURNING admin_id";
        if let Some(row) = transaction.row(sql, vec![token_hash.into()]).await? {
            let admin_id = row.text("admin_id")?;
            let object = ("admins", admin_id.as_str());
            audit::append(&mut transaction, change, "logout", object, Difference::default()).await?;
        }
        transaction.commit().await
    }

    /// Ends all of an admin, for example after a change of the password. Answers how many.
    ///
    /// # Errors
    /// Those of any write.
    pub async fn end_all(self, admin_id: &str) -> Result<u64> {
        let mut transaction = self.0.database.write().await?;
        let ended =
            transaction.execute("DELETE FROM sessions WHERE admin_id = $1", vec![admin_id.into()]).await?;
        transaction.commit().await?;
        Ok(ended)
    }

    /// Removes those that have ended by themselves. Answers how many.
    ///
    /// # Errors
    /// Those of any write.
    pub async fn purge(self, now_ms: i64) -> Result<u64> {
        let mut transaction = self.0.database.write().await?;
        let gone =
            transaction.execute("DELETE FROM sessions WHERE expires_at <= $1", vec![now_ms.into()]).await?;
        transaction.commit().await?;
        Ok(gone)
    }
}

fn read(row: &Row) -> Result<AdminSession> {
    Ok(AdminSession {
        token_hash: row.bytes("token_hash")?,
        admin_id: row.text("admin_id")?,
        csrf_hash: row.bytes("csrf_hash")?,
        address: row.text("address")?,
        created_at_ms: row.int("created_at")?,
        expires_at_ms: row.int("expires_at")?,
        seen_at_ms: row.int("seen_at")?,
    })
}
