//! Picks the deployment for the next attempt among those that may be called. Each algorithm has its
//! file; none of them waits, allocates or knows why a deployment is not eligible.

mod affinity;
mod cost;
mod deployment_set;
mod latency;
mod peak_ewma;
mod smooth_weighted;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use domain::DeploymentId;
use twox_hash::XxHash3_64;

use super::Deployment;
use crate::config::BalanceStrategy;
use smooth_weighted::SmoothWeighted;

pub use deployment_set::DeploymentSet;
pub use peak_ewma::PeakEwma;

/// What of a request matters for where it goes.
#[derive(Clone, Copy, Debug)]
pub struct Demand {
    /// Streamed and whole answers take different times to begin.
    pub stream: bool,
    /// Its prompt in tokens, estimated.
    pub prompt: u64,
    /// The most tokens it may generate; 0 is unknown.
    pub completion: u64,
    /// Requests with the same key belong together.
    pub affinity: Option<u64>,
}

impl Demand {
    /// All tokens that count against a limit.
    pub fn tokens(&self) -> u64 {
        self.prompt.saturating_add(self.completion)
    }
}

/// The balancing state of one model.
#[derive(Debug)]
pub struct Balancer {
    strategy: BalanceStrategy,
    next: AtomicUsize,
    weighted: SmoothWeighted,
    /// The same on every gateway and after every reload.
    identities: Box<[u64]>,
}

impl Balancer {
    /// For a model with these deployments.
    pub fn new(strategy: BalanceStrategy, deployments: &[Arc<Deployment>]) -> Self {
        let identities = deployments.iter().map(|deployment| identity(&deployment.id)).collect();
        let weighted = SmoothWeighted::new(deployments.len());
        Self { strategy, next: AtomicUsize::new(0), weighted, identities }
    }

    /// The position of the deployment to call, one of `eligible`; None when there are none.
    pub fn pick(
        &self,
        deployments: &[Arc<Deployment>],
        eligible: DeploymentSet,
        demand: &Demand,
        now: Instant,
    ) -> Option<usize> {
        if eligible.len() < 2 {
            return eligible.iter().next();
        }
        if let Some(key) = demand.affinity
            && let Some(home) = affinity::pick(deployments, &self.identities, eligible, key)
        {
            return Some(home);
        }
        match self.strategy {
            BalanceStrategy::Weighted => self.weighted.pick(deployments, eligible),
            BalanceStrategy::RoundRobin => {
                let start = self.next.fetch_add(1, Ordering::Relaxed);
                let count = deployments.len();
                (0..count).map(|step| (start + step) % count).find(|index| eligible.contains(*index))
            }
            BalanceStrategy::LeastBusy => {
                let start = self.next.fetch_add(1, Ordering::Relaxed);
                least_busy(deployments, eligible, start)
            }
            BalanceStrategy::Latency => {
                latency::pick(deployments, eligible, demand, now, |below| fastrand::usize(0..below))
            }
            BalanceStrategy::Cost => {
                let cheapest = cost::cheapest(deployments, eligible, demand);
                self.weighted.pick(deployments, cheapest)
            }
        }
    }
}

fn identity(id: &DeploymentId) -> u64 {
    XxHash3_64::oneshot(id.as_str().as_bytes())
}

/// Weights may be in the millions, and the loads of light ones must still differ.
const SCALE: u64 = 1_000_000_000;

/// The fewest requests in flight for its weight; ties go round.
fn least_busy(deployments: &[Arc<Deployment>], eligible: DeploymentSet, start: usize) -> Option<usize> {
    let count = deployments.len();
    eligible.iter().min_by_key(|index| {
        let load = deployments.get(*index).map_or(u64::MAX, |deployment| {
            u64::from(deployment.state.in_flight() + 1) * SCALE / u64::from(deployment.weight.max(1))
        });
        (load, (index + count - start % count) % count)
    })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::config::ProviderConfig;
    use crate::telemetry::{DeploymentLabels, Metrics};
    use crate::upstream::{DeploymentState, Provider, RateLimit};

    /// One for each weight, on one provider.
    pub(in crate::upstream) fn deployments(weights: &[u32]) -> Vec<Arc<Deployment>> {
        let config = ProviderConfig {
            kind: "openai".to_owned(),
            base_url: Some("http://127.0.0.1:9/v1".to_owned()),
            api_key: None,
            api_keys: Vec::new(),
            headers: std::collections::BTreeMap::new(),
            health: None,
        };
        let provider = Provider::new("p", &config, &[]).unwrap();
        let deployment = |(index, weight): (usize, &u32)| {
            let id = format!("p/m{index}");
            let labels = DeploymentLabels { model: "m", provider: "p", deployment: &id };
            Arc::new(Deployment {
                series: Metrics::global().deployment(&labels),
                id: DeploymentId::from(id),
                provider: provider.clone(),
                credential: None,
                lacks_credential: false,
                target: index,
                upstream_model: format!("m{index}"),
                weight: *weight,
                prefill: false,
                price: None,
                spec: None,
                limit: RateLimit::default(),
                in_flight_limit: None,
                state: Arc::new(DeploymentState::default()),
            })
        };
        weights.iter().enumerate().map(deployment).collect()
    }

    pub(in crate::upstream) fn demand() -> Demand {
        Demand { stream: true, prompt: 100, completion: 100, affinity: None }
    }

    const ALL: [BalanceStrategy; 5] = [
        BalanceStrategy::Weighted,
        BalanceStrategy::RoundRobin,
        BalanceStrategy::LeastBusy,
        BalanceStrategy::Latency,
        BalanceStrategy::Cost,
    ];

    #[test]
    fn every_strategy_picks_only_what_is_eligible() {
        let deployments = deployments(&[1, 2, 3, 4]);
        for strategy in ALL {
            let balancer = Balancer::new(strategy, &deployments);
            let pick = |eligible: &[usize]| {
                let eligible = eligible.iter().copied().collect();
                balancer.pick(&deployments, eligible, &demand(), Instant::now())
            };
            assert_eq!(pick(&[]), None, "{strategy:?}");
            for _ in 0..50 {
                assert_eq!(pick(&[2]), Some(2), "{strategy:?}");
                assert!([Some(1), Some(3)].contains(&pick(&[1, 3])), "{strategy:?}");
            }
        }
    }

    #[test]
    fn what_costs_the_same_shares_by_weight() {
        let deployments = deployments(&[3, 1]);
        let balancer = Balancer::new(BalanceStrategy::Cost, &deployments);
        let all = (0..2).collect();
        let picks = (0..40).filter_map(|_| balancer.pick(&deployments, all, &demand(), Instant::now()));
        assert_eq!(picks.filter(|index| *index == 0).count(), 30);
    }

    #[test]
    fn the_least_busy_for_its_weight_is_next() {
        let deployments = deployments(&[1, 4]);
        let balancer = Balancer::new(BalanceStrategy::LeastBusy, &deployments);
        let running: Vec<_> = (0..2).map(|_| deployments[1].state.begin()).collect();
        let all = (0..2).collect();
        assert_eq!(balancer.pick(&deployments, all, &demand(), Instant::now()), Some(1));
        drop(running);
    }
}
