//! Follows erasures that were asked of any gateway of the store: the answers that this one keeps, and that may hold the
//! same, become void. With a disk tier it remembers how far it has come, for erasures while it was away.

use std::path::PathBuf;
use std::sync::Weak;
use std::time::Duration;

use cache::exact::Purge;
use store::{NotedErasure, Store, Topic};

use crate::answer_cache::AnswerCache;
use crate::app::App;

/// Between two looks at the store's revisions.
const EVERY: Duration = Duration::from_secs(1);
/// After a failure.
const BACKOFF: Duration = Duration::from_secs(5);
/// In the folder of the cache's disk tier.
const FILE: &str = "erasures.seen";

/// Follows them.
#[derive(Debug)]
pub struct ErasureWatch {
    store: Store,
    /// None without a disk tier: then nothing is older than the process.
    file: Option<PathBuf>,
    /// The number of the last one; None before the first look.
    seen: Option<u64>,
}

impl ErasureWatch {
    /// Of this store; `folder` is that of the cache's disk tier.
    pub fn new(store: Store, folder: Option<PathBuf>) -> Self {
        Self { store, file: folder.map(|folder| folder.join(FILE)), seen: None }
    }

    /// Follows for ever.
    pub async fn run(mut self, app: Weak<App>) {
        loop {
            let Some(app) = app.upgrade() else { return };
            let pause = match &app.answers {
                None => return,
                Some(answers) => match self.refresh(answers).await {
                    Ok(()) => EVERY,
                    Err(error) => {
                        tracing::warn!(%error, "kept answers do not follow erasures at the moment");
                        BACKOFF
                    }
                },
            };
            drop(app);
            tokio::time::sleep(pause).await;
        }
    }

    async fn refresh(&mut self, answers: &AnswerCache) -> anyhow::Result<()> {
        let newest = self.store.revisions().current().await?.get(&Topic::Erasures).copied().unwrap_or(0);
        let mut seen = self.seen.unwrap_or_else(|| self.remembered(newest));
        // Another store is in its place.
        if seen > newest {
            seen = 0;
        }
        while seen < newest {
            let noted = self.store.erasures().after(seen).await?;
            for what in voided(&noted, seen, answers) {
                answers.make_void(what).await?;
            }
            seen = noted.last().map_or(newest, |last| last.number);
        }
        if self.seen != Some(seen) {
            self.remember(seen)?;
            self.seen = Some(seen);
        }
        Ok(())
    }

    fn remembered(&self, newest: u64) -> u64 {
        let Some(file) = &self.file else { return newest };
        std::fs::read_to_string(file).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0)
    }

    fn remember(&self, seen: u64) -> std::io::Result<()> {
        self.file.as_ref().map_or(Ok(()), |file| std::fs::write(file, seen.to_string()))
    }
}

/// What the erasures behind `seen` make void; everything when some of them are forgotten already.
fn voided<'a>(noted: &'a [NotedErasure], seen: u64, answers: &AnswerCache) -> Vec<Purge<'a>> {
    if noted.first().is_none_or(|first| first.number != seen + 1) {
        return vec![Purge::All];
    }
    let holding = |it: &'a NotedErasure| answers.holding(it.key_id.as_deref(), it.team_id.as_deref());
    let all: Vec<_> = noted.iter().map(holding).collect();
    if all.contains(&Purge::All) { vec![Purge::All] } else { all }
}
