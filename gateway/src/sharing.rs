//! What this gateway counts together with others: the cluster, its policy for the time without it, and the thread on
//! which it is kept up. How a limit or a budget is counted is said in `limits` and `budgets`.

use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::time::Duration;

use anyhow::Context;
use cluster::{Away, Change, Cluster, Keeper, Settings, Told};

use crate::alerts::raise;
use crate::config::{AlertKind, ClusterConfig, WhenAway};
use crate::telemetry::Metrics;

/// Between two looks at whether the cluster is up.
const LOOK: Duration = Duration::from_millis(50);
/// Away for so many looks, somebody is told; a restart of Redis that takes no longer is nobody's business.
const LOOKS_BEFORE_ALERT: u32 = 60;
/// How long the start waits for the cluster, so that a gateway does not begin alone.
const START_TIME: Duration = Duration::from_secs(3);

/// The cluster and what to do without it.
#[derive(Debug)]
pub struct Sharing {
    /// Who counts.
    pub cluster: Cluster,
    when_away: WhenAway,
    metrics: &'static Metrics,
}

/// The cluster is away, and its policy is to refuse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoCluster;

impl Sharing {
    /// For a process with this id. The keeper has to be given to [`start`].
    ///
    /// # Errors
    /// When the address cannot be read or is none.
    pub fn new(
        config: &ClusterConfig,
        id: &str,
        metrics: &'static Metrics,
    ) -> anyhow::Result<(Arc<Self>, Keeper)> {
        let url = config.url.resolve().map_err(anyhow::Error::msg).context("cluster")?;
        let settings = Settings { url, deadline: config.deadline.0, id: id.to_owned() };
        let (cluster, keeper) = Cluster::new(settings).context("cluster")?;
        Ok((Arc::new(Self { cluster, when_away: config.when_away, metrics }), keeper))
    }

    /// A decision that is due while the cluster is away: by how much this gateway's own limits are divided.
    ///
    /// # Errors
    /// When the policy is to refuse.
    pub fn alone(&self, what: &str) -> Result<u32, NoCluster> {
        self.metrics.cluster.degraded.with_label_values(&[what]).inc();
        match self.when_away {
            WhenAway::Local => Ok(self.cluster.gateways()),
            WhenAway::Refuse => Err(NoCluster),
        }
    }
}

/// Is what this gateway did not ask for unknown to Redis, so that it must be told?
pub fn was_not_asked(away: Away) -> bool {
    away == Away::NotAsked
}

/// Keeps the cluster up on a thread of its own, so that its deadline does not wait for requests. `everything` is what has
/// to be told when an epoch begins.
///
/// # Errors
/// When there is no thread to be had.
pub fn start(
    sharing: Arc<Sharing>,
    keeper: Keeper,
    everything: impl Fn(Told) -> Vec<Change> + Send + Sync + 'static,
) -> anyhow::Result<()> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().context("the cluster's thread")?;
    let (up, first_up) = std::sync::mpsc::sync_channel(1);
    let run = async move {
        tokio::join!(keeper.run(everything), watch(&sharing, &up));
    };
    std::thread::Builder::new()
        .name("cluster".to_owned())
        .spawn(move || runtime.block_on(run))
        .context("the cluster's thread")?;
    if first_up.recv_timeout(START_TIME).is_err() {
        tracing::warn!(
            "the cluster's Redis does not answer: limits and budgets hold for this gateway alone until it does"
        );
    }
    Ok(())
}

/// Shows whether the cluster is up, and raises alerts.
async fn watch(sharing: &Sharing, up: &SyncSender<()>) {
    let (mut looks_away, mut is_alerted) = (0u32, false);
    loop {
        let is_up = sharing.cluster.is_up();
        sharing.metrics.cluster.show(is_up, sharing.cluster.gateways());
        if is_up {
            // Nobody listens after the start.
            let _ = up.try_send(());
        }
        looks_away = if is_up { 0 } else { looks_away.saturating_add(1) };
        if is_up && is_alerted {
            raise(AlertKind::ClusterBack, "", "Gateways count limits and budgets together again.");
            is_alerted = false;
        } else if looks_away >= LOOKS_BEFORE_ALERT && !is_alerted {
            let message = "The cluster's Redis is away or slower than cluster.deadline: limits and budgets hold for each \
                           gateway alone; look at Redis.";
            raise(AlertKind::ClusterAway, "", message);
            is_alerted = true;
        }
        tokio::time::sleep(LOOK).await;
    }
}
