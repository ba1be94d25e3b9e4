//! Keeps the link up: connects, begins epochs, says that this member is alive, and writes what it has to tell.

use std::convert::Infallible;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use redis::aio::MultiplexedConnection;
use redis::{Pipeline, RedisError};
use tokio::sync::mpsc::Receiver;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use crate::change::Change;
use crate::connect::{batch, connect};
use crate::link::Cluster;
use crate::names;

/// Between two signs of life.
const BEAT: Duration = Duration::from_millis(500);
/// Between two attempts to reach Redis: first, and at most. One that lasted long is followed at once.
const RETRY: Duration = Duration::from_millis(20);
const LONGEST_RETRY: Duration = Duration::from_millis(500);
const LASTING: Duration = Duration::from_secs(5);
/// Between two looks at whether a Redis that has lost everything knows enough.
const LOOK: Duration = Duration::from_millis(100);
/// How long a connection and a sign of life may take, and a write.
const CONNECT_TIME: Duration = Duration::from_secs(1);
const BEAT_TIME: Duration = Duration::from_millis(250);
const WRITE_TIME: Duration = Duration::from_secs(1);
/// A Redis that has lost everything is not asked before all members have had the time to tell it.
const WARM_MS: u64 = 3 * 500;
/// Changes of one write.
const BATCH: usize = 256;

/// See [`Keeper::run`].
#[derive(Debug)]
pub struct Keeper {
    cluster: Cluster,
    client: redis::Client,
    changes: Receiver<(u64, Change)>,
    /// How this Redis began, as far as it is known.
    born: String,
    /// The name of the last epoch.
    last: String,
}

/// What has to be told when an epoch begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Told {
    /// The epoch; whatever happens from now on belongs to it.
    pub epoch: u64,
    /// Redis has lost everything that was counted before.
    pub is_lost: bool,
}

/// Redis' answer to a sign of life.
struct Beat {
    now_ms: u64,
    born: String,
    was_dead: bool,
}

/// Why an epoch is over.
#[derive(Debug, thiserror::Error)]
enum Over {
    #[error("no answer in time")]
    Slow,
    #[error("a call failed")]
    Failed,
    #[error("it has lost what it knew")]
    Forgotten,
    #[error("{}", .0.category())]
    Redis(#[from] RedisError),
}

impl Keeper {
    pub(crate) fn new(cluster: Cluster, client: redis::Client, changes: Receiver<(u64, Change)>) -> Self {
        Self { cluster, client, changes, born: String::new(), last: String::new() }
    }

    /// Runs for ever. `everything` says what runs and is held here, and marks it as told in the epoch.
    pub async fn run(mut self, everything: impl Fn(Told) -> Vec<Change>) {
        let (mut said, mut pause) = (None, RETRY);
        loop {
            let began = Instant::now();
            let Err(over) = self.epoch(&everything).await;
            self.cluster.0.live.store(0, Ordering::Release);
            // Once for each time that it goes away.
            let epoch = Some(self.cluster.epoch());
            if said != epoch {
                tracing::warn!(reason = %over, "the cluster's Redis is away");
            }
            said = epoch;
            // What waits belongs to the epoch that is over.
            while self.changes.try_recv().is_ok() {}
            pause = if began.elapsed() > LASTING { RETRY } else { (pause * 2).min(LONGEST_RETRY) };
            sleep(pause).await;
        }
    }

