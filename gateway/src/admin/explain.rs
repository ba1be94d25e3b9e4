//! `POST /api/v1/route/explain`: what a route would decide about a request, and why. Nothing is sent, remembered or logged.

use std::time::Instant;

use http::StatusCode;
use providers::Operation;
use router_model::score::Explanation;
use schemars::JsonSchema;
use serde::Serialize;

use super::call::Call;
use super::fault::Fault;
use super::reply::Reply;
use super::route::{Kind, Parameter};
use crate::answer_cache::Controls;
use crate::keys::Principal;
use crate::request::Request;
use crate::routing::{Decision, Exclusion, Prospect, Reason, Stage1Outcome, Subject, assess};

/// What [`explain`] takes beside the request.
pub(super) const QUERY: &[Parameter] = &[
    Parameter {
        name: "as",
        kind: Kind::Text,
        about: "As the virtual key with this id; as nobody without it.",
    },
    Parameter {
        name: "path",
        kind: Kind::Text,
        about: "The path that the request would go to; /v1/chat/completions without it.",
    },
];

/// A request as a client sends it; which members it has depends on the path. Public API.
#[derive(Debug, JsonSchema)]
#[expect(dead_code, reason = "describes what the wire formats read")]
pub(super) struct ClientRequest {
    /// The virtual model.
    model: String,
    #[serde(flatten)]
    rest: serde_json::Map<String, serde_json::Value>,
}

/// A decision. Public API.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct RouteExplanation {
    /// The virtual model.
    model: String,
    /// Who would be asked first; null when the key may ask nobody.
    chosen: Option<String>,
    /// What decided: `classifier`, `policy`, `constraint`, `rule`, `sticky`, `no_text`, `no_classifier`, `bad_score` or
    /// `late`.
    reason: &'static str,
    /// The rule that holds, whether or not it decided.
    rule: Option<String>,
    /// Name and checksum of the classifier's model; empty when it cannot be used.
    classifier: String,
    /// The probability that the strong model of the calibrated pair does better.
    win: Option<f32>,
    /// The share of calibration prompts that score lower.
    quantile: Option<f32>,
    /// What the transformer behind the classifier had to do with it; null where there is none.
    stage1: Option<Stage1Explanation>,
    /// The prompt in tokens, estimated.
    tokens: u64,
    /// An external router would be asked first; it is not asked here.
    external: bool,
    /// In the order in which they would be asked; those that would not be come last.
    candidates: Vec<CandidateExplanation>,
}

/// Whether a second opinion was asked for. Public API.
#[derive(Debug, Serialize, JsonSchema)]
struct Stage1Explanation {
    outcome: Stage1Outcome,
    /// By how much the decision was clear before; null when it was not asked for anyway.
    margin: Option<f32>,
    /// The pair's win rate by the transformer alone; it is in `win` and `quality` already.
    win: Option<f32>,
}

/// What is known of a candidate. Public API.
#[derive(Debug, Serialize, JsonSchema)]
struct CandidateExplanation {
    model: String,
    /// From 1 on; null when it would not be asked.
    rank: Option<usize>,
    /// Why it cannot take the request; null when it can.
    excluded: Option<Exclusion>,
    /// The probability that it answers well.
    quality: Option<f32>,
    /// The same before feedback corrected it.
    raw_quality: Option<f32>,
    /// The same by the transformer alone; null when it was not asked or does not know the head.
    stage1_quality: Option<f32>,
    /// What the answer would cost, in dollars.
    cost_usd: Option<f64>,
    /// How long its first token takes by what was measured of late.
    latency_ms: Option<f64>,
    /// What of the prompt raises the classifier's prediction, the strongest first.
    raised: Vec<Word>,
    /// What lowers it.
    lowered: Vec<Word>,
}

/// A part of a prediction. Public API.
#[derive(Debug, Serialize, JsonSchema)]
struct Word {
    /// Words of the prompt, or a feature in brackets.
    what: String,
    /// What it adds to the logit.
    logit: f32,
}

