//! How answers of routes were judged: the newest judgements of each tenant, for the gateway that comes after this one. Tenants
//! are hashes of the caller's; nothing of a prompt or an answer is here.

use std::collections::BTreeMap;

use crate::Store;
use crate::database::Row;
use crate::error::Result;
use crate::records::places;

/// A judgement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteJudgement {
    /// Of [`crate::new_id`]: they sort by time.
    pub id: String,
    /// When it was judged.
    pub at_ms: i64,
    /// Whose predictions it corrects.
    pub tenant: String,
    /// Who answered.
    pub model: String,
    /// What was predicted, as a logit, in millionths.
    pub logit_millionths: i64,
    /// What it was worth, from 0 to a million.
    pub score_millionths: i64,
}

const COLUMNS: [&str; 6] = ["id", "at", "tenant", "model", "logit_millionths", "score_millionths"];

/// Judgements. See [`Store::route_feedback`].
#[derive(Clone, Copy, Debug)]
pub struct RouteFeedback<'a>(pub(crate) &'a Store);

impl RouteFeedback<'_> {
    /// Appends judgements, all or none; one that is there already is left alone. Of each tenant in `newest` no more than so
    /// many of the newest stay.
    ///
    /// # Errors
    /// Those of any write.
    pub async fn append(self, judgements: &[RouteJudgement], newest: &BTreeMap<String, u32>) -> Result<()> {
        if judgements.is_empty() && newest.is_empty() {
            return Ok(());
        }
        let insert = format!(
            "INSERT INTO route_feedback ({}) VALUES ({}) ON CONFLICT (id) DO NOTHING",
            COLUMNS.join(", "),
            places(1, COLUMNS.len())
        );
        let mut transaction = self.0.database.write().await?;
        for it in judgements {
            let values = vec![
                it.id.as_str().into(),
                it.at_ms.into(),
                it.tenant.as_str().into(),
                it.model.as_str().into(),
                it.logit_millionths.into(),
                it.score_millionths.into(),
            ];
            transaction.execute(&insert, values).await?;
        }
        let prune = "DELETE FROM route_feedback WHERE tenant = $1 AND id <=
             (SELECT id FROM route_feedback WHERE tenant = $2 ORDER BY id DESC LIMIT 1 OFFSET $3)";
        for (tenant, most) in newest {
            let values = vec![tenant.as_str().into(), tenant.as_str().into(), i64::from(*most).into()];
            transaction.execute(prune, values).await?;
        }
        transaction.commit().await
    }

    /// The newest of all tenants, newest first, at most `limit` of them; those before the one with the id `before` when that
    /// is not empty.
    ///
    /// # Errors
    /// Those of any read.
    pub async fn newest(self, before: &str, limit: u32) -> Result<Vec<RouteJudgement>> {
        let sql = "SELECT * FROM route_feedback WHERE ($1 = '' OR id < $2) ORDER BY id DESC LIMIT $3";
        let values = vec![before.into(), before.into(), i64::from(limit).into()];
        self.0.database.rows(sql, values).await?.iter().map(read).collect()
    }

    /// Deletes what is older than this time.
    ///
    /// # Errors
    /// Those of any write.
    pub async fn erase_before(self, at_ms: i64) -> Result<()> {
        let mut transaction = self.0.database.write().await?;
        transaction.execute("DELETE FROM route_feedback WHERE at < $1", vec![at_ms.into()]).await?;
        transaction.commit().await
    }
}

fn read(row: &Row) -> Result<RouteJudgement> {
    Ok(RouteJudgement {
        id: row.text("id")?,
        at_ms: row.int("at")?,
        tenant: row.text("tenant")?,
        model: row.text("model")?,
        logit_millionths: row.int("logit_millionths")?,
        score_millionths: row.int("score_millionths")?,
    })
}
