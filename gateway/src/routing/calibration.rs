//! What feedback says of predicted qualities, for each tenant of a route by itself: a shift of the logits, common to all
//! candidates and a little of each candidate's own. It rests on enough labels, is bounded, and begins anew when the newest
//! labels contradict it.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use arc_swap::ArcSwap;
use domain::ModelName;
use twox_hash::XxHash3_64;

use super::feedback_log::FeedbackLog;
use super::recent::Recent;
use crate::keys::Principal;

/// Fewer labels change nothing.
const ENOUGH: usize = 12;
/// Older labels are dropped.
pub(super) const WINDOW: usize = 400;
/// So many of the newest are set against the rest.
const NEWEST: usize = 20;
/// So many standard deviations off, the older ones are of another time.
const CONTRADICTION: f64 = 2.6;
/// A shift is no larger: 0.5 becomes 0.05 or 0.95.
const LARGEST_SHIFT: f64 = 3.0;
/// What is believed of shifts before there are labels: their standard deviations, of the common one and of each model's own.
const COMMON_SPREAD: f64 = 1.5;
/// A wider one lets chance starve a model, which then gets no labels that would clear it: of 400 simulated tenants 27 at 0.5,
/// 7 at 0.3.
const OWN_SPREAD: f64 = 0.3;
/// So much of the common shift's standard error is taken off: in doubt quality comes first.
const CAUTION: f64 = 0.5;
/// Tenants that are known at once.
const TENANTS: usize = 4_096;
/// The last answers that may be judged.
const ANSWERS: usize = 1 << 16;
/// Each is a pass over the labels.
const NEWTON_STEPS: usize = 8;

/// What a client may judge later.
#[derive(Clone, Debug)]
pub struct Routed {
    /// The virtual model.
    pub route: ModelName,
    /// Who was chosen.
    pub chosen: ModelName,
    /// What was predicted, before and after correction.
    pub raw: f32,
    /// The same, corrected.
    pub quality: f32,
    tenant: u64,
    learns: bool,
}

/// The corrections of all tenants.
#[derive(Debug)]
pub struct Calibrations {
    tenants: RwLock<HashMap<u64, Arc<Tenant>>>,
    routed: Recent<Routed>,
    /// Where judgements go for the next process; None without a store.
    log: Option<Arc<FeedbackLog>>,
}

#[derive(Debug, Default)]
struct Tenant {
    labels: Mutex<VecDeque<Judged>>,
    shift: ArcSwap<Shift>,
}

/// A tenant's correction.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Shift {
    common: f64,
    own: Vec<(ModelName, f64)>,
    /// Taken off for what the labels leave open.
    doubt: f64,
}

/// What a client said of an answer: a label.
#[derive(Clone, Debug)]
pub struct Judged {
    pub(super) model: ModelName,
    /// Of what was predicted.
    pub(super) logit: f64,
    /// What it was worth.
    pub(super) score: f64,
}

/// Those who pay together have the same work to do.
fn tenant(route: &ModelName, principal: &Principal) -> u64 {
    let who = principal.team.as_deref().unwrap_or(&principal.id);
    XxHash3_64::oneshot_with_seed(XxHash3_64::oneshot(route.as_str().as_bytes()), who.as_bytes())
}

fn answer(principal: &Principal, request_id: &str) -> u64 {
    XxHash3_64::oneshot_with_seed(XxHash3_64::oneshot(principal.id.as_bytes()), request_id.as_bytes())
}

impl Calibrations {
    /// With what earlier processes have learnt, tenant by tenant, oldest first.
    pub fn new(known: HashMap<u64, Vec<Judged>>, log: Option<Arc<FeedbackLog>>) -> Self {
        let tenants = known.into_iter().take(TENANTS);
        let tenants = tenants.map(|(key, labels)| (key, Arc::new(Tenant::of(labels)))).collect();
        Self { tenants: RwLock::new(tenants), routed: Recent::new(ANSWERS), log }
    }

    /// Waits until the store has what was judged, two seconds at most.
    pub async fn drain(&self) {
        if let Some(log) = &self.log {
            log.drain().await;
        }
    }

    /// The correction for a tenant of a route; None as long as there is none.
    pub fn shift(&self, route: &ModelName, principal: &Principal) -> Option<Arc<Shift>> {
        let tenants = self.tenants.read().unwrap_or_else(PoisonError::into_inner);
        if tenants.is_empty() {
            return None;
        }
        Some(tenants.get(&tenant(route, principal))?.shift.load_full())
    }

    /// An answer that may be judged.
    pub fn routed(
        &self,
        principal: &Principal,
        request_id: &str,
        route: &ModelName,
        chosen: (&ModelName, f32, f32),
        learns: bool,
    ) {
        let (chosen, raw, quality) = (chosen.0.clone(), chosen.1, chosen.2);
        let routed =
            Routed { route: route.clone(), chosen, raw, quality, tenant: tenant(route, principal), learns };
        self.routed.put(answer(principal, request_id), routed);
    }

