//! nginx's smooth weighted round robin: everyone gains its weight, the highest score is picked and
//! pays the sum, so that 5:1:1 gives an a a b a c a a-like interleaving and never a burst.

use std::sync::{Arc, Mutex, PoisonError};

use super::DeploymentSet;
use crate::upstream::Deployment;

/// Each deployment's running score.
#[derive(Debug)]
pub(super) struct SmoothWeighted(Mutex<Vec<i64>>);

impl SmoothWeighted {
    pub(super) fn new(deployments: usize) -> Self {
        Self(Mutex::new(vec![0; deployments]))
    }

    pub(super) fn pick(&self, deployments: &[Arc<Deployment>], eligible: DeploymentSet) -> Option<usize> {
        let mut scores = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut total = 0;
        let mut best: Option<(i64, usize)> = None;
        for index in eligible.iter() {
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
