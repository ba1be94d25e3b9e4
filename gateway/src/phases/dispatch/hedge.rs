//! A second attempt beside one that is slower than usual (Dean and Barroso, The Tail at Scale, 2013). The
//! one that answers first is taken; dropping the other ends its call.

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Answers, Run};
use crate::claim::Claim;
use crate::limits::Place;
use crate::request::Record;
use crate::snapshot::Model;
use crate::upstream::{Attempt, AttemptFailure, CooldownState, Deployment, DeploymentSet, Leniency, Outcome};

/// How an attempt and the one beside it ended.
pub(super) struct Raced {
    /// Of the one that counts.
    pub outcome: Outcome,
    /// The time spent waiting for either.
    pub waited: Duration,
    /// The second attempt, if one was made.
    pub second: Option<Second>,
}

/// A second attempt.
pub(super) struct Second {
    /// Its target, and what it has claimed.
    pub answers: Answers,
    /// Its place among the deployment's requests in flight.
    pub place: Option<Place>,
    /// It answered first.
    pub won: bool,
    /// Why the other of the two failed, if it did.
    pub failure: Option<(AttemptFailure, Duration)>,
}

impl Raced {
    fn alone(outcome: Outcome) -> Self {
        Self { waited: outcome.waited, outcome, second: None }
    }
}

impl Run<'_> {
    /// Runs an attempt, and a second one when it is slow and the model allows it.
    pub(super) async fn race(
        &self,
        model: &Arc<Model>,
        attempt: &Attempt<'_>,
        tried: &DeploymentSet,
        record: &Record,
    ) -> Raced {
        let Some(delay) = self.hedge_delay(model, attempt.deployment) else {
            return Raced::alone(attempt.run().await);
        };
        // Boxed: two attempts would double the size of every request's future.
        Box::pin(self.hedged(model, attempt, delay, tried, record)).await
    }

    async fn hedged(
        &self,
        model: &Arc<Model>,
        attempt: &Attempt<'_>,
        delay: Duration,
        tried: &DeploymentSet,
        record: &Record,
    ) -> Raced {
        let began = Instant::now();
        let mut first = pin!(attempt.run());
        tokio::select! {
            biased;
            outcome = &mut first => return Raced::alone(outcome),
            () = tokio::time::sleep(delay) => {}
        }
        let Some(mut second) = self.second(model, attempt.deployment, tried, record) else {
            return Raced::alone(first.await);
        };
        let deployment = second.answers.deployment.clone();
        let sent = second.answers.claim.sent();
        let beside = Attempt { deployment: &deployment, sent, ..attempt.clone() };
        let mut other = pin!(beside.run());
        let outcome = tokio::select! {
            biased;
            outcome = &mut first => match outcome.result {
                Ok(_) => outcome,
                Err(failure) => {
                    second.failure = Some((failure, outcome.waited));
                    second.won = true;
                    other.await
                }
            },
            outcome = &mut other => match outcome.result {
                Ok(_) => {
                    second.won = true;
                    // How long it would have taken is not known; that it was slow is.
                    let quantiles = attempt.deployment.state.quantiles(self.request.head.stream);
                    quantiles.observe(began.elapsed());
                    outcome
                }
                Err(failure) => {
                    second.failure = Some((failure, outcome.waited));
                    first.await
                }
            },
        };
        Raced { outcome, waited: began.elapsed(), second: Some(second) }
    }

    fn hedge_delay(&self, model: &Model, deployment: &Deployment) -> Option<Duration> {
        let hedge = model.hedge.as_ref()?;
        if self.app.is_draining() {
            return None;
        }
        deployment.state.quantiles(self.request.head.stream).quantile(hedge.quantile)
    }

    /// Who gets the second attempt: another deployment, or the same once more when there is no other.
    fn second(
        &self,
        model: &Arc<Model>,
        first: &Arc<Deployment>,
        tried: &DeploymentSet,
        record: &Record,
    ) -> Option<Second> {
        let now = Instant::now();
        let other = self.selection(model).pick(&model.balancer, tried, Leniency::None, now);
        let deployment = other.and_then(|index| model.deployments.get(index)).unwrap_or(first).clone();
        // A probe of a cooldown is no help in a hurry.
        if deployment.state.cooldown.state(now) != CooldownState::Closed {
            return None;
        }
        let place = deployment.enter().ok()?;
        if !model.hedge.as_ref()?.budget.withdraw() {
            return None;
        }
        let claim = Claim::of(self.request, model, &deployment, record).ok()??;
        Some(Second { answers: Answers { deployment, claim }, place, won: false, failure: None })
    }
}
