//! Weighted rendezvous hashing: every deployment draws a number from the key, the best one for its
//! weight wins. A deployment that is gone moves only its own share, and nothing is remembered.
//! Reference: <https://www.ietf.org/archive/id/draft-ietf-bess-weighted-hrw-00.html>.

use std::sync::Arc;

use super::DeploymentSet;
use crate::upstream::Deployment;

/// Where the key belongs; None when that deployment has more than its share to do already.
pub(super) fn pick(
    deployments: &[Arc<Deployment>],
    identities: &[u64],
    eligible: DeploymentSet,
    key: u64,
) -> Option<usize> {
    let draw = |index: usize| {
        let identity = identities.get(index).copied().unwrap_or_default();
        f64::from(weight(deployments, index)) / -uniform(mix(key ^ identity)).ln()
    };
    let target = eligible.iter().map(|index| (draw(index), index)).max_by(|a, b| a.0.total_cmp(&b.0))?.1;
    (!is_overloaded(deployments, eligible, target)).then_some(target)
}

/// Bounded loads: above 1.25 times its share, and one, a hot key spills over.
/// (<https://arxiv.org/abs/1608.01350>)
fn is_overloaded(deployments: &[Arc<Deployment>], eligible: DeploymentSet, target: usize) -> bool {
    let in_flight = |index: usize| deployments.get(index).map_or(0, |it| u64::from(it.state.in_flight()));
    let (mut running, mut weights) = (0, 0);
    for index in eligible.iter() {
        running += in_flight(index);
        weights += u64::from(weight(deployments, index));
    }
    // in flight > 1.25 × share + 1, in whole numbers.
    let share_by_weights = running * u64::from(weight(deployments, target));
    in_flight(target) * 4 * weights > 5 * share_by_weights + 4 * weights
}

fn weight(deployments: &[Arc<Deployment>], index: usize) -> u32 {
    deployments.get(index).map_or(0, |deployment| deployment.weight)
}

/// In 0..1, both excluded.
fn uniform(hash: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "53 bits fit")]
    let bits = (hash >> 11) as f64;
    (bits + 0.5) / (1_u64 << 53) as f64
}

/// The finish of `SplitMix64`: two keys that differ in one bit draw unrelated numbers.
fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use super::super::{identity, tests::deployments};
    use super::*;

    const KEYS: u64 = 4_000;

    fn homes(deployments: &[Arc<Deployment>], eligible: DeploymentSet) -> Vec<usize> {
        let identities: Vec<u64> = deployments.iter().map(|it| identity(&it.id)).collect();
        (0..KEYS).map(|key| pick(deployments, &identities, eligible, mix(key)).unwrap()).collect()
    }

    #[test]
    fn keys_spread_by_weight_and_stay() {
        let deployments = deployments(&[1, 1, 2, 0]);
        let eligible = (0..3).collect();
        let homes_before = homes(&deployments, eligible);
        for (index, expected) in [(0, 1_000), (1, 1_000), (2, 2_000_usize)] {
            let share = homes_before.iter().filter(|home| **home == index).count();
            assert!(share.abs_diff(expected) < 120, "{index}: {share}");
        }
        assert_eq!(homes(&deployments, eligible), homes_before);
    }

    #[test]
    fn a_lost_deployment_moves_only_its_own_share() {
        let deployments = deployments(&[1, 1, 1, 1]);
        let before = homes(&deployments, (0..4).collect());
        let after = homes(&deployments, [0, 1, 3].into_iter().collect());
        for (before, after) in before.iter().zip(&after) {
            assert!(*before == 2 || before == after);
            assert_ne!(*after, 2);
        }
        let to_the_last = before.iter().zip(&after).filter(|(before, after)| **before == 2 && **after == 3);
        assert!(to_the_last.count() > 200, "what is lost is spread over all the others");
    }

    #[test]
    fn a_hot_key_spills_over() {
        let deployments = deployments(&[1, 1]);
        let identities: Vec<u64> = deployments.iter().map(|it| identity(&it.id)).collect();
        let all = (0..2).collect();
        let home = pick(&deployments, &identities, all, 7).unwrap();
        let mut running = Vec::new();
        while pick(&deployments, &identities, all, 7).is_some() {
            running.push(deployments[home].state.begin());
        }
        // 3 > 1.25 × 1.5 + 1.
        assert_eq!(running.len(), 3);
        running.pop();
        assert_eq!(pick(&deployments, &identities, all, 7), Some(home));
    }
}
