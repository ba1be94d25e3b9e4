//! The rule of a virtual model, resolved from the configuration.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use domain::ModelName;
use router_model::score::RouteModel;

use super::classifier::{Classifier, Classifiers};
use super::evidence::{Evidence, Objective};
use super::external::External;
use super::policy::open;
use super::rules::Rule;
use super::shadow::Shadow;
use super::stage1::Stage1;
use crate::config::{CandidateConfig, Config, DeploymentConfig, RouteConfig, RuleConfig, ShareOf, Sticky};
use crate::telemetry::RouteSeries;

/// What a virtual model chooses from, and how.
#[derive(Debug)]
pub struct Route {
    /// Of a pair the strong one is the first.
    pub candidates: Vec<Candidate>,
    /// They are a strong and a weak one.
    pub is_pair: bool,
    /// What is wanted.
    pub objective: Objective,
    /// Among which prompts a share is counted.
    pub share_of: ShareOf,
    /// What a request may cost.
    pub max_cost_nanos: Option<u64>,
    /// How long a first token may take.
    pub max_latency_us: Option<u64>,
    /// Who answers without a score.
    pub default: usize,
    /// None when its file cannot be used.
    pub classifier: Option<Classifier>,
    /// Its version; empty without one.
    pub version: Arc<str>,
    /// Asked when the classifier is not sure; None where none is configured.
    pub stage1: Option<Stage1>,
    /// Candidates that a key may not name are not for it.
    pub respect_keys: bool,
    /// What becomes of a conversation.
    pub sticky: Sticky,
    /// How long it is remembered.
    pub sticky_for: Duration,
    /// Before the classifier.
    pub rules: Vec<Rule>,
    /// Who is asked before the classifier's scores count.
    pub external: Option<External>,
    /// Feedback corrects what is predicted.
    pub recalibrate: bool,
    /// What an answer was worth whose request the same key sends again; None: that says nothing.
    pub repeat_score: Option<f64>,
    /// Whose answers are looked at again; None: nobody's.
    pub shadow: Option<Shadow>,
    /// Its metrics.
    pub series: OnceLock<RouteSeries>,
}

/// A model that a route may choose.
#[derive(Debug)]
pub struct Candidate {
    /// Which.
    pub model: ModelName,
    /// How well it will answer.
    pub forecast: Forecast,
    /// Whether it can call tools, where that is configured.
    pub tools: Option<bool>,
    /// Whether it can see pictures, the same.
    pub vision: Option<bool>,
    /// Whether it can answer as JSON, the same.
    pub json: Option<bool>,
    /// By the configuration or the catalogue it may be blind to pictures: they are to be looked for.
    pub may_be_blind: bool,
    /// The longest prompt it takes in tokens, where that is configured.
    pub context: Option<u32>,
}

/// Where a candidate's predicted quality comes from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Forecast {
    /// The classifier's head at this position.
    Head(usize),
    /// The same for every prompt.
    Always(f32),
    /// Nothing is known.
    Unknown,
}

impl Route {
    /// Resolves a checked section.
    pub fn new(config: &RouteConfig, whole: &Config, classifiers: &mut Classifiers<'_>) -> Self {
        let classifier = classifiers.named(&config.classifier);
        let known = classifier.as_ref().map(|classifier| &*classifier.model);
        let of_pair = |name: &String, head: fn((usize, usize)) -> usize| {
            let forecast = known.map_or(Forecast::Unknown, |it| Forecast::Head(head(it.pair())));
            let candidate = CandidateConfig { model: name.clone(), ..CandidateConfig::default() };
            Candidate::new(&candidate, forecast, whole)
        };
        let strong = config.strong.iter().map(|name| of_pair(name, |(_, strong)| strong));
        let weak = config.weak.iter().map(|name| of_pair(name, |(weak, _)| weak));
        let others = config.candidates.iter().map(|it| Candidate::new(it, forecast(it, known), whole));
        let candidates: Vec<Candidate> = strong.chain(weak).chain(others).collect();
        let position = |wanted: &str| candidates.iter().position(|it| it.model.as_str() == wanted);
        // The check has compiled them already.
        let rule = |rule: &RuleConfig| Rule::new(rule, position(&rule.chosen)?).ok();
        Self {
            is_pair: config.strong.is_some(),
            objective: objective(config),
            share_of: config.share_of,
            max_cost_nanos: config.max_cost.map(|dollars| (dollars * 1e9) as u64),
            max_latency_us: config
                .max_latency
                .map(|span| u64::try_from(span.0.as_micros()).unwrap_or(u64::MAX)),
            default: position(config.default_model()).unwrap_or(0),
            version: known.map_or("", RouteModel::version).into(),
            respect_keys: config.respect_keys,
            sticky: config.sticky,
            sticky_for: config.sticky_for.0,
            rules: config.rules.iter().filter_map(rule).collect(),
            external: External::new(config, whole),
            recalibrate: config.recalibrate,
            repeat_score: config.repeat_score,
            shadow: config.shadow.as_ref().map(|shadow| Shadow::new(shadow, config.default_model())),
            stage1: classifiers.stage1(),
            series: OnceLock::new(),
            classifier,
            candidates,
        }
    }