    /// One epoch, from connecting to whatever ends it.
    async fn epoch(&mut self, everything: &impl Fn(Told) -> Vec<Change>) -> Result<Infallible, Over> {
        let link = self.cluster.0.clone();
        let connecting = connect(&self.client, CONNECT_TIME, WRITE_TIME);
        let mut connection = connecting.await.map_err(|_| Over::Slow)??;
        for script in link.scripts.written() {
            script.prepare_invoke().load_async(&mut connection).await?;
        }
        let epoch = link.epoch.load(Ordering::Acquire) + 1;
        // Who asks within the deadline gets an answer within it: else nobody need ask.
        let mut beat = self.beat(&mut connection, epoch, false, link.deadline).await?;
        link.epoch.store(epoch, Ordering::Release);
        // Should it be told only half of everything, it is told all of it the next time: rather twice than never.
        let is_lost = std::mem::take(&mut self.born) != beat.born;
        let everything: Vec<Change> = everything(Told { epoch, is_lost });
        for changes in everything.chunks(BATCH) {
            self.write(&mut connection, epoch, changes).await?;
        }
        self.born.clone_from(&beat.born);
        while beat.age_ms() < WARM_MS {
            sleep(LOOK).await;
            beat = self.beat(&mut connection, epoch, true, BEAT_TIME).await?;
            self.check(&beat)?;
        }
        *link.connection.lock().unwrap_or_else(PoisonError::into_inner) = Some(connection.clone());
        link.live.store(epoch, Ordering::Release);
        if link.doomed.load(Ordering::Acquire) >= epoch {
            return Err(Over::Failed);
        }
        tracing::info!("limits and budgets are shared over Redis");
        let mut beats = interval(BEAT);
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                () = link.failed.notified() => {
                    // One of an earlier epoch may have been late.
                    if link.live.load(Ordering::Acquire) != epoch {
                        return Err(Over::Failed);
                    }
                }
                _ = beats.tick() => {
                    let beat = self.beat(&mut connection, epoch, true, BEAT_TIME).await?;
                    self.check(&beat)?;
                }
                Some(first) = self.changes.recv() => {
                    let changes = batch(first, &mut self.changes, BATCH);
                    let of_epoch = changes.into_iter().filter(|(of, _)| *of == epoch);
                    let changes: Vec<Change> = of_epoch.map(|(_, change)| change).collect();
                    self.write(&mut connection, epoch, &changes).await?;
                }
            }
        }
    }

    fn check(&self, beat: &Beat) -> Result<(), Over> {
        if beat.was_dead || beat.born != self.born { Err(Over::Forgotten) } else { Ok(()) }
    }

    async fn write(
        &self,
        connection: &mut MultiplexedConnection,
        epoch: u64,
        changes: &[Change],
    ) -> Result<(), Over> {
        if changes.is_empty() {
            return Ok(());
        }
        let link = &self.cluster.0;
        let member = link.member(epoch);
        let mut pipeline = Pipeline::with_capacity(changes.len() * 2);
        changes.iter().for_each(|change| change.write(&mut pipeline, &link.scripts, &member));
        timeout(WRITE_TIME, pipeline.exec_async(connection)).await.map_err(|_| Over::Slow)??;
        Ok(())
    }

    async fn beat(
        &mut self,
        connection: &mut MultiplexedConnection,
        epoch: u64,
        is_known: bool,
        limit: Duration,
    ) -> Result<Beat, Over> {
        let link = self.cluster.0.clone();
        let member = link.member(epoch);
        let last = if self.last == member { "" } else { self.last.as_str() };
        let mut call = link.scripts.beat.key(names::MEMBERS);
        call.key(names::BORN);
        call.arg(&member).arg(last).arg(format!("{:016x}", fastrand::u64(..))).arg(u8::from(is_known));
        let asked = timeout(limit, call.invoke_async(connection)).await.map_err(|_| Over::Slow)?;
        let (now_ms, born, was_dead, alive): (u64, String, u8, Vec<String>) = asked?;
        self.last = member;
        let mut ids: Vec<String> =
            alive.iter().filter_map(|member| Some(member.rsplit_once('.')?.0.to_owned())).collect();
        ids.sort_unstable();
        ids.dedup();
        let beat = Beat { now_ms, born, was_dead: was_dead == 1 };
        let gateways = u32::try_from(ids.len()).unwrap_or(u32::MAX);
        if beat.age_ms() < WARM_MS {
            // Whom this Redis has not heard of yet still takes its part.
            link.gateways.fetch_max(gateways, Ordering::Relaxed);
        } else {
            link.gateways.store(gateways, Ordering::Relaxed);
        }
        *link.alive.lock().unwrap_or_else(PoisonError::into_inner) = ids.into();
        let here = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        let ahead_ms = i64::try_from(now_ms).unwrap_or(0) - i64::try_from(here).unwrap_or(0);
        link.ahead_ms.store(ahead_ms, Ordering::Relaxed);
        Ok(beat)
    }
}

impl Beat {
    /// Since this Redis knew nothing.
    fn age_ms(&self) -> u64 {
        let born_ms = self.born.rsplit_once(':').and_then(|(_, ms)| ms.parse::<u64>().ok());
        self.now_ms.saturating_sub(born_ms.unwrap_or(0))
    }
}