    /// Another model answered after all.
    pub fn forget(&self, principal: &Principal, request_id: &str) {
        self.routed.take(answer(principal, request_id));
    }

    /// A client judges an answer, from 0 to 1; None when it got none of that id from a route. It can do so once.
    pub fn judge(&self, principal: &Principal, request_id: &str, score: f64) -> Option<Routed> {
        let routed = self.routed.take(answer(principal, request_id))?;
        self.learn(&routed, score);
        Some(routed)
    }

    /// Something else than its client judges an answer, unless that has done so; it still can.
    pub fn infer(&self, principal: &Principal, request_id: &str, score: f64) -> Option<Routed> {
        let routed = self.routed.get(answer(principal, request_id))?;
        self.learn(&routed, score);
        Some(routed)
    }

    fn learn(&self, routed: &Routed, score: f64) {
        if routed.learns {
            let label = Judged { model: routed.chosen.clone(), logit: logit(routed.raw), score };
            let only_newest = self.tenant(routed.tenant).learn(label.clone());
            if let Some(log) = &self.log {
                log.append(routed.tenant, &label, only_newest);
            }
        }
    }

    fn tenant(&self, key: u64) -> Arc<Tenant> {
        let mut tenants = self.tenants.write().unwrap_or_else(PoisonError::into_inner);
        if tenants.len() >= TENANTS && !tenants.contains_key(&key) {
            // Any may go: its labels come again.
            let gone = tenants.keys().next().copied();
            gone.and_then(|gone| tenants.remove(&gone));
        }
        tenants.entry(key).or_default().clone()
    }
}

impl Tenant {
    fn of(labels: Vec<Judged>) -> Self {
        let shift = if labels.len() < ENOUGH { Shift::default() } else { Shift::fit(&labels) };
        Self { labels: Mutex::new(labels.into()), shift: ArcSwap::from_pointee(shift) }
    }

    /// The number of the newest labels that count from now on when the older ones are contradicted.
    fn learn(&self, label: Judged) -> Option<usize> {
        let mut labels = self.labels.lock().unwrap_or_else(PoisonError::into_inner);
        labels.push_back(label);
        if labels.len() > WINDOW {
            labels.pop_front();
        }
        if labels.len() < ENOUGH {
            return None;
        }
        let is_contradicted =
            labels.len() > 2 * NEWEST && self.shift.load().is_contradicted(labels.iter().rev().take(NEWEST));
        if is_contradicted {
            let old = labels.len() - NEWEST;
            labels.drain(..old);
        }
        self.shift.store(Arc::new(Shift::fit(labels.make_contiguous())));
        is_contradicted.then_some(NEWEST)
    }
}

impl Shift {
    /// A predicted quality, corrected.
    pub fn apply(&self, model: &ModelName, raw: f32) -> f32 {
        sigmoid(logit(raw) + self.of(model) - self.doubt) as f32
    }

    fn of(&self, model: &ModelName) -> f64 {
        let own = self.own.iter().find(|(known, _)| known == model).map_or(0.0, |(_, own)| *own);
        (self.common + own).clamp(-LARGEST_SHIFT, LARGEST_SHIFT)
    }

    /// The likeliest shift, by Newton's method, coordinate by coordinate.
    fn fit(labels: &[Judged]) -> Self {
        let mut shift = Self::default();
        for label in labels {
            if !shift.own.iter().any(|(known, _)| *known == label.model) {
                shift.own.push((label.model.clone(), 0.0));
            }
        }
        for _ in 0..NEWTON_STEPS {
            let step = shift.step(labels.iter(), shift.common, COMMON_SPREAD);
            shift.common = (shift.common + step).clamp(-LARGEST_SHIFT, LARGEST_SHIFT);
            for at in 0..shift.own.len() {
                let Some((model, own)) = shift.own.get(at).cloned() else { break };
                let step = shift.step(labels.iter().filter(|it| it.model == model), own, OWN_SPREAD);
                if let Some((_, own)) = shift.own.get_mut(at) {
                    *own += step;
                }
            }
        }
        let variance = |at: f64| at * (1.0 - at);
        let known: f64 =
            labels.iter().map(|label| variance(sigmoid(label.logit + shift.of(&label.model)))).sum();
        shift.doubt = CAUTION / (known + 1.0 / (COMMON_SPREAD * COMMON_SPREAD)).sqrt();
        shift
    }

