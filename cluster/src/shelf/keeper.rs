//! Keeps the shelf up: connects, hears of purges, and writes what is to be shared.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncCommands, Pipeline, RedisError, Script};
use tokio::sync::mpsc::Receiver;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use super::{Open, Shelf, Write, newer};
use crate::connect::{batch, connect};
use crate::names;

/// Between two looks for purges.
const LOOK: Duration = Duration::from_millis(100);
/// Between two attempts to reach Redis.
const RETRY: Duration = Duration::from_millis(500);
/// For what no request waits for.
pub(super) const CALL_TIME: Duration = Duration::from_secs(1);
/// Entries of one write.
const BATCH: usize = 32;

/// What a gateway hears of the others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// The seeds that all of them make their keys with.
    Seeds([u64; 2]),
    /// What is to be purged here too.
    Purges(Vec<String>),
    /// All of that has been obeyed.
    Obeyed(Known),
}

/// What was heard of which shelf: kept by a gateway whose entries outlive it, so that it need not obey old purges again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// The shelf.
    pub born: String,
    /// The newest purge.
    pub seen: u64,
}

/// See [`ShelfKeeper::run`].
#[derive(Debug)]
pub struct ShelfKeeper {
    shelf: Shelf,
    client: redis::Client,
    writes: Receiver<Write>,
    state: Script,
    known: Known,
    seen: Arc<AtomicU64>,
}

#[derive(Debug, thiserror::Error)]
enum Over {
    #[error("no answer in time")]
    Slow,
    #[error("a call failed")]
    Failed,
    #[error("what is kept there is not ours")]
    Strange,
    #[error("{}", .0.category())]
    Redis(#[from] RedisError),
}

impl ShelfKeeper {
    pub(super) fn new(shelf: Shelf, client: redis::Client, writes: Receiver<Write>) -> Self {
        let state = Script::new(include_str!("../scripts/shelf.lua"));
        Self { shelf, client, writes, state, known: Known::default(), seen: Arc::default() }
    }

    /// Runs for ever. `seeds` are this gateway's, for a shelf that has none, and `known` is what it has obeyed earlier;
    /// `hear` obeys what the others say, and has done so when it returns.
    pub async fn run(mut self, mut seeds: [u64; 2], known: Known, mut hear: impl AsyncFnMut(Heard)) {
        self.known = known;
        let mut is_said = false;
        loop {
            let mut was_up = false;
            let over = match self.connected(&mut seeds, &mut hear, &mut was_up).await {
                Ok(never) => match never {},
                Err(over) => over,
            };
            self.shelf.0.is_up.store(false, Ordering::Release);
            if was_up || !is_said {
                tracing::warn!(reason = %over, "answers are not shared: the cluster's Redis is away");
            }
            is_said = true;
            sleep(RETRY).await;
        }
    }

    async fn connected(
        &mut self,
        seeds: &mut [u64; 2],
        hear: &mut impl AsyncFnMut(Heard),
        was_up: &mut bool,
    ) -> Result<std::convert::Infallible, Over> {
        let connecting = connect(&self.client, CALL_TIME, CALL_TIME);
        let mut connection = connecting.await.map_err(|_| Over::Slow)??;
        self.look(&mut connection, seeds, hear).await?;
        // Who asks within the deadline gets an answer within it: else nobody need ask.
        timeout(self.shelf.0.deadline, connection.ping::<String>()).await.map_err(|_| Over::Slow)??;
        self.open(&connection);
        *was_up = true;
        tracing::info!("answers are shared over Redis");
        let shelf = self.shelf.clone();
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                () = shelf.0.failed.notified() => {
                    // One of an earlier connection may have been late.
                    if !shelf.is_up() {
                        return Err(Over::Failed);
                    }
                }
                _ = looks.tick() => {
                    if self.look(&mut connection, seeds, hear).await? {
                        self.open(&connection);
                    }
                }
                Some(first) = self.writes.recv() => self.write(&mut connection, first).await?,
            }
        }
    }

    fn open(&self, connection: &MultiplexedConnection) {
        let (born, seen) = (self.known.born.as_str().into(), self.seen.clone());
        let open = Open { connection: connection.clone(), born, seen };
        *self.shelf.0.open.lock().unwrap_or_else(PoisonError::into_inner) = Some(open);
        self.shelf.0.is_up.store(true, Ordering::Release);
    }

    /// True when it is another shelf than before.
    async fn look(
        &mut self,
        connection: &mut MultiplexedConnection,
        seeds: &mut [u64; 2],
        hear: &mut impl AsyncFnMut(Heard),
    ) -> Result<bool, Over> {
        let mut call = self.state.key(names::SHELF);
        call.arg(shown(*seeds)).arg(format!("{:016x}", fastrand::u64(..)));
        let asked = timeout(CALL_TIME, call.invoke_async(connection)).await.map_err(|_| Over::Slow)?;
        let (theirs, born, number): (String, String, u64) = asked?;
        let theirs = read(&theirs).ok_or(Over::Strange)?;
        if theirs != *seeds {
            hear(Heard::Seeds(theirs)).await;
            *seeds = theirs;
        }
        let is_other = born != self.known.born;
        let seen = if is_other { 0 } else { self.known.seen };
        if number > seen {
            let asked = timeout(CALL_TIME, connection.hgetall(names::SHELF)).await;
            let state: HashMap<String, String> = asked.map_err(|_| Over::Slow)??;
            // What was purged since is in there too, and is obeyed again the next time.
            hear(Heard::Purges(newer(&state, seen))).await;
        }
        if is_other {
            self.seen = Arc::default();
        }
        let known = Known { born, seen: number };
        if known != self.known {
            hear(Heard::Obeyed(known.clone())).await;
            self.known = known;
        }
        self.seen.store(number, Ordering::Release);
        Ok(is_other)
    }

    async fn write(&mut self, connection: &mut MultiplexedConnection, first: Write) -> Result<(), Over> {
        let writes = batch(first, &mut self.writes, BATCH);
        let mut call = Pipeline::with_capacity(writes.len());
        for write in writes.iter().filter(|write| *write.born == *self.known.born) {
            call.pset_ex(names::entry(&self.known.born, write.key), &write.bytes, write.ttl_ms).ignore();
        }
        timeout(CALL_TIME, call.exec_async(connection)).await.map_err(|_| Over::Slow)??;
        Ok(())
    }
}

fn shown([one, other]: [u64; 2]) -> String {
    format!("{one:016x}{other:016x}")
}

fn read(text: &str) -> Option<[u64; 2]> {
    let (one, other) = text.split_at_checked(16)?;
    Some([u64::from_str_radix(one, 16).ok()?, u64::from_str_radix(other, 16).ok()?])
}
