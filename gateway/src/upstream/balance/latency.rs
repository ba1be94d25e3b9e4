//! The faster of two random deployments. Two choices are nearly as good as all of them, and do not
//! send everyone to the same one between two samples.

use std::sync::Arc;
use std::time::Instant;

use super::{Demand, DeploymentSet};
use crate::upstream::Deployment;

/// Added for a deployment whose first sample is still on its way: one request finds out, the others
/// go where the time is known.
const UNKNOWN_MICROS: f64 = 1e15;

/// `random(n)` lies in 0..n.
pub(super) fn pick(
    deployments: &[Arc<Deployment>],
    eligible: DeploymentSet,
    demand: &Demand,
    now: Instant,
    random: impl Fn(usize) -> usize,
) -> Option<usize> {
    let count = eligible.len();
    if count < 2 {
        return eligible.iter().next();
    }
    let first = random(count);
    let step = 1 + random(count - 1);
    let nth = |position: usize| eligible.iter().nth(position);
    let (first, second) = (nth(first)?, nth((first + step) % count)?);
    let cost = |index: usize| deployments.get(index).map_or(f64::MAX, |it| cost(it, demand, now));
    Some(if cost(second) < cost(first) { second } else { first })
}

/// How long a request would take there, seen from here.
fn cost(deployment: &Deployment, demand: &Demand, now: Instant) -> f64 {
    let in_flight = f64::from(deployment.state.in_flight());
    let weight = f64::from(deployment.weight.max(1));
    match deployment.state.latency(demand.stream).micros(now) {
        Some(micros) => micros * (in_flight + 1.0) / weight,
        None if in_flight == 0.0 => 0.0,
        None => (UNKNOWN_MICROS + in_flight) / weight,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::tests::{demand, deployments};
    use super::*;

    fn shares(deployments: &[Arc<Deployment>], now: Instant) -> Vec<usize> {
        let all = (0..deployments.len()).collect();
        let mut shares = vec![0; deployments.len()];
        let random = fastrand::Rng::with_seed(7);
        let random = std::cell::RefCell::new(random);
        for _ in 0..1_000 {
            let below = |n| random.borrow_mut().usize(0..n);
            shares[pick(deployments, all, &demand(), now, below).unwrap()] += 1;
        }
        shares
    }

    fn observe(deployment: &Deployment, millis: u64, now: Instant) {
        deployment.state.latency(true).observe(Duration::from_millis(millis), now);
    }

    #[test]
    fn of_two_the_faster_one_gets_everything() {
        let both = deployments(&[1, 1]);
        let now = Instant::now();
        observe(&both[0], 400, now);
        observe(&both[1], 100, now);
        assert_eq!(shares(&both, now), [0, 1_000]);
    }

    #[test]
    fn of_three_the_slowest_gets_nothing() {
        let three = deployments(&[1, 1, 1]);
        let now = Instant::now();
        for (deployment, millis) in three.iter().zip([400, 100, 200]) {
            observe(deployment, millis, now);
        }
        let shares = shares(&three, now);
        assert!(shares[0] == 0 && shares[1] > 600 && shares[2] > 200, "{shares:?}");
    }

    #[test]
    fn one_without_a_sample_is_tried_by_one_request_at_a_time() {
        let both = deployments(&[1, 1]);
        let now = Instant::now();
        observe(&both[0], 100, now);
        assert_eq!(shares(&both, now), [0, 1_000]);
        let running = both[1].state.begin();
        assert_eq!(shares(&both, now), [1_000, 0]);
        drop(running);
    }

    #[test]
    fn the_cold_start_spreads_over_all() {
        let three = deployments(&[1, 1, 1]);
        assert!(shares(&three, Instant::now()).iter().all(|share| *share > 200));
    }

    #[test]
    fn a_once_slow_one_is_tried_again() {
        let both = deployments(&[1, 1]);
        let start = Instant::now();
        observe(&both[0], 1_000, start);
        for second in 0..40 {
            let now = start + Duration::from_secs(second);
            observe(&both[1], 100, now);
            let expected = if second < 24 { [0, 1_000] } else { [1_000, 0] };
            if second != 23 {
                assert_eq!(shares(&both, now), expected, "{second} s");
            }
        }
    }

    #[test]
    fn requests_in_flight_and_weights_count() {
        let both = deployments(&[1, 4]);
        let now = Instant::now();
        observe(&both[0], 100, now);
        observe(&both[1], 300, now);
        assert_eq!(shares(&both, now), [0, 1_000]);
        let running: Vec<_> = (0..2).map(|_| both[1].state.begin()).collect();
        assert_eq!(shares(&both, now), [1_000, 0]);
        drop(running);
    }
}
