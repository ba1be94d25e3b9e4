//! A key's limits counted together with other gateways. Redis decides; this process mirrors what it has running and has
//! counted, so that it can tell that anew when an epoch begins, and decide alone while Redis is away.
//!
//! The rule that keeps both in step: the mirror is changed first, under the key's lock, and what is told carries the epoch
//! that the key was in at that moment.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use cluster::{Admission, Away, Change, Reserved, Told};

use super::key_limits::{KeyLimits, LimitBook, Parallel, Refusal, ReservedTokens};
use super::window::{Count, Window};
use crate::sharing::{NoCluster, Sharing, was_not_asked};

/// Why a request is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denied {
    /// A limit of the key.
    Limit(Refusal),
    /// Nobody can say whether a limit is reached.
    NoCluster,
}

/// Where reserved tokens are counted.
#[derive(Clone, Copy, Debug)]
pub(super) enum Place {
    /// In this process.
    Here,
    /// In this process, until the key is told in another epoch than this one.
    Alone(u64),
    /// In this second of Redis' clock.
    Second(u64),
}

/// What of a key concerns others.
#[derive(Debug, Default)]
pub(super) struct Shared {
    /// The epoch that the key was last told in.
    epoch: u64,
    /// Requests that run here and count in the cluster.
    running: i64,
    /// What Redis has not counted.
    alone: Option<Box<Window>>,
    /// What Redis last said; None when this process counts alone.
    pub(super) requests_left: Option<u64>,
    pub(super) tokens_left: Option<u64>,
}

impl Shared {
    pub(super) fn new(epoch: u64) -> Self {
        Self { epoch, ..Self::default() }
    }
}

impl From<Refusal> for Denied {
    fn from(refusal: Refusal) -> Self {
        Self::Limit(refusal)
    }
}

impl From<NoCluster> for Denied {
    fn from(_: NoCluster) -> Self {
        Self::NoCluster
    }
}

impl LimitBook {
    /// All that Redis does not know when an epoch begins.
    pub(crate) fn everything(&self, told: Told) -> Vec<Change> {
        let now = Instant::now();
        self.all().iter().flat_map(|limits| limits.everything(told, now)).collect()
    }
}

impl KeyLimits {
    pub(super) async fn admit_shared(
        self: &Arc<Self>,
        sharing: &Sharing,
        now: Instant,
    ) -> Result<Parallel, Denied> {
        let (rpm, max_parallel) =
            (self.rpm.load(Ordering::Relaxed), self.max_parallel.load(Ordering::Relaxed));
        let mut parallel = self.enter();
        if rpm == 0 && max_parallel == 0 {
            return Ok(parallel);
        }
        let epoch = {
            let mut windows = self.windows();
            windows.shared.running += i64::from(max_parallel > 0);
            windows.shared.epoch
        };
        parallel.is_shared = max_parallel > 0;
        let refusal = match sharing.cluster.admit(epoch, &self.id, rpm, max_parallel).await {
            Ok(Admission::Admitted { left }) => {
                let mut windows = self.windows();
                if rpm > 0 {
                    windows.minute.add(Count::Requests, self.since_origin(now), 1);
                    windows.shared.requests_left = Some(left);
                }
                return Ok(parallel);
            }
            Ok(Admission::Requests { retry_after }) => {
                self.windows().shared.requests_left = Some(0);
                Refusal { what: "requests", limit: rpm, retry_after }
            }
            Ok(Admission::Parallel) => Refusal::of_parallel(max_parallel),
            Err(away) => return self.admit_alone(sharing, parallel, epoch, away, now),
        };
        parallel.was_refused(epoch);
        Err(refusal.into())
    }

    fn admit_alone(
        &self,
        sharing: &Sharing,
        mut parallel: Parallel,
        epoch: u64,
        away: Away,
        now: Instant,
    ) -> Result<Parallel, Denied> {
        let share = match sharing.alone("requests") {
            Ok(share) => share,
            Err(refused) => {
                parallel.was_refused(epoch);
                return Err(refused.into());
            }
        };
        // What is refused is unknown to Redis, and so not given back in the usual way.
        let is_shared = std::mem::take(&mut parallel.is_shared);
        let mut admitted = self.admit_here(parallel, now, share).inspect_err(|refusal| {
            if is_shared {
                self.leave_shared(Some(epoch));
            }
            if refusal.what == "requests" {
                // Of the whole limit more may be left, of this process's part nothing is.
                self.windows().shared.requests_left = Some(0);
            }
        })?;
        admitted.is_shared = is_shared;
        let mut windows = self.windows();
        windows.shared.requests_left = None;
        if self.rpm.load(Ordering::Relaxed) > 0 {
            windows.shared.alone.get_or_insert_default().add(Count::Requests, self.since_origin(now), 1);
        }
        // Where the epoch is another by now, it began with this request.
        if is_shared && was_not_asked(away) && windows.shared.epoch == epoch {
            self.tell_parallel(sharing, epoch, 1);
        }
        drop(windows);
        Ok(admitted)
    }

