//! How clear is a decision, beside those of late? The margin of a decision is how far the scores are from where it would
//! turn; those with the smallest ones deserve a second opinion.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use router_model::score::RouteModel;

use super::evidence::{Evidence, Objective, Prospect};
use super::policy::{Scale, open};

/// Margins that are remembered of each virtual model.
const REMEMBERED: usize = 512;
/// So many tell what is usual.
const ENOUGH: usize = 64;
/// The cut is found anew after so many.
const EVERY: usize = 16;

/// The margins of late, by virtual model.
#[derive(Debug, Default)]
pub struct Hesitations(Mutex<HashMap<String, Margins>>);

#[derive(Debug, Default)]
struct Margins {
    last: VecDeque<f32>,
    seen: usize,
    /// The cut, and for which share it was found.
    cut: Option<(f64, f32)>,
}

impl Hesitations {
    /// Is this margin among the smallest, of which there is this share?
    pub(super) fn is_unsure(&self, model: &str, margin: f32, share: f64) -> bool {
        if share <= 0.0 || share >= 1.0 {
            return share > 0.0;
        }
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match all.get_mut(model).and_then(|margins| margins.cut(share)) {
            // Prompts that are all alike are none of the least sure.
            Some(learnt) => margin < learnt,
            // Before, they are taken to be like those of the classifier's calibration: a band of this width around the cut.
            None => margin <= (share / 2.0) as f32,
        }
    }

    /// A decision was made.
    pub fn saw(&self, model: &str, margin: f32) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(margins) = all.get_mut(model) {
            margins.add(margin);
        } else {
            all.entry(model.to_owned()).or_default().add(margin);
        }
    }
}

impl Margins {
    fn add(&mut self, margin: f32) {
        if self.last.len() >= REMEMBERED {
            self.last.pop_front();
        }
        self.last.push_back(margin);
        self.seen += 1;
        if self.seen.is_multiple_of(EVERY) {
            self.cut = None;
        }
    }

    fn cut(&mut self, share: f64) -> Option<f32> {
        if self.last.len() < ENOUGH {
            return None;
        }
        if let Some((known, cut)) = self.cut
            && known == share
        {
            return Some(cut);
        }
        let mut sorted: Vec<f32> = self.last.iter().copied().collect();
        let at = ((sorted.len() as f64 * share) as usize).min(sorted.len() - 1);
        let (_, cut, _) = sorted.select_nth_unstable_by(at, f32::total_cmp);
        self.cut = Some((share, *cut));
        Some(*cut)
    }
}

impl Evidence {
    /// How far the scores are from where the decision would turn. Of a pair in quantiles of the calibration's prompts, of
    /// several candidates in quality or utility; None where they decide nothing.
    pub(super) fn margin(&self, model: &RouteModel) -> Option<f32> {
        let open = open(self);
        let them = || open.iter().filter_map(|at| self.candidates.get(*at));
        let score = self.score.filter(|score| score.is_usable());
        match self.objective {
            Objective::Threshold(threshold) => {
                Some((score?.quantile - model.quantile(threshold as f32)).abs())
            }
            Objective::Share(share) => Some((score?.quantile - (1.0 - share) as f32).abs()),
            Objective::TargetQuality(target) => {
                let distances =
                    them().filter_map(|it| it.quality).map(|quality| (quality - target as f32).abs());
                distances.min_by(f32::total_cmp)
            }
            Objective::BestQuality => gap(them().filter_map(|it| it.quality)),
            Objective::Weights { quality, cost, latency } => {
                let scale = Scale::of(self, &open);
                let utility = |it: &Prospect| scale.utility(it, [quality, cost, latency]) as f32;
                gap(them().map(utility))
            }
        }
    }
}

/// Between the largest and the next.
fn gap(values: impl Iterator<Item = f32>) -> Option<f32> {
    let mut values: Vec<f32> = values.collect();
    values.sort_by(|one, other| other.total_cmp(one));
    match values[..] {
        [first, second, ..] => Some(first - second),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn before_enough_was_seen_a_band_of_quantiles_is_unsure() {
        let hesitations = Hesitations::default();
        assert!(hesitations.is_unsure("auto", 0.15, 0.3));
        assert!(!hesitations.is_unsure("auto", 0.16, 0.3));
        assert!(hesitations.is_unsure("auto", 0.9, 1.0));
    }

    #[test]
    fn the_share_that_is_unsure_is_learnt_from_what_comes() {
        let hesitations = Hesitations::default();
        // All of these are further off than the band.
        let margin = |at: u32| 0.4 + 0.0001 * (at * 7919 % 1000) as f32;
        let mut asked = 0;
        for at in 0..2000 {
            asked += u32::from(hesitations.is_unsure("auto", margin(at), 0.3));
            hesitations.saw("auto", margin(at));
        }
        assert!((500..680).contains(&asked), "{asked}");
        assert!(!hesitations.is_unsure("other", 0.4, 0.3), "each virtual model learns for itself");
        assert!(!hesitations.is_unsure("auto", 0.4, 0.0));
    }

    #[test]
    fn prompts_that_are_all_alike_are_not_all_unsure() {
        let hesitations = Hesitations::default();
        (0..100).for_each(|_| hesitations.saw("auto", 0.1));
        assert!(!hesitations.is_unsure("auto", 0.1, 0.3) && hesitations.is_unsure("auto", 0.05, 0.3));
    }

    #[test]
    fn the_gap_is_between_the_best_two() {
        assert_eq!(gap([0.5, 1.0, 0.25].into_iter()), Some(0.5));
        assert_eq!(gap([0.5].into_iter()), None);
    }
}
