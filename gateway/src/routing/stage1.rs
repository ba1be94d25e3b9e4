//! The second opinion: when the classifier is not sure, a transformer is asked, if the prompt is short enough and there is
//! time. Whatever keeps it from answering, the classifier's own score stands.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use router_model::encoder::{EncodeError, EncoderFault};
use router_model::runtime::Runtime;
use router_model::score::transformer::Transformer;
use router_model::score::{RouteModel, Scores, win};

use super::evidence::{Evidence, SecondOpinion, Stage1Outcome};
use super::hesitation::Hesitations;
use super::policy;
use super::route::Route;
use crate::config::Stage1Config;

/// The transformer that runs, by its files and settings: a reload goes on with the threads there are.
static RUNNING: Mutex<Option<(String, Weak<Transformer>)>> = Mutex::new(None);

/// The transformer behind the classifiers of all routes, and when it is asked.
#[derive(Clone, Debug)]
pub struct Stage1 {
    /// None when it cannot be used.
    transformer: Option<Arc<Transformer>>,
    unsure: f64,
    patience: Duration,
    longest_tokens: u64,
}

/// What a prompt is asked about with.
pub(super) struct Question<'a> {
    pub(super) route: &'a Route,
    pub(super) text: &'a str,
    /// What the classifier says.
    pub(super) scores: &'a Scores,
    /// The virtual model.
    pub(super) name: &'a str,
}

/// A second opinion that was given.
struct Second {
    /// Both together.
    scores: Scores,
    /// It alone, for each of the classifier's heads that it knows.
    said: Vec<Option<f32>>,
}

impl Stage1 {
    /// With what a configuration says of it.
    pub(super) fn new(transformer: Option<Arc<Transformer>>, config: &Stage1Config) -> Self {
        Self {
            transformer,
            unsure: config.unsure,
            patience: config.deadline.0,
            longest_tokens: u64::from(config.max_tokens),
        }
    }

    /// Both scores together, when a second opinion is wanted and comes in time. The evidence tells what came of it.
    pub(super) async fn ask(
        &self,
        question: &Question<'_>,
        evidence: &mut Evidence,
        hesitations: &Hesitations,
    ) -> Option<Scores> {
        let model = question.route.classifier.as_ref().map(|classifier| &*classifier.model)?;
        let margin = evidence.margin(model).filter(|_| !question.route.is_settled(evidence));
        let transformer = self.transformer.as_ref().filter(|transformer| transformer.knows(model));
        let answer = match (margin, transformer) {
            (None, _) => Err(Stage1Outcome::Settled),
            (_, None) => Err(Stage1Outcome::Down),
            (Some(margin), Some(transformer)) => {
                match self.keeps_from_asking(question, evidence, margin, hesitations) {
                    Some(outcome) => Err(outcome),
                    // Boxed: it would be part of every routed request's future.
                    None => Box::pin(self.opinion(transformer, model, question)).await,
                }
            }
        };
        let Second { scores, said } = match answer {
            Ok(second) => second,
            Err(outcome) => {
                evidence.stage1 = Some(SecondOpinion { outcome, margin, win: None });
                return None;
            }
        };
        let (weak, strong) = model.pair();
        let of = |head: usize| said.get(head).copied().flatten();
        let pair = of(strong).zip(of(weak)).map(|(strong, weak)| win(strong, weak));
        for (prospect, candidate) in evidence.candidates.iter_mut().zip(&question.route.candidates) {
            prospect.stage1_quality = candidate.head().and_then(of);
        }
        evidence.stage1 = Some(SecondOpinion { outcome: Stage1Outcome::Scored, margin, win: pair });
        Some(scores)
    }

    /// Why it is not to be asked, if it is not.
    fn keeps_from_asking(
        &self,
        question: &Question<'_>,
        evidence: &Evidence,
        margin: f32,
        hesitations: &Hesitations,
    ) -> Option<Stage1Outcome> {
        if !hesitations.is_unsure(question.name, margin, self.unsure) {
            Some(Stage1Outcome::Sure)
        } else if question.text.len() as u64 / 4 > self.longest_tokens {
            Some(Stage1Outcome::Long)
        } else if !self.has_time(evidence) {
            Some(Stage1Outcome::NoTime)
        } else {
            None
        }
    }

    async fn opinion(
        &self,
        transformer: &Transformer,
        model: &RouteModel,
        question: &Question<'_>,
    ) -> Result<Second, Stage1Outcome> {
        let opinion = transformer.opinion(question.text, self.patience).await;
        let opinion = opinion.map_err(|problem| match problem.label() {
            "late" => Stage1Outcome::Late,
            "busy" => Stage1Outcome::Busy,
            _ => failed(&problem),
        })?;
        let scores = transformer
            .blend(model, question.scores, &opinion)
            .map_err(|problem| failed(&EncodeError::Failed(problem.to_string())))?;
        let said = (0..model.heads().len()).map(|head| transformer.quality(model, &opinion, head)).collect();
        Ok(Second { scores, said })
    }

    /// Is there a candidate that answers within the route's `max_latency` even after the whole deadline? What is not
    /// measured counts as quick.
    fn has_time(&self, evidence: &Evidence) -> bool {
        let Some(most) = evidence.max_latency_us else { return true };
        let patience = u64::try_from(self.patience.as_micros()).unwrap_or(u64::MAX);
        policy::open(evidence)
            .iter()
            .filter_map(|at| evidence.candidates.get(*at))
            .any(|candidate| candidate.latency_us.unwrap_or(0).saturating_add(patience) <= most)
    }
}

/// The transformer that runs already, if its files are the same, or a new one.
///
/// # Errors
/// Why it cannot be used.
pub(super) fn open(config: &Stage1Config, libraries: &[PathBuf]) -> Result<Arc<Transformer>, EncoderFault> {
    let folder = Path::new(&config.model);
    let mut key = format!("{} {} {}", config.model, config.threads, config.queue);
    for file in ["model.onnx", "card.json", "tokenizer.json", "vocab.txt"] {
        let known = std::fs::metadata(folder.join(file)).ok();
        let known = known.map(|known| (known.len(), known.modified().ok()));
        key.push_str(&format!(" {known:?}"));
    }
    let mut running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((known, transformer)) = &*running
        && *known == key
        && let Some(transformer) = transformer.upgrade()
    {
        return Ok(transformer);
    }
    let runtime = Runtime::load(libraries)?;
    let opened = Transformer::open(runtime, folder, config.threads as usize, config.queue as usize)?;
    tracing::info!(model = opened.version(), "a transformer is asked when a classifier is not sure");
    let opened = Arc::new(opened);
    *running = Some((key, Arc::downgrade(&opened)));
    Ok(opened)
}

fn failed(problem: &EncodeError) -> Stage1Outcome {
    tracing::warn!(%problem, "the router's second stage has no opinion on a prompt");
    Stage1Outcome::Failed
}