    pub(super) async fn reserve_shared(
        &self,
        sharing: &Sharing,
        now: Instant,
        tokens: u64,
    ) -> Result<ReservedTokens, Denied> {
        let tpm = self.tpm.load(Ordering::Relaxed);
        if tpm == 0 {
            return Ok(ReservedTokens { at: now, tokens, place: Place::Here });
        }
        let epoch = self.windows().shared.epoch;
        let place = match sharing.cluster.reserve(epoch, &self.id, tpm, tokens).await {
            Ok(Reserved::Fits { left, second }) => {
                let mut windows = self.windows();
                windows.minute.add(Count::Tokens, self.since_origin(now), tokens);
                windows.shared.tokens_left = Some(left);
                Place::Second(second)
            }
            Ok(Reserved::Full { left, retry_after }) => {
                self.windows().shared.tokens_left = Some(left);
                return Err(Refusal { what: "tokens", limit: tpm, retry_after }.into());
            }
            Err(_) => {
                self.reserve_here(now, tokens, sharing.alone("tokens")?)?;
                let mut windows = self.windows();
                windows.shared.tokens_left = None;
                windows.shared.alone.get_or_insert_default().add(
                    Count::Tokens,
                    self.since_origin(now),
                    tokens,
                );
                Place::Alone(windows.shared.epoch)
            }
        };
        Ok(ReservedTokens { at: now, tokens, place })
    }

    pub(super) fn settle_shared(
        &self,
        sharing: &Sharing,
        now: Duration,
        reserved: ReservedTokens,
        used: u64,
    ) {
        let mut windows = self.windows();
        let epoch = windows.shared.epoch;
        let second = match reserved.place {
            Place::Here => return,
            Place::Alone(at) if at == epoch => {
                let then = self.since_origin(reserved.at);
                if let Some(alone) = &mut windows.shared.alone {
                    alone.correct(Count::Tokens, now, then, reserved.tokens, used);
                }
                return;
            }
            Place::Alone(_) => sharing.cluster.second_at(crate::ledger::ago_ms(reserved.at.elapsed())),
            Place::Second(second) => second,
        };
        if let Some(left) = &mut windows.shared.tokens_left {
            *left = left.saturating_add(reserved.tokens).saturating_sub(used);
        }
        let (key, reserved) = (self.id.clone(), reserved.tokens);
        sharing.cluster.tell(epoch, Change::Tokens { key, second, reserved, used });
    }

    /// A request that counted in the cluster is gone. `unknown`: Redis did not count it in this epoch.
    pub(super) fn leave_shared(&self, unknown: Option<u64>) {
        let Some(sharing) = &self.sharing else { return };
        let mut windows = self.windows();
        windows.shared.running -= 1;
        if unknown != Some(windows.shared.epoch) {
            self.tell_parallel(sharing, windows.shared.epoch, -1);
        }
    }

    fn tell_parallel(&self, sharing: &Sharing, epoch: u64, change: i64) {
        sharing.cluster.tell(epoch, Change::Parallel { key: self.id.clone(), change });
    }

    fn everything(&self, told: Told, now: Instant) -> Vec<Change> {
        let now = self.since_origin(now);
        let mut windows = self.windows();
        if windows.shared.epoch == told.epoch {
            return vec![];
        }
        windows.shared.epoch = told.epoch;
        let mut alone = windows.shared.alone.take();
        let counted = [Count::Requests, Count::Tokens].map(|what| match &mut alone {
            _ if told.is_lost => windows.minute.ages(what, now),
            Some(alone) => alone.ages(what, now),
            None => Vec::new(),
        });
        let running = windows.shared.running;
        let mut changes = Vec::new();
        for (is_tokens, seconds) in [false, true].into_iter().zip(counted) {
            if !seconds.is_empty() {
                changes.push(Change::Counted { key: self.id.clone(), is_tokens, seconds });
            }
        }
        if running > 0 {
            changes.push(Change::Parallel { key: self.id.clone(), change: running });
        }
        changes
    }
}

impl Parallel {
    /// Redis does not count it, unless another epoch has begun with it.
    fn was_refused(mut self, epoch: u64) {
        if std::mem::take(&mut self.is_shared) {
            self.limits.leave_shared(Some(epoch));
        }
    }
}