    /// The model that stands for it where a model with deployments is wanted.
    pub fn stands_for(&self) -> Option<&ModelName> {
        self.candidates.get(self.default).map(|candidate| &candidate.model)
    }

    /// Does anything depend on what an agent has done?
    pub fn reads_steps(&self) -> bool {
        self.rules.iter().any(Rule::reads_steps) || self.candidates.iter().any(|it| it.may_be_blind)
    }

    /// The candidates that an external router may pick from; None when it is not to be asked.
    pub fn to_pick_from(&self, evidence: &Evidence) -> Option<(&External, Vec<usize>)> {
        let external = self.external.as_ref()?;
        let open = open(evidence);
        has_choice(evidence, &open).then_some((external, open))
    }

    /// Does something else than the classifier's score decide? An external router does, as long as it answers.
    pub fn is_settled(&self, evidence: &Evidence) -> bool {
        self.external.is_some() || !has_choice(evidence, &open(evidence))
    }

    /// Does anything depend on the classifier?
    pub fn asks_classifier(&self) -> bool {
        let needs_pair = matches!(self.objective, Objective::Threshold(_) | Objective::Share(_));
        needs_pair || self.candidates.iter().any(|it| !matches!(it.forecast, Forecast::Always(_)))
    }
}

/// Is there more than one of the `open`, and none that a rule or the conversation names?
fn has_choice(evidence: &Evidence, open: &[usize]) -> bool {
    let is_settled = |at: usize, settles: bool| settles && open.contains(&at);
    let by_rule = evidence.rule.as_ref().is_some_and(|rule| is_settled(rule.candidate, true));
    let by_hold = evidence.kept.is_some_and(|kept| is_settled(kept.candidate, kept.hold));
    open.len() > 1 && !by_rule && !by_hold
}

impl Candidate {
    /// The classifier's head that predicts for it.
    pub fn head(&self) -> Option<usize> {
        if let Forecast::Head(head) = self.forecast { Some(head) } else { None }
    }

    fn new(config: &CandidateConfig, forecast: Forecast, whole: &Config) -> Self {
        let model = whole.models.get(&config.model);
        let is_blind = |it: &DeploymentConfig| {
            let provider = whole.providers.get(&it.provider)?;
            Some(providers::catalogue().model(&provider.kind, &it.model)?.lacks.vision)
        };
        // Whatever stands for a virtual model may be.
        let may_be_blind = || {
            model.is_some_and(|model| {
                model.route.is_some() || model.deployments.iter().any(|it| is_blind(it) == Some(true))
            })
        };
        Self {
            model: config.model.as_str().into(),
            forecast,
            tools: config.tools,
            vision: config.vision,
            json: config.json,
            may_be_blind: config.vision.map_or_else(may_be_blind, |vision| !vision),
            context: config.context,
        }
    }
}

/// Whose prediction stands for a candidate.
fn forecast(config: &CandidateConfig, classifier: Option<&RouteModel>) -> Forecast {
    let head = config.head.as_deref().unwrap_or(&config.model);
    match (config.quality, classifier.and_then(|classifier| classifier.head(head))) {
        (Some(quality), _) => Forecast::Always(quality as f32),
        (None, Some(head)) => Forecast::Head(head),
        (None, None) => Forecast::Unknown,
    }
}

fn objective(config: &RouteConfig) -> Objective {
    match (config.threshold, config.share, config.target_quality, config.weights) {
        (Some(threshold), ..) => Objective::Threshold(threshold),
        (_, Some(share), ..) => Objective::Share(share),
        (_, _, Some(target), _) => Objective::TargetQuality(target),
        (.., Some(weights)) => {
            Objective::Weights { quality: weights.quality, cost: weights.cost, latency: weights.latency }
        }
        _ => Objective::BestQuality,
    }
}