/// The body is the request as a client would send it.
pub(super) async fn explain(call: Call) -> Result<Reply, Fault> {
    let path = call.parameter("path").unwrap_or_else(|| "/v1/chat/completions".to_owned());
    let operation = Operation::from_path(&path)
        .ok_or_else(|| Fault::invalid(Some("path"), "`path` is no operation: take /v1/chat/completions."))?;
    let head = providers::read_request_head(operation, &path, &call.body)
        .map_err(|problem| Fault::invalid(problem.param.as_deref(), problem.message))?;
    let body = call.body.clone();
    let controls = Controls::default();
    let request =
        Request { operation, head, body, query: None, headers: Vec::new(), controls, session: None };
    let principal = principal(&call)?;
    let name = request.head.model.as_str();
    let model = call.snapshot.model(name);
    let model = model.ok_or_else(|| Fault::not_found(format!("There is no model `{name}`.")))?;
    let Some(route) = &model.route else {
        return Err(Fault::invalid(Some("model"), format!("`{name}` has no route: name a virtual model.")));
    };
    let (app, snapshot) = (&*call.app, &*call.snapshot);
    let subject = Subject { app, snapshot, model: &model, route, principal: &principal, request: &request };
    let assessment = assess(&subject, route.objective, Instant::now()).await;
    let words = match (&route.classifier, &assessment.text) {
        (Some(classifier), Some(text)) => classifier.model.explain(text),
        _ => Vec::new(),
    };
    let decision = Decision::of(assessment.evidence, route.version.clone());
    Ok(Reply::json(StatusCode::OK, &view(&model.name, &subject, &decision, &words)))
}

fn principal(call: &Call) -> Result<std::sync::Arc<Principal>, Fault> {
    match call.parameter("as") {
        None => Ok(std::sync::Arc::new(Principal::nobody())),
        Some(id) => {
            let known = call.snapshot.keys.of_id(&id).or_else(|| call.app.stored_keys.of_id(&id));
            known.ok_or_else(|| Fault::not_found(format!("There is no virtual key with the id `{id}`.")))
        }
    }
}

fn view(
    model: &domain::ModelName,
    subject: &Subject<'_>,
    decision: &Decision,
    words: &[Explanation],
) -> RouteExplanation {
    let evidence = &decision.evidence;
    let order = &decision.verdict.order;
    let mut positions = order.clone();
    positions.extend((0..evidence.candidates.len()).filter(|at| !order.contains(at)));
    let candidates = positions.iter().filter_map(|at| {
        let prospect = evidence.candidates.get(*at)?;
        let head = subject.route.candidates.get(*at).and_then(|candidate| candidate.head());
        let rank = order.iter().position(|ranked| ranked == at).map(|at| at + 1);
        let excluded = prospect.excluded.or_else(|| evidence.limit(prospect));
        Some(candidate(prospect, rank, excluded, head.and_then(|head| words.get(head))))
    });
    let score = evidence.score.filter(|score| score.is_usable());
    RouteExplanation {
        model: model.as_str().to_owned(),
        chosen: decision.chosen().map(|chosen| chosen.model.as_str().to_owned()),
        reason: Reason::as_str(decision.verdict.reason),
        rule: evidence.rule.as_ref().map(|rule| rule.name.to_string()),
        classifier: decision.classifier.to_string(),
        win: score.map(|score| score.win),
        quantile: score.map(|score| score.quantile),
        stage1: evidence.stage1.map(|stage1| Stage1Explanation {
            outcome: stage1.outcome,
            margin: stage1.margin,
            win: stage1.win,
        }),
        tokens: evidence.tokens,
        external: subject.route.external.is_some(),
        candidates: candidates.collect(),
    }
}

fn candidate(
    prospect: &Prospect,
    rank: Option<usize>,
    excluded: Option<Exclusion>,
    words: Option<&Explanation>,
) -> CandidateExplanation {
    let list = |reasons: Option<&Vec<router_model::score::Reason>>| {
        let reasons = reasons.into_iter().flatten();
        reasons.map(|reason| Word { what: reason.what.clone(), logit: reason.logit }).collect()
    };
    CandidateExplanation {
        model: prospect.model.as_str().to_owned(),
        rank,
        excluded,
        quality: prospect.quality,
        raw_quality: prospect.raw_quality,
        stage1_quality: prospect.stage1_quality,
        cost_usd: prospect.cost_nanos.map(|nanos| nanos as f64 / 1e9),
        latency_ms: prospect.latency_us.map(|micros| micros as f64 / 1e3),
        raised: list(words.map(|words| &words.raised)),
        lowered: list(words.map(|words| &words.lowered)),
    }
}
