//! How the win rates of a route's own prompts lie, for a share that is counted among them instead of among the prompts of the
//! classifier's calibration. A histogram for each route, in which older prompts fade.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Win rates from 0 to 1 are told apart by 1/2048; sums over many bins are kept, so that a rank is 96 additions at most.
const COARSE: usize = 64;
const FINE: usize = 32;
/// What a prompt counts at first: enough to be halved eight times.
const UNIT: u32 = 256;
/// When so many prompts count, all count half from then on.
const WINDOW: u32 = 4_096;
/// Prompts of the calibration count like so many of the route's own.
const PRIOR: f32 = 64.0;

/// The win rates of late, by virtual model.
#[derive(Debug, Default)]
pub struct Traffic(Mutex<HashMap<String, Box<Wins>>>);

#[derive(Debug)]
struct Wins {
    /// Which classifier they are of: another one scores otherwise.
    classifier: Arc<str>,
    coarse: [u32; COARSE],
    fine: [u32; COARSE * FINE],
    all: u32,
}

impl Traffic {
    /// The share of the route's prompts of late whose win rate is lower. While few are known, `usual` counts with them: the same
    /// share of the calibration's prompts.
    pub(super) fn quantile(&self, model: &str, classifier: &Arc<str>, win: f32, usual: f32) -> f32 {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(wins) = all.get(model).filter(|wins| wins.classifier == *classifier) else { return usual };
        let (below, known) = (wins.below(win), wins.all as f32 / UNIT as f32);
        (usual * PRIOR + below) / (PRIOR + known)
    }

    /// A prompt has this win rate.
    pub fn saw(&self, model: &str, classifier: &Arc<str>, win: f32) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match all.get_mut(model).filter(|wins| wins.classifier == *classifier) {
            Some(wins) => wins.add(win),
            None => {
                let mut wins = Box::new(Wins::of(classifier.clone()));
                wins.add(win);
                all.insert(model.to_owned(), wins);
            }
        }
    }
}

/// Where a win rate lies among the bins.
fn place(win: f32) -> f32 {
    let bins = (COARSE * FINE) as f32;
    (win.clamp(0.0, 1.0) * bins).min(bins - 0.5)
}

impl Wins {
    fn of(classifier: Arc<str>) -> Self {
        Self { classifier, coarse: [0; COARSE], fine: [0; COARSE * FINE], all: 0 }
    }

    /// How many prompts lie lower; within a bin they are taken to lie evenly.
    fn below(&self, win: f32) -> f32 {
        let place = place(win);
        let bin = place as usize;
        let coarse = bin / FINE;
        let lower = self.coarse.iter().take(coarse).chain(self.fine.iter().take(bin).skip(coarse * FINE));
        let within = self.fine.get(bin).copied().unwrap_or(0) as f32 * place.fract();
        (lower.sum::<u32>() as f32 + within) / UNIT as f32
    }

    fn add(&mut self, win: f32) {
        let bin = place(win) as usize;
        if let (Some(fine), Some(coarse)) = (self.fine.get_mut(bin), self.coarse.get_mut(bin / FINE)) {
            *fine += UNIT;
            *coarse += UNIT;
            self.all += UNIT;
        }
        if self.all >= WINDOW * UNIT {
            self.fade();
        }
    }

    fn fade(&mut self) {
        for (coarse, fine) in self.coarse.iter_mut().zip(self.fine.chunks_mut(FINE)) {
            fine.iter_mut().for_each(|bin| *bin /= 2);
            *coarse = fine.iter().sum();
        }
        self.all = self.coarse.iter().sum();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Win rates that lie evenly between two.
    fn see(traffic: &Traffic, classifier: &Arc<str>, count: u32, low: f32, high: f32) {
        for at in 0..count {
            let part = (at.wrapping_mul(0x9E37_79B9) >> 8) as f32 / (1 << 24) as f32;
            traffic.saw("auto", classifier, low + (high - low) * part);
        }
    }

    #[test]
    fn a_quantile_goes_from_the_calibrations_to_the_routes_own_and_follows_it() {
        let (traffic, one) = (Traffic::default(), Arc::from("one"));
        let of = |win| traffic.quantile("auto", &one, win, 0.9);
        assert_eq!(of(0.55), 0.9, "nothing is known");
        see(&traffic, &one, 64, 0.5, 0.6);
        assert!((of(0.55) - 0.7).abs() < 0.03, "half is its own: {}", of(0.55));
        see(&traffic, &one, 4_000, 0.5, 0.6);
        for (win, quantile) in [(0.525, 0.25), (0.55, 0.5), (0.59, 0.9)] {
            assert!((of(win) - quantile).abs() < 0.03, "{win}: {}", of(win));
        }
        assert!(of(0.0) < 0.02 && of(1.0) > 0.98);
        see(&traffic, &one, 12_000, 0.7, 0.8);
        assert!(of(0.6) < 0.15 && (of(0.75) - 0.5).abs() < 0.1, "{} {}", of(0.6), of(0.75));
    }

    #[test]
    fn another_route_or_classifier_begins_anew() {
        let (traffic, one, other) = (Traffic::default(), Arc::from("one"), Arc::from("other"));
        see(&traffic, &one, 1_000, 0.5, 0.6);
        assert_eq!(traffic.quantile("cheap", &one, 0.5, 0.3), 0.3);
        assert_eq!(traffic.quantile("auto", &other, 0.5, 0.3), 0.3);
        see(&traffic, &other, 1, 0.5, 0.6);
        assert_eq!(traffic.quantile("auto", &one, 0.5, 0.3), 0.3);
    }
}
