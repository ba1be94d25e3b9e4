//! The cheapest deployment for this request. Several of one price share by weight; one without a known
//! price comes last, since it may cost anything.

use std::sync::Arc;

use super::{Demand, DeploymentSet};
use crate::upstream::Deployment;

/// What an answer is taken to be long when the client sets no bound.
const USUAL_COMPLETION: u64 = 256;

/// All that are as cheap as the cheapest.
pub(super) fn cheapest(
    deployments: &[Arc<Deployment>],
    eligible: DeploymentSet,
    demand: &Demand,
) -> DeploymentSet {
    let cost = |index: usize| deployments.get(index).map_or(u128::MAX, |it| cost(it, demand));
    let Some(lowest) = eligible.iter().map(cost).min() else { return eligible };
    eligible.iter().filter(|index| cost(*index) == lowest).collect()
}

/// Millionths of micro-dollars: rounded, the small requests would all cost the same.
fn cost(deployment: &Deployment, demand: &Demand) -> u128 {
    let completion = if demand.completion == 0 { USUAL_COMPLETION } else { demand.completion };
    deployment.price.map_or(u128::MAX, |price| {
        u128::from(demand.prompt) * u128::from(price.input)
            + u128::from(completion) * u128::from(price.output)
    })
}

#[cfg(test)]
mod tests {
    use domain::Price;

    use super::super::tests::{demand, deployments};
    use super::*;

    fn priced(prices: &[Option<(u64, u64)>]) -> Vec<Arc<Deployment>> {
        let mut all = deployments(&vec![1; prices.len()]);
        for (deployment, price) in all.iter_mut().zip(prices) {
            let price = price.map(|(input, output)| Price { input, output, ..Price::default() });
            Arc::get_mut(deployment).unwrap().price = price;
        }
        all
    }

    fn pick(all: &[Arc<Deployment>], prompt: u64, completion: u64) -> Vec<usize> {
        let demand = Demand { prompt, completion, ..demand() };
        cheapest(all, (0..all.len()).collect(), &demand).iter().collect()
    }

    #[test]
    fn the_cheapest_depends_on_the_shape_of_the_request() {
        let all = priced(&[Some((1, 20)), Some((5, 10))]);
        assert_eq!(pick(&all, 10_000, 100), [0]);
        assert_eq!(pick(&all, 100, 10_000), [1]);
        assert_eq!(pick(&all, 100, 0), [1], "an answer of unknown length is not free");
    }

    #[test]
    fn ties_stay_together_and_the_unpriced_come_last() {
        let all = priced(&[None, Some((3, 3)), Some((3, 3)), Some((9, 9))]);
        assert_eq!(pick(&all, 10, 10), [1, 2]);
        assert_eq!(pick(&all[..1], 10, 10), [0]);
        let none = priced(&[None, None]);
        assert_eq!(pick(&none, 10, 10), [0, 1]);
    }
}