    /// How far to go from `at` for these labels.
    fn step<'l>(&self, labels: impl Iterator<Item = &'l Judged>, at: f64, spread: f64) -> f64 {
        let precision = 1.0 / (spread * spread);
        let (mut slope, mut curvature) = (-at * precision, precision);
        for label in labels {
            let predicted = sigmoid(label.logit + self.of(&label.model));
            slope += label.score - predicted;
            curvature += predicted * (1.0 - predicted);
        }
        (slope / curvature).clamp(-1.0, 1.0)
    }

    fn is_contradicted<'l>(&self, newest: impl Iterator<Item = &'l Judged>) -> bool {
        let (mut off, mut variance) = (0.0, 1e-6);
        for label in newest {
            let predicted = sigmoid(label.logit + self.of(&label.model));
            off += label.score - predicted;
            variance += predicted * (1.0 - predicted);
        }
        off.abs() > CONTRADICTION * f64::sqrt(variance)
    }
}

fn logit(probability: f32) -> f64 {
    let bounded = f64::from(probability).clamp(1e-4, 1.0 - 1e-4);
    (bounded / (1.0 - bounded)).ln()
}

fn sigmoid(logit: f64) -> f64 {
    1.0 / (1.0 + (-logit).exp())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A small and a large model; requests from easy to hard; what each is worth after a shift of difficulty.
    struct Simulation {
        random: u64,
        tenant: Tenant,
        harder: f64,
    }

    const TARGET: f64 = 0.8;

    impl Simulation {
        fn random(&mut self) -> f64 {
            self.random =
                self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (self.random >> 11) as f64 / (1_u64 << 53) as f64
        }

        /// Sends requests and returns the mean quality of what they got, and the share of the large model.
        fn send(&mut self, requests: usize, feedback: f64) -> (f64, f64) {
            let (mut quality, mut large) = (0.0, 0.0);
            for _ in 0..requests {
                let ease = self.random() * 4.0 - 0.5;
                let shift = self.tenant.shift.load_full();
                // The cheapest whose predicted quality reaches the target.
                let names: [(ModelName, f64); 2] = [("small".into(), ease), ("large".into(), ease + 2.5)];
                let predicted = |at: usize| f64::from(shift.apply(&names[at].0, sigmoid(names[at].1) as f32));
                let at = usize::from(predicted(0) < TARGET);
                let (model, logit) = names[at].clone();
                let truth = sigmoid(logit - self.harder);
                quality += truth;
                large += at as f64;
                if self.random() < feedback {
                    let score = f64::from(u8::from(self.random() < truth));
                    self.tenant.learn(Judged { model, logit, score });
                }
            }
            (quality / requests as f64, large / requests as f64)
        }
    }

    #[test]
    fn when_a_tenants_work_gets_harder_the_target_is_met_again_within_two_thousand_requests() {
        let (mut starved, mut cheap_again) = (0, 0);
        for seed in 1..=20 {
            let mut tenant = Simulation { random: seed, tenant: Tenant::default(), harder: 0.0 };
            let before = tenant.send(2_000, 0.05);
            assert!(before.0 >= TARGET, "{before:?}");
            tenant.harder = 1.5;
            tenant.send(2_000, 0.05);
            let after = tenant.send(2_000, 0.05);
            assert!(after.0 >= TARGET, "seed {seed}: {after:?}");
            assert!(after.1 > before.1, "seed {seed}: {before:?} {after:?}");
            starved += u32::from(after.1 > 0.99);
            let mut deaf = Simulation { random: seed, tenant: Tenant::default(), harder: 1.5 };
            assert!(deaf.send(2_000, 0.0).0 < TARGET - 0.02, "the shift would not be felt");
            // And back again: what has become easy is cheap again.
            tenant.harder = 0.0;
            tenant.send(4_000, 0.05);
            let easy = tenant.send(2_000, 0.05);
            cheap_again += u32::from(easy.1 < after.1);
        }
        // Chance may starve the small model for a while; of many tenants it does so to few.
        assert!(starved <= 2 && cheap_again >= 18, "{starved} starved, {cheap_again} cheap again");
    }

    #[test]
    fn a_handful_of_labels_changes_nothing_and_lies_change_it_within_bounds() {
        let tenant = Tenant::default();
        let label = Judged { model: "small".into(), logit: 2.0, score: 0.0 };
        for _ in 1..ENOUGH {
            tenant.learn(label.clone());
        }
        assert_eq!(*tenant.shift.load_full(), Shift::default());
        for _ in 0..10_000 {
            tenant.learn(label.clone());
        }
        let shift = tenant.shift.load_full();
        assert!(shift.of(&"small".into()) >= -LARGEST_SHIFT);
        assert!(shift.apply(&"small".into(), 0.9) > 0.2);
        assert!(tenant.labels.lock().unwrap().len() <= WINDOW);
    }

    #[test]
    fn who_is_worse_than_the_others_is_told_from_work_that_is_harder() {
        let tenant = Tenant::default();
        for at in 0..200 {
            let (model, score) = if at % 2 == 0 { ("small", 0.3) } else { ("large", 0.9) };
            tenant.learn(Judged { model: model.into(), logit: logit(0.8), score });
        }
        let shift = tenant.shift.load_full();
        assert!(shift.of(&"small".into()) < shift.of(&"large".into()) - 1.0, "{shift:?}");
    }
}
