//! Who answers? A pure function of the evidence: constraints, then rules, then the conversation, an external router, and the
//! objective. Without a usable score the default answers: what was broken must not cost quality.

use std::cmp::Ordering;

use super::decision::{Reason, Verdict};
use super::evidence::{Evidence, Exclusion, Objective, Prospect, Unscored};

/// Who, and why.
pub fn decide(evidence: &Evidence) -> Verdict {
    let all = &evidence.candidates;
    let open = open(evidence);
    // When nobody can take the request, attempts tell the client why.
    let is_only = open.len() == 1 && all.len() > 1;
    let mut order = rank(evidence, if open.is_empty() { permitted(all) } else { open });
    let (first, reason) = first(evidence, &order, is_only);
    let at = first.and_then(|first| order.iter().position(|at| *at == first));
    if let Some(before) = at.and_then(|at| order.get_mut(..=at)) {
        before.rotate_right(1);
    }
    // A cooldown may have ended by the time that the others have failed.
    let later = |at: &usize| {
        all.get(*at).is_some_and(|it| it.excluded == Some(Exclusion::Unavailable)) && !order.contains(at)
    };
    let later: Vec<usize> = (0..all.len()).filter(later).collect();
    order.extend(later);
    Verdict { order, reason }
}

/// Positions of those that can take the request within its limits; without any the cheapest beyond them.
pub(super) fn open(evidence: &Evidence) -> Vec<usize> {
    let all = &evidence.candidates;
    let able: Vec<usize> = positions(all, |it| it.excluded.is_none());
    let within: Vec<usize> = able
        .iter()
        .copied()
        .filter(|at| all.get(*at).is_some_and(|it| evidence.limit(it).is_none()))
        .collect();
    if !within.is_empty() {
        return within;
    }
    let dearest = |at: &usize| all.get(*at).and_then(|it| it.cost_nanos).unwrap_or(u64::MAX);
    able.into_iter().min_by_key(dearest).into_iter().collect()
}

fn permitted(all: &[Prospect]) -> Vec<usize> {
    positions(all, |it| it.excluded != Some(Exclusion::Key))
}

fn positions(all: &[Prospect], fits: impl Fn(&Prospect) -> bool) -> Vec<usize> {
    all.iter().enumerate().filter(|(_, it)| fits(it)).map(|(at, _)| at).collect()
}

/// Who comes first whatever the rank of those `asked`; None leaves it to that.
fn first(evidence: &Evidence, asked: &[usize], is_only: bool) -> (Option<usize>, Reason) {
    let can = |at: &usize| asked.contains(at);
    if is_only {
        return (None, Reason::Constraint);
    }
    if let Some(rule) = evidence.rule.as_ref().filter(|rule| can(&rule.candidate)) {
        return (Some(rule.candidate), Reason::Rule);
    }
    let kept = evidence.kept.filter(|kept| can(&kept.candidate));
    if let Some(kept) = kept.filter(|kept| kept.hold) {
        return (Some(kept.candidate), Reason::Sticky);
    }
    if let Some(external) = evidence.external.filter(|at| can(at)) {
        return (Some(external), Reason::External);
    }
    if let Some(reason) = evidence.lacks_score(asked) {
        return (Some(evidence.default), reason);
    }
    if let (Some(kept), Some(ranked)) = (kept, asked.first().copied())
        && evidence.loses_by_leaving(kept.candidate, ranked)
    {
        return (Some(kept.candidate), Reason::Sticky);
    }
    let is_scored = evidence.unscored.is_none();
    (None, if is_scored { Reason::Classifier } else { Reason::Policy })
}

/// By the objective, the best first.
fn rank(evidence: &Evidence, mut order: Vec<usize>) -> Vec<usize> {
    if let Some(is_hard) = evidence.is_hard() {
        if !is_hard {
            order.reverse();
        }
        return order;
    }
    let of = |at: &usize| evidence.candidates.get(*at);
    let cost = |it: &Prospect| it.cost_nanos.unwrap_or(u64::MAX);
    let scale = Scale::of(evidence, &order);
    let better = |one: &Prospect, other: &Prospect| -> Ordering {
        let by_quality = || quality(other).total_cmp(&quality(one)).then(cost(one).cmp(&cost(other)));
        match evidence.objective {
            Objective::TargetQuality(target) => match (quality(one) >= target, quality(other) >= target) {
                (true, true) => cost(one).cmp(&cost(other)).then(quality(other).total_cmp(&quality(one))),
                (true, false) => Ordering::Less,
                (false, true) => Ordering::Greater,
                (false, false) => by_quality(),
            },
            Objective::Weights { quality, cost, latency } => {
                let weights = [quality, cost, latency];
                scale.utility(other, weights).total_cmp(&scale.utility(one, weights))
            }
            _ => by_quality(),
        }
    };
    order.sort_by(|one, other| match (of(one), of(other)) {
        (Some(one), Some(other)) => better(one, other),
        _ => Ordering::Equal,
    });
    order
}

