//! Routes: that what they name is there, that their policy is one, and that their rules can be read.

use super::super::{
    CandidateConfig, Config, ExternalKind, Faults, ModelRuntime, RouteConfig, RuleConfig, ShadowConfig,
    ShareOf, Stage1Config,
};
use super::unknown;
use crate::routing::{self, Rule};

/// Candidates of one route.
const MOST_CANDIDATES: usize = 32;
/// Rules of one route.
const MOST_RULES: usize = 64;

/// The section `router`.
pub(super) fn runtime(config: &Config, faults: &mut Faults, notices: &mut Faults) {
    let router = &config.router;
    let is_there = || routing::library_places(router).iter().any(|place| place.is_file());
    if router.runtime == ModelRuntime::Onnx && !is_there() {
        let text = "is onnx, and its library is not there: run scripts/fetch-onnxruntime and set `router.library`; \
                    until then the built-in evaluator does the work";
        notices.add("router.runtime", text);
    }
    if router.threads == 0 || router.threads > 64 {
        faults.add("router.threads", "must lie between 1 and 64");
    }
    if router.queue == 0 || router.queue > 65_536 {
        faults.add("router.queue", "must lie between 1 and 65536");
    }
    if router.deadline.0.is_zero() || router.deadline.0 > std::time::Duration::from_secs(1) {
        faults.add("router.deadline", "must lie between 1ms and 1s: write for example 5ms");
    }
    if let Some(stage1) = &router.stage1 {
        check_stage1(stage1, is_there(), faults, notices);
    }
}

fn check_stage1(stage1: &Stage1Config, has_library: bool, faults: &mut Faults, notices: &mut Faults) {
    if !(0.0..=1.0).contains(&stage1.unsure) {
        faults.add("router.stage1.unsure", "must be a share from 0 to 1: write for example 0.3");
    }
    if stage1.deadline.0.is_zero() || stage1.deadline.0 > std::time::Duration::from_secs(1) {
        faults.add("router.stage1.deadline", "must lie between 1ms and 1s: write for example 15ms");
    }
    if stage1.max_tokens == 0 {
        faults.add("router.stage1.max_tokens", "must be at least 1: write for example 512");
    }
    if !(1..=64).contains(&stage1.threads) {
        faults.add("router.stage1.threads", "must lie between 1 and 64");
    }
    if !(1..=65_536).contains(&stage1.queue) {
        faults.add("router.stage1.queue", "must lie between 1 and 65536");
    }
    // What is missing must not keep the gateway from starting.
    let folder = std::path::Path::new(&stage1.model);
    for file in ["model.onnx", "card.json"] {
        if !folder.join(file).is_file() {
            let text = format!(
                "{} has no {file}: export it with router-model/train; until then classifiers decide alone",
                stage1.model
            );
            notices.add("router.stage1.model", text);
        }
    }
    if !has_library {
        let text = "needs ONNX Runtime, which is not there: run scripts/fetch-onnxruntime and set `router.library`; until \
                    then classifiers decide alone";
        notices.add("router.stage1", text);
    }
}

/// `name` is the virtual model's.
pub(super) fn run(
    path: &str,
    name: &str,
    route: &RouteConfig,
    config: &Config,
    faults: &mut Faults,
    notices: &mut Faults,
) {
    models(path, name, route, config, faults);
    policy(path, route, faults);
    for (index, rule) in route.rules.iter().enumerate() {
        check_rule(&format!("{path}.rules[{index}]"), rule, route, faults);
    }
    if route.rules.len() > MOST_RULES {
        faults.add(format!("{path}.rules"), format!("are more than {MOST_RULES}: split the route"));
    }
    external(path, route, faults, notices);
    if let Some(shadow) = &route.shadow {
        check_shadow(&format!("{path}.shadow"), shadow, route, config, faults, notices);
    }
    // A file that breaks must not keep the gateway from starting.
    match routing::load(&route.classifier) {
        Err(problem) => {
            let text = format!("{problem}; until then every request goes to `{}`", route.default_model());
            notices.add(format!("{path}.classifier"), text);
        }
        Ok(classifier) => {
            for (index, candidate) in route.candidates.iter().enumerate() {
                check_head(&format!("{path}.candidates[{index}]"), candidate, classifier.heads(), faults);
            }
        }
    }
}

