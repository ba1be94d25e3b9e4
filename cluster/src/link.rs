//! The one connection, its deadline and its breaker. What asks here waits for the deadline at most, and for nothing at
//! all once a call has failed, until the [`Keeper`] has found Redis well again.

use std::sync::atomic::{AtomicI64, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use domain::Secret;
use redis::aio::MultiplexedConnection;
use redis::{FromRedisValue, ScriptInvocation};
use tokio::sync::Notify;
use tokio::sync::mpsc::{Sender, channel};

use crate::change::Change;
use crate::keeper::Keeper;
use crate::scripts::Scripts;

/// Changes that wait to be written. With one more the epoch ends, and everything is told anew.
const WAITING: usize = 1 << 16;

/// How to reach Redis, and as whom.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `redis://[USER:PASSWORD@]HOST:PORT[/DB]`, or `rediss://`.
    pub url: Secret,
    /// How long a call may take.
    pub deadline: Duration,
    /// Unique among all gateways, and new with each process.
    pub id: String,
}

/// What is wrong with the settings.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ClusterError {
    /// It is no address of a Redis.
    #[error(
        "is no address of a Redis: write redis://HOST:PORT, or redis://USER:PASSWORD@HOST:PORT/DATABASE, or with TLS rediss://HOST:PORT"
    )]
    Address,
}

/// Why there is no verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Away {
    /// Redis was not asked: the breaker is open.
    NotAsked,
    /// Redis was asked and did not answer in time. What it did is void: the epoch is over.
    Asked,
}

/// What gateways share. Clones are the same.
#[derive(Clone, Debug)]
pub struct Cluster(pub(crate) Arc<Link>);

#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) id: String,
    pub(crate) scripts: Scripts,
    pub(crate) deadline: Duration,
    /// Of the epoch that runs, or is being prepared.
    pub(crate) epoch: AtomicU64,
    /// The epoch in which Redis may be asked; 0 while the breaker is open.
    pub(crate) live: AtomicU64,
    pub(crate) connection: Mutex<Option<MultiplexedConnection>>,
    /// Ids of the members that are alive.
    pub(crate) alive: Mutex<Arc<[String]>>,
    pub(crate) gateways: AtomicU32,
    /// Redis' clock less ours.
    pub(crate) ahead_ms: AtomicI64,
    pub(crate) failed: Notify,
    /// The last epoch that cannot go on, whether it runs or is being prepared.
    pub(crate) doomed: AtomicU64,
    changes: Sender<(u64, Change)>,
}

impl Cluster {
    /// For these settings. Nobody is connected before the keeper runs.
    ///
    /// # Errors
    /// When the address is none.
    pub fn new(settings: Settings) -> Result<(Self, Keeper), ClusterError> {
        let client = redis::Client::open(settings.url.expose()).map_err(|_| ClusterError::Address)?;
        let (sender, receiver) = channel(WAITING);
        let link = Link {
            alive: Mutex::new(Arc::new([settings.id.clone()])),
            id: settings.id,
            scripts: Scripts::new(),
            deadline: settings.deadline,
            epoch: AtomicU64::new(0),
            live: AtomicU64::new(0),
            connection: Mutex::default(),
            gateways: AtomicU32::new(1),
            ahead_ms: AtomicI64::new(0),
            failed: Notify::new(),
            doomed: AtomicU64::new(0),
            changes: sender,
        };
        let cluster = Self(Arc::new(link));
        Ok((cluster.clone(), Keeper::new(cluster, client, receiver)))
    }

    /// Is this an address of a Redis?
    ///
    /// # Errors
    /// When it is none.
    pub fn check(url: &Secret) -> Result<(), ClusterError> {
        redis::Client::open(url.expose()).map(|_| ()).map_err(|_| ClusterError::Address)
    }

    /// Redis may be asked.
    pub fn is_up(&self) -> bool {
        self.0.live.load(Ordering::Acquire) != 0
    }

    /// The epoch that whatever begins now belongs to.
    pub fn epoch(&self) -> u64 {
        self.0.epoch.load(Ordering::Acquire)
    }

    /// How many gateways were alive when that was last known, this one included.
    pub fn gateways(&self) -> u32 {
        self.0.gateways.load(Ordering::Relaxed).max(1)
    }

    /// The ids of them.
    pub fn alive(&self) -> Arc<[String]> {
        self.0.alive.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The second of Redis' clock at this moment of ours, in unix milliseconds.
    pub fn second_at(&self, at_ms: i64) -> u64 {
        let ahead_ms = self.0.ahead_ms.load(Ordering::Relaxed);
        u64::try_from(at_ms.saturating_add(ahead_ms).div_euclid(1_000)).unwrap_or(0)
    }

    /// Tells the others, behind everything that was told before. Never waits.
    pub fn tell(&self, epoch: u64, change: Change) {
        if self.0.changes.try_send((epoch, change)).is_err() {
            self.0.fail(epoch);
        }
    }
}

impl Link {
    /// This member's name in an epoch.
    pub(crate) fn member(&self, epoch: u64) -> String {
        format!("{}.{epoch}", self.id)
    }

    /// The breaker opens, and the keeper begins another epoch.
    pub(crate) fn fail(&self, epoch: u64) {
        self.doomed.fetch_max(epoch, Ordering::AcqRel);
        if self.live.compare_exchange(epoch, 0, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
            self.failed.notify_one();
        }
    }

    /// Runs a script for a caller of this epoch.
    pub(crate) async fn ask<T: FromRedisValue>(
        &self,
        epoch: u64,
        call: &ScriptInvocation<'_>,
    ) -> Result<T, Away> {
        if epoch == 0 || self.live.load(Ordering::Acquire) != epoch {
            return Err(Away::NotAsked);
        }
        let connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(mut connection) = connection else { return Err(Away::NotAsked) };
        // A caller that goes away meanwhile does not know either what Redis did.
        let doubt = Doubt { link: self, epoch };
        match tokio::time::timeout(self.deadline, call.invoke_async(&mut connection)).await {
            Ok(Ok(answer)) => {
                std::mem::forget(doubt);
                Ok(answer)
            }
            Ok(Err(error)) => {
                tracing::warn!(kind = ?error.kind(), "the cluster's Redis refused a call");
                Err(Away::Asked)
            }
            Err(_) => Err(Away::Asked),
        }
    }

    /// Redis has lost everything: the same as no answer.
    pub(crate) fn forgotten(&self, epoch: u64) -> Away {
        self.fail(epoch);
        Away::Asked
    }
}

/// A call whose answer nobody has seen. Dropped, it ends the epoch.
struct Doubt<'a> {
    link: &'a Link,
    epoch: u64,
}

impl Drop for Doubt<'_> {
    fn drop(&mut self) {
        self.link.fail(self.epoch);
    }
}