/// What is predicted; 0 when nothing is.
fn quality(prospect: &Prospect) -> f64 {
    f64::from(prospect.quality.filter(|it| it.is_finite()).unwrap_or(0.0))
}

/// Costs and latencies are counted as shares of these.
pub(super) struct Scale {
    dearest: f64,
    slowest: f64,
}

impl Scale {
    /// Of the candidates at these positions.
    pub(super) fn of(evidence: &Evidence, positions: &[usize]) -> Self {
        let most = |part: fn(&Prospect) -> Option<u64>| {
            let them = positions.iter().filter_map(|at| evidence.candidates.get(*at));
            them.filter_map(part).max().unwrap_or(0).max(1) as f64
        };
        Self { dearest: most(|it| it.cost_nanos), slowest: most(|it| it.latency_us) }
    }

    /// By the weights of quality, cost and latency.
    pub(super) fn utility(&self, prospect: &Prospect, weights: [f64; 3]) -> f64 {
        // What is not known is taken for the worst of the known, but for latency: who is never asked is never measured.
        let cost = prospect.cost_nanos.map_or(1.0, |nanos| nanos as f64 / self.dearest);
        let latency = prospect.latency_us.map_or(0.0, |micros| micros as f64 / self.slowest);
        weights[0] * quality(prospect) - weights[1] * cost - weights[2] * latency
    }
}

impl Evidence {
    /// Which of the request's own limits keeps a candidate away.
    pub fn limit(&self, prospect: &Prospect) -> Option<Exclusion> {
        let is_dear =
            self.max_cost_nanos.is_some_and(|most| prospect.cost_nanos.is_none_or(|cost| cost > most));
        let is_slow =
            self.max_latency_us.is_some_and(|most| prospect.latency_us.is_some_and(|latency| latency > most));
        is_dear.then_some(Exclusion::Cost).or(is_slow.then_some(Exclusion::Latency))
    }

    /// Notes them, for whoever reads what was decided.
    pub(super) fn note_limits(&mut self) {
        for at in 0..self.candidates.len() {
            let limit = self.candidates.get(at).and_then(|it| self.limit(it));
            if let Some(candidate) = self.candidates.get_mut(at) {
                candidate.beyond = limit;
            }
        }
    }

    /// Above the cut of a pair; None where there is no pair.
    fn is_hard(&self) -> Option<bool> {
        let (win, quantile) = self.score.map_or((1.0, 1.0), |score| (score.win, score.quantile));
        match self.objective {
            Objective::Threshold(threshold) => Some(f64::from(win) >= threshold),
            Objective::Share(share) => Some(share > 0.0 && f64::from(quantile) >= 1.0 - share),
            _ => None,
        }
    }

    /// Why the objective cannot be applied, if it cannot.
    fn lacks_score(&self, asked: &[usize]) -> Option<Reason> {
        let needs_pair = matches!(self.objective, Objective::Threshold(_) | Objective::Share(_));
        if !needs_pair
            && self.unscored.is_some()
            && asked.iter().all(|at| self.candidates.get(*at).is_some_and(|it| it.quality.is_some()))
        {
            return None;
        }
        if self.score.is_some_and(|score| !score.is_usable()) {
            return Some(Reason::BadScore);
        }
        Some(match self.unscored? {
            Unscored::NoText => Reason::NoText,
            Unscored::NoClassifier => Reason::NoClassifier,
            Unscored::BadScore => Reason::BadScore,
            Unscored::Late => Reason::Late,
            Unscored::NotAsked => Reason::Policy,
        })
    }

    /// Is a change from one candidate to another a loss, with what the prompt cache saves?
    fn loses_by_leaving(&self, kept: usize, next: usize) -> bool {
        let (Some(kept_one), Some(next_one)) = (self.candidates.get(kept), self.candidates.get(next)) else {
            return false;
        };
        let is_no_worse = match self.is_hard() {
            // Of a pair the first is the better one.
            Some(_) => kept < next,
            None => kept_one.quality.zip(next_one.quality).is_some_and(|(kept, next)| kept >= next),
        };
        let is_no_dearer =
            kept_one.cost_nanos.zip(next_one.cost_nanos).is_some_and(|(kept, next)| kept <= next);
        kept != next && is_no_worse && is_no_dearer
    }
}