fn models(path: &str, name: &str, route: &RouteConfig, config: &Config, faults: &mut Faults) {
    let pair = [("strong", &route.strong), ("weak", &route.weak)];
    let pair =
        pair.into_iter().filter_map(|(field, model)| Some((format!("{path}.{field}"), model.as_ref()?)));
    let others = route.candidates.iter().enumerate();
    let others = others.map(|(index, it)| (format!("{path}.candidates[{index}].model"), &it.model));
    let mut seen: Vec<&str> = Vec::new();
    for (at, wanted) in pair.chain(others) {
        match config.models.get(wanted) {
            None => faults.add(at, unknown("model", wanted, config.models.keys())),
            Some(_) if wanted == name => faults.add(at, "names the model itself: name another"),
            Some(model) if model.route.is_some() && !route.candidates.is_empty() => {
                faults.add(at, format!("`{wanted}` has a route itself: name a model with deployments"));
            }
            Some(_) if seen.contains(&wanted.as_str()) => {
                faults.add(at, format!("`{wanted}` is there twice: take one away"));
            }
            Some(_) => seen.push(wanted),
        }
    }
    match (&route.strong, &route.weak, route.candidates.is_empty()) {
        (Some(_), Some(_), true) | (None, None, false) => {}
        (None, None, true) => faults.add(path, "has no models: add `strong` and `weak`, or `candidates`"),
        (_, _, false) => faults.add(path, "has both a pair and `candidates`: keep one of them"),
        _ => faults.add(path, "has one of `strong` and `weak`: add the other"),
    }
    if route.candidates.len() > MOST_CANDIDATES {
        faults.add(format!("{path}.candidates"), format!("are more than {MOST_CANDIDATES}: take some away"));
    }
    if let Some(default) = route.default.as_deref().filter(|default| !route.models().any(|it| it == *default))
    {
        faults.add(format!("{path}.default"), format!("`{default}` is none of the route's models"));
    }
}

fn policy(path: &str, route: &RouteConfig, faults: &mut Faults) {
    let cuts = usize::from(route.threshold.is_some()) + usize::from(route.share.is_some());
    let aims = usize::from(route.target_quality.is_some()) + usize::from(route.weights.is_some());
    let limits = route.max_cost.is_some() || route.max_latency.is_some();
    if route.share_of != ShareOf::Calibration && route.share.is_none() {
        faults.add(format!("{path}.share_of"), "is for a share: add `share`, or take it away");
    }
    if cuts == 2 {
        faults.add(path, "has both a threshold and a share: keep one of them");
    } else if cuts + aims > 1 {
        faults.add(path, "has several of threshold, share, target_quality and weights: keep one of them");
    } else if route.strong.is_some() && cuts + aims == 0 && !limits {
        faults.add(path, "has neither a threshold nor a share: add one of them");
    } else if cuts > 0 && !route.candidates.is_empty() {
        faults.add(path, "a threshold or a share is for `strong` and `weak`: take target_quality or weights");
    }
    for (field, value) in [
        ("threshold", route.threshold),
        ("share", route.share),
        ("target_quality", route.target_quality),
        ("repeat_score", route.repeat_score),
    ] {
        if value.is_some_and(|value| !(0.0..=1.0).contains(&value)) {
            faults.add(format!("{path}.{field}"), "must lie between 0 and 1");
        }
    }
    if route.max_cost.is_some_and(|dollars| !dollars.is_finite() || dollars < 0.0) {
        faults.add(format!("{path}.max_cost"), "must be an amount of dollars, as in 0.01");
    }
    if let Some(weights) = route.weights {
        let all = [weights.quality, weights.cost, weights.latency];
        if all.iter().any(|weight| !weight.is_finite() || *weight < 0.0) {
            faults.add(format!("{path}.weights"), "must be numbers from 0 on");
        }
    }
}

