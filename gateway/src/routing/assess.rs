//! Puts the evidence for one request together: what it is, what each candidate can do, costs and takes now, and what the
//! classifier says of it.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use domain::Price;
use router_model::score::Scores;
use serde_json::value::RawValue;
use twox_hash::XxHash3_64;

use super::calibration::Shift;
use super::evidence::{Evidence, Exclusion, Kept, Objective, Prospect, Score, Unscored};
use super::needs::{Form, Needs};
use super::prompt::{last_user_text, steps};
use super::route::{Candidate, Forecast, Route};
use super::rules::{self, Asked};
use super::stage1::Question;
use crate::affinity;
use crate::app::App;
use crate::config::{ShareOf, Sticky};
use crate::conversation::{Conversation, Turn};
use crate::keys::Principal;
use crate::request::Request;
use crate::snapshot::{Model, Snapshot};
use crate::upstream::Deployment;

/// How long an answer is taken to be, before any was seen, in tokens.
const USUAL_ANSWER: u64 = 256;

/// A request to a virtual model.
#[derive(Clone, Copy)]
pub struct Subject<'a> {
    /// The process.
    pub app: &'a App,
    /// The configuration that the request sees.
    pub snapshot: &'a Snapshot,
    /// The virtual model.
    pub model: &'a Model,
    /// Its route.
    pub route: &'a Route,
    /// Who asks.
    pub principal: &'a Principal,
    /// What is asked.
    pub request: &'a Request,
}

/// What is known before the decision.
pub struct Assessment<'a> {
    /// What decides.
    pub evidence: Evidence,
    /// The conversation's members, as far as the body has any.
    pub conversation: Conversation<'a>,
    /// The user's last turn.
    pub text: Option<Cow<'a, str>>,
    /// Under which key the conversation is remembered.
    pub key: Option<u64>,
    /// How long that waited for a second opinion.
    pub waited: Duration,
}

/// Assesses a request.
pub async fn assess<'a>(subject: &Subject<'a>, objective: Objective, now: Instant) -> Assessment<'a> {
    let (route, request) = (subject.route, subject.request);
    let conversation = Conversation::read(&request.body).unwrap_or_default();
    let turns = conversation.read_turns();
    let text = last_user_text(&conversation, &turns);
    let steps = route.reads_steps().then(|| steps(&conversation, &turns));
    let tokens = request.prompt_tokens();
    let has_tools = conversation.tools.is_some_and(is_list);
    let key = (route.sticky != Sticky::Off).then(|| key(subject, &conversation, &turns)).flatten();
    let last = key.and_then(|key| subject.app.conversations.last(key, route.sticky_for, now));
    let asked = Asked {
        text: text.as_deref(),
        tags: &subject.principal.tags,
        tokens,
        minute: minute_of_day(),
        metadata: conversation.metadata.map(RawValue::get),
        steps: steps.unwrap_or_default(),
        growth: last.as_ref().map(|last| tokens.saturating_sub(last.tokens)),
        has_tools,
    };
    let rule = rules::first(&route.rules, &asked);
    let position = |last: &super::conversations::Last| {
        route.candidates.iter().position(|candidate| candidate.model == last.model)
    };
    let kept = last.as_ref().and_then(position);
    let scored = score(route, text.as_deref()).await;
    let shift = (route.recalibrate)
        .then(|| subject.app.calibrations.shift(&subject.model.name, subject.principal))
        .flatten();
    let has_images = steps.is_some_and(|steps| steps.has_images);
    let needs = Needs { tokens, has_tools, has_images, form: Form::of(&conversation) };
    let prospects = route.candidates.iter().enumerate().map(|(at, candidate)| {
        let cached = last.as_ref().filter(|_| kept == Some(at)).map_or(0, |last| last.tokens);
        prospect(subject, candidate, &needs, cached, now)
    });
    let mut evidence = Evidence {
        candidates: prospects.collect(),
        objective,
        max_cost_nanos: route.max_cost_nanos,
        max_latency_us: route.max_latency_us,
        default: route.default,
        score: None,
        unscored: scored.as_ref().err().copied(),
        rule,
        external: None,
        kept: kept.map(|candidate| Kept { candidate, hold: route.sticky == Sticky::Hold }),
        tokens,
        steps,
        stage1: None,
    };
    evidence.note_limits();
    predict(subject, &mut evidence, scored.as_ref().ok(), shift.as_deref());
    let waited = second_opinion(subject, &mut evidence, text.as_deref(), scored, shift.as_deref()).await;
    Assessment { evidence, conversation, text, key, waited }
}

/// What scores say of the candidates, as feedback corrects it.
fn predict(subject: &Subject<'_>, evidence: &mut Evidence, scores: Option<&Scores>, shift: Option<&Shift>) {
    let objective = evidence.objective;
    evidence.score = scores
        .map(|scores| Score { win: scores.strong_win(), quantile: quantile(subject, objective, scores) });
    for (prospect, candidate) in evidence.candidates.iter_mut().zip(&subject.route.candidates) {
        prospect.raw_quality = candidate.quality(scores);
        prospect.quality = match (prospect.raw_quality, shift) {
            (Some(raw), Some(shift)) => Some(shift.apply(&candidate.model, raw)),
            (raw, _) => raw,
        };
    }
}