#[cfg(test)]
mod tests {
    use super::super::decision::Decision;
    use super::super::evidence::{Kept, RuleHit, Score};
    use super::*;

    /// Large and small, as a pair has them.
    fn pair(objective: Objective, win: f32, quantile: f32) -> Evidence {
        let prospect = |model: &str| Prospect {
            model: model.into(),
            excluded: None,
            beyond: None,
            quality: None,
            raw_quality: None,
            stage1_quality: None,
            cost_nanos: None,
            latency_us: None,
        };
        Evidence {
            candidates: vec![prospect("large"), prospect("small")],
            objective,
            max_cost_nanos: None,
            max_latency_us: None,
            default: 0,
            score: Some(Score { win, quantile }),
            unscored: None,
            rule: None,
            external: None,
            kept: None,
            tokens: 10,
            steps: None,
            stage1: None,
        }
    }

    fn several(objective: Objective, known: &[(f32, u64, u64)]) -> Evidence {
        let mut evidence = pair(objective, 0.5, 0.5);
        let prospects = known.iter().enumerate().map(|(at, (quality, cost, latency))| Prospect {
            model: format!("m{at}").into(),
            excluded: None,
            beyond: None,
            quality: Some(*quality),
            raw_quality: Some(*quality),
            stage1_quality: None,
            cost_nanos: Some(*cost),
            latency_us: Some(*latency),
        });
        evidence.candidates = prospects.collect();
        evidence
    }

    fn side(evidence: &Evidence) -> (usize, Reason) {
        let verdict = decide(evidence);
        (verdict.order[0], verdict.reason)
    }

    #[test]
    fn a_score_at_the_cut_goes_to_the_strong_model_and_one_below_does_not() {
        let cut = Objective::Threshold(0.5);
        assert_eq!(side(&pair(cut, 0.5, 0.0)), (0, Reason::Classifier));
        assert_eq!(side(&pair(cut, 0.499, 1.0)), (1, Reason::Classifier));
        let cut = Objective::Share(0.25);
        assert_eq!(side(&pair(cut, 0.0, 0.75)), (0, Reason::Classifier));
        assert_eq!(side(&pair(cut, 1.0, 0.74)), (1, Reason::Classifier));
        assert_eq!(side(&pair(Objective::Share(0.0), 1.0, 1.0)).0, 1);
    }

    #[test]
    fn a_model_that_cannot_take_the_request_is_not_chosen_whatever_the_score() {
        let mut evidence = pair(Objective::Threshold(0.5), 0.9, 0.9);
        evidence.candidates[0].excluded = Some(Exclusion::Unavailable);
        assert_eq!(side(&evidence), (1, Reason::Constraint));
        assert_eq!(decide(&evidence).order, [1, 0], "its cooldown may end meanwhile");
        evidence.candidates[0].excluded = Some(Exclusion::Context);
        assert_eq!(decide(&evidence).order, [1]);
        evidence.candidates[1].excluded = Some(Exclusion::Context);
        assert_eq!(side(&evidence), (0, Reason::Classifier), "attempts tell why");
        evidence.candidates[0].excluded = Some(Exclusion::Key);
        assert_eq!(decide(&evidence).order, [1], "what the key may not have is never asked");
    }

    #[test]
    fn without_a_usable_score_the_default_answers() {
        let cut = Objective::Threshold(1.0);
        assert_eq!(side(&pair(cut, f32::NAN, 0.1)), (0, Reason::BadScore));
        for (unscored, reason) in
            [(Unscored::NoClassifier, Reason::NoClassifier), (Unscored::NoText, Reason::NoText)]
        {
            let mut evidence = pair(cut, 0.1, 0.1);
            (evidence.score, evidence.unscored) = (None, Some(unscored));
            assert_eq!(side(&evidence), (0, reason));
            evidence.default = 1;
            assert_eq!(side(&evidence), (1, reason));
        }
    }

    #[test]
    fn the_cheapest_that_is_good_enough_answers_and_the_best_when_none_is() {
        let known = [(0.95, 900, 1), (0.85, 50, 1), (0.5, 1, 1), (0.86, 60, 1)];
        assert_eq!(decide(&several(Objective::TargetQuality(0.8), &known)).order, [1, 3, 0, 2]);
        assert_eq!(decide(&several(Objective::TargetQuality(0.99), &known)).order, [0, 3, 1, 2]);
        assert_eq!(decide(&several(Objective::BestQuality, &known)).order, [0, 3, 1, 2]);
    }

