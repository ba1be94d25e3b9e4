//! Picks the deployment for the next attempt.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::Deployment;
use crate::config::BalanceStrategy;

/// The balancing state of one model.
#[derive(Debug)]
pub struct Balancer {
    strategy: BalanceStrategy,
    next: AtomicUsize,
    /// Smooth weighted round robin: each deployment's running score.
    scores: Mutex<Vec<i64>>,
}

impl Balancer {
    /// For a model with this many deployments.
    pub fn new(strategy: BalanceStrategy, deployments: usize) -> Self {
        Self { strategy, next: AtomicUsize::new(0), scores: Mutex::new(vec![0; deployments]) }
    }

    /// The index of the deployment to call, among those that `eligible` lets through.
    pub fn pick(&self, deployments: &[Arc<Deployment>], eligible: impl Fn(usize) -> bool) -> Option<usize> {
        let candidates = || (0..deployments.len()).filter(|index| eligible(*index));
        let mut first_two = candidates();
        let only = first_two.next()?;
        if first_two.next().is_none() {
            return Some(only);
        }
        match self.strategy {
            BalanceStrategy::RoundRobin => {
                let start = self.next.fetch_add(1, Ordering::Relaxed);
                let rotated = (0..deployments.len()).map(|step| (start + step) % deployments.len());
                rotated.into_iter().find(|index| eligible(*index))
            }
            BalanceStrategy::LeastBusy => {
                let start = self.next.fetch_add(1, Ordering::Relaxed);
                let load = |index: &usize| {
                    let deployment = deployments.get(*index);
                    let load = deployment.map_or(u64::MAX, |deployment| {
                        u64::from(deployment.state.in_flight() + 1) * 1_000
                            / u64::from(deployment.weight.max(1))
                    });
                    (load, (index + deployments.len() - start % deployments.len()) % deployments.len())
                };
                candidates().min_by_key(load)
            }
            BalanceStrategy::Weighted | BalanceStrategy::Latency | BalanceStrategy::Cost => {
                self.smooth_weighted(deployments, candidates())
            }
        }
    }

    /// nginx's smooth weighted round robin: everyone gains its weight, the highest score is picked
    /// and pays the sum, so that 5:1:1 gives a b a c a a a-like interleaving and never a burst.
    fn smooth_weighted(
        &self,
        deployments: &[Arc<Deployment>],
        candidates: impl Iterator<Item = usize>,
    ) -> Option<usize> {
        let mut scores = self.scores.lock().unwrap_or_else(PoisonError::into_inner);
        let mut total = 0;
        let mut best: Option<(i64, usize)> = None;
        for index in candidates {
            let weight = deployments.get(index).map_or(0, |deployment| i64::from(deployment.weight));
            let Some(score) = scores.get_mut(index) else { continue };
            *score += weight;
            total += weight;
            if best.is_none_or(|(top, _)| *score > top) {
                best = Some((*score, index));
            }
        }
        let (_, index) = best?;
        if let Some(score) = scores.get_mut(index) {
            *score -= total;
        }
        Some(index)
    }
}
