//! Counters that tell other nodes cheaply that something changed: one row for each topic, raised in the transaction of
//! the change, so that they move in the order of the commits.

use std::collections::BTreeMap;
use std::time::Duration;

use sqlx::postgres::PgListener;

use crate::Store;
use crate::database::Transaction;
use crate::error::Result;

/// What changes together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Topic {
    /// Virtual keys.
    Keys,
    /// Teams and users.
    Teams,
    /// Provider credentials.
    Credentials,
    /// Admins.
    Admins,
    /// Erasures.
    Erasures,
}

const CHANNEL: &str = "signalbox_revision";

impl Topic {
    const ALL: [Self; 5] = [Self::Keys, Self::Teams, Self::Credentials, Self::Admins, Self::Erasures];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Keys => "keys",
            Self::Teams => "teams",
            Self::Credentials => "credentials",
            Self::Admins => "admins",
            Self::Erasures => "erasures",
        }
    }
}

/// The counters. See [`Store::revisions`].
#[derive(Clone, Copy, Debug)]
pub struct Revisions<'a>(pub(crate) &'a Store);

impl Revisions<'_> {
    /// How often each topic has changed; topics that never did are missing. One read of a table of five rows.
    ///
    /// # Errors
    /// Those of any read.
    pub async fn current(self) -> Result<BTreeMap<Topic, u64>> {
        let rows = self.0.database.rows("SELECT topic, revision FROM revisions", vec![]).await?;
        let mut current = BTreeMap::new();
        for row in rows {
            let name = row.text("topic")?;
            // A newer program may have added topics.
            if let Some(topic) = Topic::ALL.into_iter().find(|topic| topic.as_str() == name) {
                current.insert(topic, row.count("revision")?);
            }
        }
        Ok(current)
    }

    /// Begins to watch: the first call of [`Watch::changed`] waits for a change after this one.
    ///
    /// # Errors
    /// Those of any read.
    pub async fn watch(self, every: Duration) -> Result<Watch> {
        let mut watch = Watch { store: self.0.clone(), every, seen: BTreeMap::new(), listener: None };
        watch.listen().await;
        watch.seen = self.current().await?;
        Ok(watch)
    }
}

/// Waits for changes: asks every so often, and with PostgreSQL wakes at once when it says so.
pub struct Watch {
    store: Store,
    every: Duration,
    seen: BTreeMap<Topic, u64>,
    listener: Option<PgListener>,
}

impl std::fmt::Debug for Watch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watch").field("every", &self.every).field("seen", &self.seen).finish_non_exhaustive()
    }
}

impl Watch {
    /// Waits until at least one topic has changed; answers which. May be cancelled without losing a change.
    ///
    /// # Errors
    /// Those of any read; the next call goes on where this one failed.
    pub async fn changed(&mut self) -> Result<Vec<Topic>> {
        loop {
            let current = self.store.revisions().current().await?;
            let changed: Vec<Topic> = current
                .iter()
                .filter(|(topic, revision)| self.seen.get(topic) != Some(revision))
                .map(|(topic, _)| *topic)
                .collect();
            if !changed.is_empty() {
                self.seen = current;
                return Ok(changed);
            }
            self.pause().await;
        }
    }

    /// A listener that fails is no error: asking goes on, and listening is tried again after each pause.
    async fn pause(&mut self) {
        if self.listener.is_none() {
            self.listen().await;
        }
        match &mut self.listener {
            Some(listener) => {
                if let Ok(Err(_)) = tokio::time::timeout(self.every, listener.recv()).await {
                    self.listener = None;
                    tokio::time::sleep(self.every).await;
                }
            }
            None => tokio::time::sleep(self.every).await,
        }
    }

    async fn listen(&mut self) {
        let Some(pool) = self.store.database.postgres() else { return };
        let Ok(mut listener) = PgListener::connect_with(pool).await else { return };
        if listener.listen(CHANNEL).await.is_ok() {
            self.listener = Some(listener);
        }
    }
}

/// Counts a change of the topic; other nodes learn of it when the transaction commits.
pub(crate) async fn raise(transaction: &mut Transaction, topic: Topic) -> Result<()> {
    let sql = "INSERT INTO revisions (topic, revision) VALUES ($1, 1)
               ON CONFLICT (topic) DO UPDATE SET revision = revisions.revision + 1";
    transaction.execute(sql, vec![topic.as_str().into()]).await?;
    if transaction.is_postgres() {
        transaction
            .rows("SELECT 1 AS sent FROM pg_notify($1, $2)", vec![CHANNEL.into(), topic.as_str().into()])
            .await?;
    }
    Ok(())
}