/// The share of prompts with a lower win rate, among those that the route counts them among.
fn quantile(subject: &Subject<'_>, objective: Objective, scores: &Scores) -> f32 {
    let (route, name) = (subject.route, subject.model.name.as_str());
    match (route.share_of, objective) {
        (ShareOf::Traffic, Objective::Share(_)) => {
            let (win, usual) = (scores.strong_win(), scores.quantile());
            subject.app.traffic.quantile(name, &route.version, win, usual)
        }
        _ => scores.quantile(),
    }
}

/// Asks the transformer behind the classifier where that is worth it; how long that took.
async fn second_opinion(
    subject: &Subject<'_>,
    evidence: &mut Evidence,
    text: Option<&str>,
    scored: Result<Scores, Unscored>,
    shift: Option<&Shift>,
) -> Duration {
    let (route, name) = (subject.route, subject.model.name.as_str());
    let (Some(stage1), Some(text), Ok(scores)) = (&route.stage1, text, &scored) else {
        return Duration::ZERO;
    };
    let waiting = Instant::now();
    let question = Question { route, text, scores, name };
    if let Some(blended) = stage1.ask(&question, evidence, &subject.app.hesitations).await {
        predict(subject, evidence, Some(&blended), shift);
    }
    waiting.elapsed()
}

/// What the classifier says, or why it says nothing.
async fn score(route: &Route, text: Option<&str>) -> Result<Scores, Unscored> {
    if !route.asks_classifier() {
        return Err(Unscored::NotAsked);
    }
    let classifier = route.classifier.as_ref().ok_or(Unscored::NoClassifier)?;
    classifier.score(text.ok_or(Unscored::NoText)?).await
}

/// A conversation of one key: what stays the same of it, or the session that the client names.
fn key(subject: &Subject<'_>, conversation: &Conversation<'_>, turns: &[Turn<'_>]) -> Option<u64> {
    let request = subject.request;
    let own = request.session.or_else(|| affinity::beginning(&request.head.model, conversation, turns))?;
    Some(XxHash3_64::oneshot_with_seed(own, subject.principal.id.as_bytes()))
}

fn prospect(
    subject: &Subject<'_>,
    candidate: &Candidate,
    needs: &Needs,
    cached: u64,
    now: Instant,
) -> Prospect {
    let mut prospect = Prospect {
        model: candidate.model.clone(),
        excluded: None,
        beyond: None,
        quality: None,
        raw_quality: None,
        stage1_quality: None,
        cost_nanos: None,
        latency_us: None,
    };
    let name = candidate.model.as_str();
    let Some(model) = subject.snapshot.concrete(&candidate.model) else {
        prospect.excluded = Some(Exclusion::Unavailable);
        return prospect;
    };
    let is_allowed = !subject.route.respect_keys || subject.principal.may_use(name, true);
    let usable = || model.deployments.iter().filter(|it| is_usable(subject, it, now));
    prospect.excluded =
        if !is_allowed { Some(Exclusion::Key) } else { needs.unmet(candidate, || usable().map(Arc::as_ref)) };
    prospect.cost_nanos = usable().filter_map(|it| cost_nanos(it, subject.request, cached)).max();
    let latency = |it: &Arc<Deployment>| it.state.latency(subject.request.head.stream).micros(now);
    prospect.latency_us = usable().filter_map(latency).map(|micros| micros as u64).min();
    prospect
}

fn is_usable(subject: &Subject<'_>, deployment: &Deployment, now: Instant) -> bool {
    let operation = subject.request.operation;
    deployment.weight > 0
        && deployment.may_use(subject.principal.credentials.as_deref())
        && (operation.is_count() || providers::supports(operation, &deployment.provider.spec))
        && deployment.state.cooldown.may_admit(now)
}

/// By its price, with what its provider has in its prompt cache and with an answer as long as its usual ones.
fn cost_nanos(deployment: &Deployment, request: &Request, cached: u64) -> Option<u64> {
    let price = deployment.price?;
    let prompt = request.prompt_tokens();
    let usual = deployment.state.usual_answer().unwrap_or(USUAL_ANSWER);
    let answer = match request.completion_tokens() {
        0 => usual,
        most => usual.min(most),
    };
    Some(nanos(&price, prompt, cached.min(prompt), answer))
}

fn nanos(price: &Price, prompt: u64, cached: u64, answer: u64) -> u64 {
    let cached_rate = price.cached_input.unwrap_or(price.input);
    let parts = [(prompt - cached, price.input), (cached, cached_rate), (answer, price.output)];
    let sum: u128 = parts.iter().map(|(tokens, rate)| u128::from(*tokens) * u128::from(*rate)).sum();
    u64::try_from(sum / 1_000).unwrap_or(u64::MAX)
}

impl Candidate {
    fn quality(&self, scores: Option<&Scores>) -> Option<f32> {
        match self.forecast {
            Forecast::Head(head) => scores?.quality().get(head).copied(),
            Forecast::Always(quality) => Some(quality),
            Forecast::Unknown => None,
        }
    }
}

fn is_list(value: &RawValue) -> bool {
    value.get().strip_prefix('[').is_some_and(|rest| !rest.trim_start().starts_with(']'))
}

fn minute_of_day() -> u16 {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    u16::try_from(seconds / 60 % 1_440).unwrap_or_default()
}