    #[test]
    fn limits_keep_away_what_is_too_dear_or_too_slow() {
        let known = [(0.95, 900, 1), (0.85, 50, 9_000), (0.5, 1, 1)];
        let mut evidence = several(Objective::BestQuality, &known);
        evidence.max_cost_nanos = Some(100);
        assert_eq!(decide(&evidence).order, [1, 2]);
        evidence.max_latency_us = Some(5_000);
        assert_eq!(side(&evidence), (2, Reason::Constraint));
        evidence.max_cost_nanos = Some(0);
        assert_eq!(side(&evidence), (2, Reason::Constraint), "somebody has to answer: the cheapest");
        evidence.candidates[2].cost_nanos = None;
        evidence.max_cost_nanos = Some(100);
        evidence.max_latency_us = None;
        assert_eq!(side(&evidence), (1, Reason::Constraint), "an unknown price is no promise");
    }

    #[test]
    fn weights_set_quality_against_cost_and_latency() {
        let known = [(0.9, 1_000, 100), (0.8, 100, 1_000)];
        let weights = |quality, cost, latency| Objective::Weights { quality, cost, latency };
        assert_eq!(side(&several(weights(1.0, 0.0, 0.0), &known)).0, 0);
        assert_eq!(side(&several(weights(1.0, 0.2, 0.0), &known)).0, 1);
        assert_eq!(side(&several(weights(1.0, 0.2, 0.2), &known)).0, 0);
    }

    #[test]
    fn a_rule_comes_before_the_classifier_but_not_before_a_constraint() {
        let mut evidence = several(Objective::BestQuality, &[(0.9, 9, 1), (0.8, 5, 1), (0.7, 1, 1)]);
        evidence.rule = Some(RuleHit { name: "night".into(), candidate: 2 });
        assert_eq!(decide(&evidence), Verdict { order: vec![2, 0, 1], reason: Reason::Rule });
        evidence.candidates[2].excluded = Some(Exclusion::Tools);
        assert_eq!(side(&evidence), (0, Reason::Classifier));
    }

    #[test]
    fn a_conversation_stays_where_a_change_is_neither_better_nor_cheaper() {
        let mut evidence = pair(Objective::Threshold(0.5), 0.1, 0.1);
        evidence.candidates[0].cost_nanos = Some(10);
        evidence.candidates[1].cost_nanos = Some(20);
        evidence.kept = Some(Kept { candidate: 0, hold: false });
        assert_eq!(side(&evidence), (0, Reason::Sticky), "its prompt cache makes it cheaper");
        evidence.candidates[0].cost_nanos = Some(30);
        assert_eq!(side(&evidence), (1, Reason::Classifier));
        evidence.kept = Some(Kept { candidate: 0, hold: true });
        assert_eq!(side(&evidence), (0, Reason::Sticky));
        evidence.candidates[0].excluded = Some(Exclusion::Context);
        assert_eq!(side(&evidence), (1, Reason::Constraint));
    }

    #[test]
    fn an_external_router_decides_among_those_that_can() {
        let mut evidence = several(Objective::BestQuality, &[(0.9, 9, 1), (0.8, 5, 1), (0.7, 1, 1)]);
        evidence.external = Some(1);
        assert_eq!(side(&evidence), (1, Reason::External));
        evidence.candidates[1].excluded = Some(Exclusion::Vision);
        assert_eq!(side(&evidence), (0, Reason::Classifier));
    }

    #[test]
    fn a_decision_reads_as_a_header_and_survives_the_log_to_the_last_bit() {
        let decision = Decision::of(pair(Objective::Threshold(0.6), 0.625, 0.5), "".into());
        assert_eq!(decision.text(), "large; reason=classifier; win=0.6250; quantile=0.5000; threshold=0.6");
        for at in 1..2_000_u16 {
            let odd = f32::from(at) / 2_003.0;
            let mut evidence = several(Objective::TargetQuality(f64::from(at) / 2_003.0), &[(odd, 1, 2)]);
            evidence.score = Some(Score { win: odd, quantile: odd.sqrt() });
            let decision = Decision::of(evidence, "m@1".into());
            let text = serde_json::to_string(&decision).unwrap();
            let read: Decision = serde_json::from_str(&text).unwrap();
            assert_eq!(read, decision, "{text}");
        }
    }
}
