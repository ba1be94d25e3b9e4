//! Judgements of routed answers on their way to the store, and from there to the process that comes after this one, whose
//! corrections begin where these end. A request never waits for it, and never fails with it.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use domain::ModelName;
use store::{RouteJudgement, Store, StoreError};

use super::calibration::{Judged, WINDOW};
use crate::backlog::{Backlog, Retention};
use crate::ledger::now_ms;
use crate::telemetry::Metrics;

/// Bytes of what waits: some thousands of judgements.
const MEMORY: usize = 1 << 20;
/// A tenant that judges no more is forgotten then.
const KEEP: Duration = Duration::from_secs(180 * 86_400);
/// Judgements that are read at a start: the newest of all tenants.
const MOST_READ: usize = 200_000;
const PAGE: u32 = 5_000;
/// Judgements of one transaction.
const BATCH: usize = 1_000;
const MILLION: f64 = 1e6;

/// The queue.
#[derive(Debug)]
pub struct FeedbackLog {
    backlog: Backlog<Noted>,
    metrics: &'static Metrics,
}

/// A judgement that waits.
#[derive(Debug)]
struct Noted {
    row: RouteJudgement,
    /// It contradicted the older ones: of its tenant only so many of the newest count, itself included.
    only_newest: Option<usize>,
}

impl Noted {
    fn held(&self) -> usize {
        size_of::<Self>() + self.row.id.len() + self.row.tenant.len() + self.row.model.len()
    }
}

impl FeedbackLog {
    /// An empty one.
    pub fn new(metrics: &'static Metrics) -> Self {
        Self { backlog: Backlog::new(MEMORY), metrics }
    }

    /// Queues a judgement; one for which there is no room is counted, and known to this process only.
    pub(super) fn append(&self, tenant: u64, judged: &Judged, only_newest: Option<usize>) {
        let row = RouteJudgement {
            id: store::new_id(),
            at_ms: now_ms(),
            tenant: format!("{tenant:016x}"),
            model: judged.model.as_str().to_owned(),
            logit_millionths: (judged.logit * MILLION).round() as i64,
            score_millionths: (judged.score * MILLION).round() as i64,
        };
        let noted = Noted { row, only_newest };
        if self.backlog.take(noted.held()) {
            self.backlog.push(noted);
        } else {
            self.metrics.feedback.unsaved.inc();
        }
    }

    /// Waits until the store has what was appended, two seconds at most.
    pub async fn drain(&self) {
        self.backlog.drain().await;
    }

    /// Writes what is appended, and erases what is too old, for as long as the process lives.
    pub async fn run(self: Arc<Self>, store: Store) {
        let failures = &self.metrics.feedback.failures;
        let erase = async |before_ms| store.route_feedback().erase_before(before_ms).await;
        tokio::join!(Retention(KEEP).enforce(failures, "feedback on routes", erase), self.feed(&store));
    }

    async fn feed(&self, store: &Store) {
        let mut waiting = Vec::new();
        loop {
            let done = self.write(store, &mut waiting).await;
            self.backlog.pause(done, &self.metrics.feedback.failures, "feedback on routes").await;
        }
    }

    async fn write(&self, store: &Store, waiting: &mut Vec<Noted>) -> Result<(), StoreError> {
        // The same ones again after a failure: what was stored after all is not stored twice.
        waiting.append(&mut self.backlog.take_all());
        while !waiting.is_empty() {
            let many = waiting.len().min(BATCH);
            let batch = waiting.get(..many).unwrap_or_default();
            let rows: Vec<RouteJudgement> = batch.iter().map(|noted| noted.row.clone()).collect();
            store.route_feedback().append(&rows, &newest(batch)).await?;
            let held = waiting.drain(..many).map(|noted| noted.held()).sum();
            self.backlog.give_back(held);
        }
        Ok(())
    }
}

/// How many of each tenant's newest are to stay: as many as a correction rests on, fewer behind a contradiction.
fn newest(batch: &[Noted]) -> BTreeMap<String, u32> {
    let mut newest: BTreeMap<String, usize> = BTreeMap::new();
    for noted in batch {
        let most = newest.entry(noted.row.tenant.clone()).or_insert(WINDOW);
        *most = noted.only_newest.unwrap_or(*most + 1).min(WINDOW);
    }
    newest.into_iter().map(|(tenant, most)| (tenant, u32::try_from(most).unwrap_or(u32::MAX))).collect()
}

/// What the store knows of each tenant, oldest first.
///
/// # Errors
/// The store's.
pub async fn read(store: &Store) -> Result<HashMap<u64, Vec<Judged>>, StoreError> {
    let mut tenants: HashMap<u64, Vec<Judged>> = HashMap::new();
    let (mut before, mut found) = (String::new(), 0);
    while found < MOST_READ {
        let page = store.route_feedback().newest(&before, PAGE).await?;
        let Some(last) = page.last() else { break };
        before.clone_from(&last.id);
        found += page.len();
        for row in &page {
            let Ok(tenant) = u64::from_str_radix(&row.tenant, 16) else { continue };
            let judged = tenants.entry(tenant).or_default();
            if judged.len() < WINDOW {
                judged.push(Judged {
                    model: ModelName::from(row.model.as_str()),
                    logit: row.logit_millionths as f64 / MILLION,
                    score: row.score_millionths as f64 / MILLION,
                });
            }
        }
    }
    tenants.values_mut().for_each(|judged| judged.reverse());
    Ok(tenants)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noted(tenant: &str, only_newest: Option<usize>) -> Noted {
        let row = RouteJudgement {
            id: store::new_id(),
            at_ms: 0,
            tenant: tenant.to_owned(),
            model: "small".to_owned(),
            logit_millionths: 0,
            score_millionths: 0,
        };
        Noted { row, only_newest }
    }

    #[test]
    fn behind_a_contradiction_what_is_newer_than_it_stays_too() {
        let batch = [
            noted("one", None),
            noted("one", Some(20)),
            noted("two", None),
            noted("one", None),
            noted("one", None),
        ];
        let whole = u32::try_from(WINDOW).unwrap();
        assert_eq!(newest(&batch), BTreeMap::from([("one".to_owned(), 22), ("two".to_owned(), whole)]));
    }
}