fn check_shadow(
    path: &str,
    shadow: &ShadowConfig,
    route: &RouteConfig,
    config: &Config,
    faults: &mut Faults,
    notices: &mut Faults,
) {
    if !(0.0..=1.0).contains(&shadow.share) {
        faults.add(format!("{path}.share"), "must be a share from 0 to 1: write for example 0.01");
    }
    if !shadow.usd.is_finite() || shadow.usd < 0.0 {
        faults.add(format!("{path}.usd"), "must be an amount in USD: write for example 1.0");
    }
    for (field, name) in [("reference", &shadow.reference), ("judge", &shadow.judge)] {
        let Some(name) = name else { continue };
        match config.models.get(name) {
            None => faults.add(format!("{path}.{field}"), unknown("model", name, config.models.keys())),
            Some(model) if model.route.is_some() => {
                let text = format!("`{name}` has a route itself: name a model with deployments");
                faults.add(format!("{path}.{field}"), text);
            }
            Some(_) => {}
        }
    }
    if !route.recalibrate {
        notices.add(path, "costs calls whose outcome only metrics show: `recalibrate` is off");
    }
}

fn check_head(path: &str, candidate: &CandidateConfig, heads: &[String], faults: &mut Faults) {
    match (&candidate.head, candidate.quality) {
        (Some(_), Some(_)) => faults.add(path, "has both a head and a quality: keep one of them"),
        (None, Some(quality)) if !(0.0..=1.0).contains(&quality) => {
            faults.add(format!("{path}.quality"), "must lie between 0 and 1");
        }
        (_, Some(_)) => {}
        (head, None) => {
            let head = head.as_ref().unwrap_or(&candidate.model);
            if !heads.contains(head) {
                let text = format!(
                    "the classifier has no head `{head}`: name one of {}, or say its `quality`",
                    heads.join(", ")
                );
                faults.add(format!("{path}.head"), text);
            }
        }
    }
}

fn check_rule(path: &str, rule: &RuleConfig, route: &RouteConfig, faults: &mut Faults) {
    let is_plain = |name: &str| {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        !name.is_empty() && name.len() <= 64 && name.bytes().all(fits)
    };
    if !is_plain(&rule.name) {
        faults
            .add(format!("{path}.name"), "must be up to 64 letters, digits and -_. for the answer's header");
    }
    if !route.models().any(|model| model == rule.chosen) {
        faults.add(format!("{path}.use"), format!("`{}` is none of the route's models", rule.chosen));
    }
    if rule.when.keywords.iter().any(|word| word.trim().is_empty()) {
        faults.add(format!("{path}.when.keywords"), "has an empty word: take it away");
    }
    if let Err(problem) = Rule::new(rule, 0) {
        faults.add(format!("{path}.when"), problem);
    }
}

fn external(path: &str, route: &RouteConfig, faults: &mut Faults, notices: &mut Faults) {
    let Some(external) = &route.external else { return };
    let path = format!("{path}.external");
    match (external.kind, &external.base_url) {
        (ExternalKind::RouteLlm, None) => {
            faults.add(
                format!("{path}.base_url"),
                "is missing: say where the server is, as in http://host:6060/v1",
            );
        }
        (_, Some(url)) => {
            if let Err(problem) = crate::upstream::Origin::parse(url) {
                faults.add(format!("{path}.base_url"), problem);
            }
        }
        (ExternalKind::NotDiamond, None) => {}
    }
    match (external.kind, &external.api_key, &external.router) {
        (ExternalKind::NotDiamond, None, _) => {
            faults.add(format!("{path}.api_key"), "is missing: write env:NOTDIAMOND_API_KEY or file:PATH");
        }
        (ExternalKind::RouteLlm, _, None) => {
            faults.add(format!("{path}.router"), "is missing: write for example router-mf-0.116");
        }
        _ => {}
    }
    if let Some(Err(problem)) = external.api_key.as_ref().map(super::super::SecretSource::resolve) {
        faults.add(format!("{path}.api_key"), problem);
    }
    if external.api_key.as_ref().is_some_and(super::super::SecretSource::is_inline) {
        notices.add(format!("{path}.api_key"), "a secret is written out: prefer env:NAME or file:PATH");
    }
    let timeout = external.timeout.0;
    if timeout.is_zero() || timeout > std::time::Duration::from_secs(10) {
        faults.add(format!("{path}.timeout"), "must lie between 1ms and 10s: write for example 300ms");
    }
}
