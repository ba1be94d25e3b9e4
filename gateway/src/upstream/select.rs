//! Which deployments of a model may be called now, and which of them is. Whatever keeps one away is
//! asked here: weight, cooldown, configured limits, the provider's own.

use std::sync::Arc;
use std::time::{Duration, Instant};

use providers::Operation;

use super::{Balancer, Demand, Deployment, DeploymentSet};

/// What is overlooked when nobody else is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leniency {
    /// Nothing.
    None,
    /// That the provider has said that its quota is used up: it may have been reset early.
    Quota,
    /// That it is cooling down: a try that may fail beats a refusal that has.
    Cooldown,
}

/// One request, looking for a deployment of one model.
#[derive(Clone, Copy, Debug)]
pub struct Selection<'a> {
    /// The model's.
    pub deployments: &'a [Arc<Deployment>],
    /// What is asked for.
    pub operation: Operation,
    /// What of the request matters.
    pub demand: Demand,
    /// Names of the credentials that may be used; None: all.
    pub credentials: Option<&'a [String]>,
}

impl Selection<'_> {
    /// The position of the next deployment; None when all have been tried or are kept away.
    pub fn pick(
        &self,
        balancer: &Balancer,
        tried: &DeploymentSet,
        leniency: Leniency,
        now: Instant,
    ) -> Option<usize> {
        let eligible = self.without_standbys(self.candidates(tried, leniency, now).collect());
        if leniency != Leniency::Quota {
            return balancer.pick(self.deployments, eligible, &self.demand, now);
        }
        // The least bad is the one that has its quota back first.
        let reset = |index: &usize| self.deployments.get(*index).and_then(|it| self.quota_wait(it, now));
        eligible.iter().min_by_key(reset)
    }

    /// Would [`Self::pick`] find one?
    pub fn has_candidate(&self, tried: &DeploymentSet, leniency: Leniency, now: Instant) -> bool {
        self.candidates(tried, leniency, now).next().is_some()
    }

    /// Is there another credential for the same target that has not been tried and may be asked now?
    pub fn has_sibling(&self, deployment: &Deployment, tried: &DeploymentSet, now: Instant) -> bool {
        let mut candidates = self.candidates(tried, Leniency::None, now);
        candidates.any(|index| self.deployments.get(index).is_some_and(|it| it.target == deployment.target))
    }

    /// Nobody could be asked, because there is no credential, or none that may be used.
    pub fn lacks_credential(&self) -> bool {
        let supported = |it: &&Arc<Deployment>| providers::supports(self.operation, &it.provider.spec);
        let mut usable = self.deployments.iter().filter(supported);
        usable.all(|it| it.lacks_credential || !it.may_use(self.credentials))
    }

    /// The shortest wait for a configured limit; None when no limit keeps anyone away.
    pub fn limited_for(&self, now: Instant) -> Option<Duration> {
        let usable = self.deployments.iter().filter(|deployment| self.serves(deployment));
        usable.filter_map(|deployment| self.limit_wait(deployment, now)).min()
    }

    fn candidates(
        &self,
        tried: &DeploymentSet,
        leniency: Leniency,
        now: Instant,
    ) -> impl Iterator<Item = usize> {
        self.deployments.iter().enumerate().filter_map(move |(index, deployment)| {
            (!tried.contains(index) && self.admits(deployment, leniency, now)).then_some(index)
        })
    }

    /// A credential of a lower rank waits until those above it are gone.
    fn without_standbys(&self, eligible: DeploymentSet) -> DeploymentSet {
        if self.deployments.iter().all(|deployment| deployment.priority() == 0) {
            return eligible;
        }
        let all = || eligible.iter().filter_map(|index| Some((index, self.deployments.get(index)?)));
        let is_standby = |deployment: &Deployment| {
            all().any(|(_, it)| it.target == deployment.target && it.priority() < deployment.priority())
        };
        all().filter(|(_, deployment)| !is_standby(deployment)).map(|(index, _)| index).collect()
    }

    fn admits(&self, deployment: &Deployment, leniency: Leniency, now: Instant) -> bool {
        self.serves(deployment)
            && (leniency == Leniency::Cooldown || deployment.state.cooldown.may_admit(now))
            && (leniency != Leniency::None || self.quota_wait(deployment, now).is_none())
            && self.limit_wait(deployment, now).is_none()
    }

    fn serves(&self, deployment: &Deployment) -> bool {
        deployment.weight > 0
            && deployment.may_use(self.credentials)
            && providers::supports(self.operation, &deployment.provider.spec)
    }

    fn limit_wait(&self, deployment: &Deployment, now: Instant) -> Option<Duration> {
        deployment.state.rates.wait(deployment.limit, self.demand.tokens(), now)
    }

    fn quota_wait(&self, deployment: &Deployment, now: Instant) -> Option<Duration> {
        let tokens = deployment.quota_tokens(self.demand.prompt, self.demand.completion);
        deployment.state.quota.wait(tokens, now)
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue};
    use providers::WireFormat;

    use super::super::balance::tests::{demand, deployments};
    use super::super::{CooldownRule, RateLimit};
    use super::*;
    use crate::config::BalanceStrategy;

    fn use_up(deployment: &Deployment, reset: &'static str, now: Instant) {
        let mut headers = HeaderMap::new();
        headers.insert("x-ratelimit-remaining-requests", HeaderValue::from_static("0"));
        headers.insert("x-ratelimit-reset-requests", HeaderValue::from_static(reset));
        deployment.state.quota.read(WireFormat::OpenAi, &headers, now, std::time::SystemTime::now());
    }

    fn pick(deployments: &[Arc<Deployment>], leniency: Leniency, now: Instant) -> Option<usize> {
        let balancer = Balancer::new(BalanceStrategy::Weighted, deployments);
        let operation = Operation::ChatCompletions;
        let selection = Selection { deployments, operation, demand: demand(), credentials: None };
        selection.pick(&balancer, &DeploymentSet::default(), leniency, now)
    }

    #[test]
    fn a_used_up_quota_keeps_away_until_its_reset() {
        let both = deployments(&[9, 1]);
        let now = Instant::now();
        use_up(&both[0], "30s", now);
        assert_eq!(pick(&both, Leniency::None, now), Some(1));
        assert_eq!(pick(&both, Leniency::None, now + Duration::from_secs(31)), Some(0));
    }

    #[test]
    fn when_all_are_used_up_the_earliest_reset_is_the_least_bad() {
        let both = deployments(&[9, 1]);
        let now = Instant::now();
        use_up(&both[0], "30s", now);
        use_up(&both[1], "20s", now);
        assert_eq!(pick(&both, Leniency::None, now), None);
        assert_eq!(pick(&both, Leniency::Quota, now), Some(1));
    }

    #[test]
    fn a_configured_limit_is_never_overlooked() {
        let mut one = deployments(&[1]);
        Arc::get_mut(&mut one[0]).unwrap().limit = RateLimit { rpm: 1, tpm: 0 };
        let now = Instant::now();
        one[0].state.rates.count();
        one[0].state.take(one[0].limit, 1, now).unwrap();
        for leniency in [Leniency::None, Leniency::Quota, Leniency::Cooldown] {
            assert_eq!(pick(&one, leniency, now), None, "{leniency:?}");
        }
    }

    #[test]
    fn cooling_down_is_overlooked_last_and_drained_never() {
        let both = deployments(&[1, 0]);
        let now = Instant::now();
        let rule = CooldownRule { failures: 1, open: Duration::from_secs(5) };
        both[0].state.cooldown.failed(rule, now, false);
        assert_eq!(pick(&both, Leniency::None, now), None);
        assert_eq!(pick(&both, Leniency::Quota, now), None);
        assert_eq!(pick(&both, Leniency::Cooldown, now), Some(0));
    }
}
