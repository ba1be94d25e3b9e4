//! What was learnt of served and unserved candidates, and the threshold that follows from it: the lowest one above which
//! the share of wrong answers is, with the stated confidence, below what the operator allows.

use std::collections::VecDeque;

/// So many labels are kept; older ones go.
const WINDOW: usize = 4000;
/// One-sided: the true share is above the bound in at most one of twenty.
pub const CONFIDENCE: f64 = 0.95;
/// A threshold is drawn anew after so many labels, and at once after a wrong answer that it let through.
const REFRESH: u32 = 20;
/// While nothing is served, after so many.
const REFRESH_CLOSED: u32 = 5;

/// A threshold and what it promises.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Threshold {
    /// Candidates with at least this score are served; nothing is when it is above 1.
    pub score: f32,
    /// Upper bound of the share of wrong answers above it.
    pub bound: f64,
    /// Labels above it.
    pub labels: u32,
    /// How many of them said wrong.
    pub wrong: u32,
}

impl Threshold {
    /// Serves nothing.
    pub const CLOSED: Self = Self { score: 1.01, bound: 1.0, labels: 0, wrong: 0 };

    /// Whether anything is served.
    pub fn is_open(&self) -> bool {
        self.score <= 1.0
    }
}

/// Labels of one class.
#[derive(Clone, Debug)]
pub(super) struct Evidence {
    /// Score and whether the answer was right.
    pub(super) labels: VecDeque<(f32, bool)>,
    threshold: Threshold,
    fresh: u32,
}

impl Default for Evidence {
    fn default() -> Self {
        Self { labels: VecDeque::new(), threshold: Threshold::CLOSED, fresh: 0 }
    }
}

impl Evidence {
    pub(super) fn restore(labels: VecDeque<(f32, bool)>, needs: &Needs) -> Self {
        let threshold = needs.threshold(labels.iter().copied().collect());
        Self { labels, threshold, fresh: 0 }
    }

    pub(super) fn threshold(&self) -> Threshold {
        self.threshold
    }

    /// Takes a label in.
    pub(super) fn push(&mut self, score: f32, is_right: bool, needs: &Needs) {
        if self.labels.len() >= WINDOW {
            self.labels.pop_front();
        }
        self.labels.push_back((score, is_right));
        self.fresh += 1;
        let let_through = !is_right && score >= self.threshold.score;
        let refresh = if self.threshold.is_open() { REFRESH } else { REFRESH_CLOSED };
        if let_through || self.fresh >= refresh {
            self.fresh = 0;
            self.threshold = needs.threshold(self.labels.iter().copied().collect());
        }
    }
}

/// How many labels a bound needs, for each number of wrong ones among them.
#[derive(Clone, Debug)]
pub(super) struct Needs {
    labels: Vec<u32>,
}

impl Needs {
    /// For a share of wrong answers that is allowed.
    pub(super) fn new(max_error: f64) -> Self {
        let mut labels = Vec::new();
        let mut count = 1_u32;
        for wrong in 0.. {
            while count <= WINDOW as u32 && at_most(wrong, count, max_error) > 1.0 - CONFIDENCE {
                count += 1;
            }
            if count > WINDOW as u32 {
                break;
            }
            labels.push(count);
        }
        Self { labels }
    }

    /// The lowest threshold that holds.
    pub(super) fn threshold(&self, mut labels: Vec<(f32, bool)>) -> Threshold {
        labels.sort_unstable_by(|one, other| other.0.total_cmp(&one.0));
        let mut best = None;
        let (mut count, mut wrong) = (0_u32, 0_u32);
        let mut rest = labels.iter().peekable();
        while let Some((score, is_right)) = rest.next() {
            count += 1;
            wrong += u32::from(!is_right);
            // A threshold cannot part labels of one score.
            if rest.peek().is_some_and(|(next, _)| next == score) {
                continue;
            }
            if self.labels.get(wrong as usize).is_some_and(|needed| count >= *needed) {
                best = Some((*score, count, wrong));
            }
        }
        best.map_or(Threshold::CLOSED, |(score, labels, wrong)| Threshold {
            score,
            bound: upper_bound(wrong, labels),
            labels,
            wrong,
        })
    }
}

