//! Sessions of admins. Tokens arrive hashed.

use crate::Store;
use crate::database::Row;
use crate::error::{Result, StoreError};

/// One session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
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
}

/// Sessions. See [`Store::sessions`].
#[derive(Clone, Copy, Debug)]
pub struct Sessions<'a>(pub(crate) &'a Store);

impl Sessions<'_> {
    /// Begins one.
    ///
    /// # Errors
    /// `MissingReference` when there is no such admin, `Conflict` when the token is taken.
    pub async fn insert(self, session: &Session) -> Result<()> {
        let sql = "INSERT INTO sessions (token_hash, admin_id, csrf_hash, address, created_at, expires_at)
                   VALUES ($1, $2, $3, $4, $5, $6)";
        let values = vec![
            session.token_hash.as_slice().into(),
            session.admin_id.as_str().into(),
            session.csrf_hash.as_slice().into(),
            session.address.as_str().into(),
            session.created_at_ms.into(),
            session.expires_at_ms.into(),
        ];
        let mut transaction = self.0.database.write().await?;
        transaction.execute(sql, values).await.map_err(|error| match error {
            StoreError::MissingReference { .. } => {
                StoreError::MissingReference { table: "sessions".to_owned(), field: "admin_id".to_owned() }
            }
            other => other,
        })?;
        transaction.commit().await
    }

    /// The live session with this token, of an admin who may sign in.
    ///
    /// # Errors
    /// Those of any read.
    pub async fn live(self, token_hash: &[u8], now_ms: i64) -> Result<Option<Session>> {
        let sql = "SELECT sessions.* FROM sessions JOIN admins ON admins.id = sessions.admin_id
                   WHERE token_hash = $1 AND expires_at > $2 AND admins.disabled = FALSE";
        let row = self.0.database.row(sql, vec![token_hash.into(), now_ms.into()]).await?;
        row.map(|row| read(&row)).transpose()
    }

    /// Ends one; nothing happens when it has ended already.
    ///
    /// # Errors
    /// Those of any write.
    pub async fn end(self, token_hash: &[u8]) -> Result<()> {
        let mut transaction = self.0.database.write().await?;
        transaction.execute("DELETE FROM sessions WHERE token_hash = $1", vec![token_hash.into()]).await?;
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

fn read(row: &Row) -> Result<Session> {
    Ok(Session {
        token_hash: row.bytes("token_hash")?,
        admin_id: row.text("admin_id")?,
        csrf_hash: row.bytes("csrf_hash")?,
        address: row.text("address")?,
        created_at_ms: row.int("created_at")?,
        expires_at_ms: row.int("expires_at")?,
    })
}