/// The one-sided Clopper-Pearson upper bound of a share, of which `wrong` in `count` were seen.
pub(super) fn upper_bound(wrong: u32, count: u32) -> f64 {
    if wrong >= count {
        return 1.0;
    }
    let (mut low, mut high) = (0.0, 1.0);
    for _ in 0..50 {
        let middle = (low + high) / 2.0;
        if at_most(wrong, count, middle) > 1.0 - CONFIDENCE {
            low = middle;
        } else {
            high = middle;
        }
    }
    high
}

/// The chance of at most `wrong` in `count`, each with chance `share`.
fn at_most(wrong: u32, count: u32, share: f64) -> f64 {
    if wrong >= count || share <= 0.0 {
        return 1.0;
    }
    if share >= 1.0 {
        return 0.0;
    }
    let odds = (share / (1.0 - share)).ln();
    let mut log_term = f64::from(count) * (-share).ln_1p();
    let mut sum = log_term.exp();
    for k in 1..=wrong {
        log_term += (f64::from(count - k + 1) / f64::from(k)).ln() + odds;
        sum += log_term.exp();
    }
    sum.min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_is_clopper_and_pearsons() {
        // Without a wrong one it is 1 - 0.05^(1/n); the others are from a table of the beta distribution.
        assert!((upper_bound(0, 149) - (1.0 - 0.05_f64.powf(1.0 / 149.0))).abs() < 1e-9);
        assert!((upper_bound(1, 100) - 0.046_56).abs() < 1e-4, "{}", upper_bound(1, 100));
        assert!((upper_bound(5, 500) - 0.020_91).abs() < 1e-4, "{}", upper_bound(5, 500));
        assert!((upper_bound(3, 3) - 1.0).abs() < 1e-9);
    }

    #[test]
    fn stays_closed_until_there_is_evidence() {
        let needs = Needs::new(0.02);
        let mut evidence = Evidence::default();
        for _ in 0..140 {
            evidence.push(0.9, true, &needs);
            assert!(!evidence.threshold().is_open());
        }
        for _ in 0..20 {
            evidence.push(0.9, true, &needs);
        }
        let threshold = evidence.threshold();
        assert!(threshold.is_open() && threshold.bound <= 0.02 && threshold.score <= 0.9, "{threshold:?}");
    }

    #[test]
    fn a_wrong_answer_that_was_let_through_counts_at_once() {
        let needs = Needs::new(0.02);
        let mut evidence = Evidence::default();
        (0..160).for_each(|_| evidence.push(0.9, true, &needs));
        assert!(evidence.threshold().is_open());
        evidence.push(0.95, false, &needs);
        assert!(!evidence.threshold().is_open());
    }

    #[test]
    fn the_threshold_lies_above_the_scores_that_err() {
        let needs = Needs::new(0.02);
        let mut evidence = Evidence::default();
        for at in 0..1000_u16 {
            let score = 0.5 + f32::from(at) / 2000.0;
            evidence.push(score, score > 0.75, &needs);
        }
        let threshold = evidence.threshold();
        assert!(threshold.score > 0.7 && threshold.score < 0.76, "{threshold:?}");
        assert!(threshold.bound <= 0.02);
    }

    #[test]
    fn old_labels_go_so_that_a_drift_closes_it() {
        let needs = Needs::new(0.02);
        let mut evidence = Evidence::default();
        (0..WINDOW).for_each(|_| evidence.push(0.9, true, &needs));
        (0..400).for_each(|at| evidence.push(0.9, at % 3 > 0, &needs));
        assert!(!evidence.threshold().is_open());
        assert_eq!(evidence.labels.len(), WINDOW);
    }
}
