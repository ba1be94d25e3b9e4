//! What only the whole configuration can tell: names that lead nowhere, secrets that are not there,
//! and what its operator should know besides.

mod contents;
mod credentials;
mod route;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use super::load::closest;
use super::{
    Config, Fault, Faults, HealthCheckKind, HealthConfig, ModelConfig, NO_STORE, ProviderConfig,
    SemanticCacheConfig,
};
use crate::answer_cache::minilm_folder;
use crate::routing::library_places;
use crate::seal::key_bytes;
use crate::upstream::DeploymentSet;

/// Less would keep next to nothing.
const LEAST_CACHE_MEMORY: u64 = 1 << 20;
const LEAST_CACHE_DISK: u64 = 64 << 20;
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);
/// A request may wait so long for the cluster's Redis.
const LONGEST_DEADLINE: Duration = Duration::from_secs(1);

/// Adds the faults it finds and returns the notices.
pub(super) fn run(config: &Config, faults: &mut Faults) -> Vec<Fault> {
    let mut notices = Faults::default();
    listeners(config, faults);
    for (name, provider) in &config.providers {
        check_provider(&format!("providers.{name}"), name, provider, faults);
    }
    credentials::run(config, faults, &mut notices);
    for (name, model) in &config.models {
        check_model(&format!("models.{name}"), name, model, config, faults, &mut notices);
    }
    route::runtime(config, faults, &mut notices);
    keys(config, faults, &mut notices);
    contents::run(config, faults);
    key_hash(config, faults, &mut notices);
    store(config, faults);
    backup(config, faults);
    cluster(config, faults, &mut notices);
    cache(config, faults, &mut notices);
    embedders(config, &mut notices);
    notices.0
}

fn listeners(config: &Config, faults: &mut Faults) {
    for (path, address) in [("listen", &config.listen), ("admin.listen", &config.admin.listen)] {
        if address.parse::<SocketAddr>().is_err() {
            faults.add(path, format!("`{address}` is no address: write IP:PORT, as in 127.0.0.1:8080"));
        }
    }
    if config.listen == config.admin.listen && !config.listen.ends_with(":0") {
        faults.add("admin.listen", "is the same as `listen`: give it another port");
    }
    let loopback = config.listen.parse::<SocketAddr>().is_ok_and(|address| address.ip().is_loopback());
    if config.keys.is_empty() && !loopback && config.store == NO_STORE {
        faults.add("keys", "there are none, and `listen` can be reached from other machines: add a key, or set `store` to keep keys there");
    }
    for (path, file) in config.tls.iter().flat_map(|tls| [("tls.cert", &tls.cert), ("tls.key", &tls.key)]) {
        if let Err(error) = std::fs::File::open(file) {
            faults.add(path, format!("{file} cannot be read ({error}): mend the path"));
        }
    }
    for (field, span) in [
        ("body_time", config.limits.body_time),
        ("header_time", config.limits.header_time),
        ("idle_time", config.limits.idle_time),
        ("write_time", config.limits.write_time),
    ] {
        if span.0.is_zero() {
            faults.add(format!("limits.{field}"), "must be longer than zero");
        }
    }
    if let Some(token) = &config.admin.token
        && let Err(problem) = token.resolve()
    {
        faults.add("admin.token", problem);
    }
    for (index, webhook) in config.alerts.webhooks.iter().enumerate() {
        let path = format!("alerts.webhooks[{index}].url");
        match webhook.url.resolve() {
            Err(problem) => faults.add(path, problem),
            Ok(url) if !url.expose().starts_with("http://") && !url.expose().starts_with("https://") => {
                faults.add(path, "is no address of a webhook: write http://… or https://…");
            }
            Ok(_) => {}
        }
    }
    if !["error", "warn", "info", "debug", "trace"].contains(&config.log.level.as_str()) {
        faults.add("log.level", format!("`{}` is none of error, warn, info, debug", config.log.level));
    }
}

fn check_provider(path: &str, name: &str, provider: &ProviderConfig, faults: &mut Faults) {
    let catalogue = providers::catalogue();
    if name.contains('/') || name.is_empty() {
        faults.add(path, "a provider's name may not be empty or contain `/`: rename it");
    }
    let Some(spec) = catalogue.provider(&provider.kind) else {
        let known = match closest(&provider.kind, catalogue.provider_kinds()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("known: {}", catalogue.provider_kinds().collect::<Vec<_>>().join(", ")),
        };
        return faults
            .add(format!("{path}.kind"), format!("`{}` is not a known kind: {known}", provider.kind));
    };
    match provider.base_url.as_ref().or(spec.base_url.as_ref()) {
        None => faults
            .add(format!("{path}.base_url"), format!("is missing: `{}` has no fixed address", provider.kind)),
        Some(url) => {
            if let Err(problem) = crate::upstream::Origin::parse(url) {
                faults.add(format!("{path}.base_url"), problem);
            }
        }
    }
    if let Some(health) = &provider.health {
        check_health(&format!("{path}.health"), health, faults);
    }
    for (header, value) in &provider.headers {
        let place = format!("{path}.headers.{header}");
        let fits = |text: &str| {
            http::HeaderName::try_from(header).is_ok() && http::HeaderValue::try_from(text).is_ok()
        };
        match value.resolve() {
            Ok(secret) if fits(secret.expose()) => {}
            Ok(_) => faults.add(place, "is no valid header: mend its name or value"),
            Err(problem) => faults.add(place, problem),
        }
    }
}

fn check_health(path: &str, health: &HealthConfig, faults: &mut Faults) {
    match (health.check, &health.path) {
        (HealthCheckKind::Http, None) => {
            faults.add(format!("{path}.path"), "is missing: say what to ask, as in /healthz");
        }
        (HealthCheckKind::Http, Some(asked))
            if !asked.starts_with('/') || asked.parse::<http::Uri>().is_err() =>
        {
            faults.add(format!("{path}.path"), format!("`{asked}` is no path: begin it with /"));
        }
        (HealthCheckKind::Tcp | HealthCheckKind::Completion, Some(_)) => {
            faults.add(format!("{path}.path"), "is for `check: http` only: leave it out");
        }
        _ => {}
    }
    for (field, span) in [("every", health.every), ("timeout", health.timeout)] {
        if span.0.is_zero() {
            faults.add(format!("{path}.{field}"), "must be longer than zero");
        }
    }
}

fn check_model(
    path: &str,
    name: &str,
    model: &ModelConfig,
    config: &Config,
    faults: &mut Faults,
    notices: &mut Faults,
) {
    let known_model = |faults: &mut Faults, at: String, wanted: &str| {
        if !config.models.contains_key(wanted) {
            faults.add(at, unknown("model", wanted, config.models.keys()));
        } else if wanted == name {
            faults.add(at, "names the model itself: name another");
        }
    };
    for (index, deployment) in model.deployments.iter().enumerate() {
        if !config.providers.contains_key(&deployment.provider) {
            let at = format!("{path}.deployments[{index}].provider");
            faults.add(at, unknown("provider", &deployment.provider, config.providers.keys()));
        }
    }
    match (&model.route, model.deployments.is_empty()) {
        (None, true) => faults.add(path, "has neither deployments nor a route: add one of them"),
        (Some(_), false) => faults.add(path, "has both deployments and a route: keep one of them"),
        (Some(route), true) => {
            route::run(&format!("{path}.route"), name, route, config, faults, notices);
        }
        (None, false) => {}
    }
    if !model.deployments.is_empty() && model.deployments.iter().all(|deployment| deployment.weight == 0) {
        faults.add(format!("{path}.deployments"), "all have weight 0: give one of them a share");
    }
    let most = DeploymentSet::CAPACITY;
    if model.deployments.len() > most {
        faults.add(format!("{path}.deployments"), format!("are more than {most}: split the model"));
    }
    for (index, fallback) in model.fallbacks.iter().enumerate() {
        known_model(faults, format!("{path}.fallbacks[{index}]"), fallback);
    }
    for (field, span) in [
        ("connect", model.timeouts.connect),
        ("first_token", model.timeouts.first_token),
        ("idle", model.timeouts.idle),
        ("total", model.timeouts.total),
    ] {
        if span.0.is_zero() {
            faults.add(format!("{path}.timeouts.{field}"), "must be longer than zero");
        }
    }
    if let Some(hedge) = &model.hedge {
        if !(0.0..=0.5).contains(&hedge.share) {
            faults.add(format!("{path}.hedge.share"), "must lie between 0 and 0.5");
        }
        if hedge.quantile.is_some_and(|quantile| !(0.5..=1.0).contains(&quantile)) {
            faults.add(format!("{path}.hedge.quantile"), "must lie between 0.5 and 1");
        }
    }
    if model.route.is_some() && model.max_in_flight.is_some() {
        faults.add(format!("{path}.max_in_flight"), "belongs to the models that the route leads to: move it");
    }
}

fn keys(config: &Config, faults: &mut Faults, notices: &mut Faults) {
    let mut names = BTreeSet::new();
    for (index, key) in config.keys.iter().enumerate() {
        let path = format!("keys[{index}]");
        if !names.insert(&key.name) {
            faults.add(format!("{path}.name"), format!("`{}` is used twice: rename one", key.name));
        }
        if key.organization_id.as_deref().is_some_and(|id| !super::key::is_printable(id)) {
            let text = "is empty, too long or not printable: give up to 128 letters";
            faults.add(format!("{path}.organization_id"), text);
        }
        match key.key.resolve() {
            Err(problem) => faults.add(format!("{path}.key"), problem),
            Ok(_) if key.key.is_inline() => {
                notices.add(format!("{path}.key"), "a secret is written out: prefer env:NAME or file:PATH");
            }
            Ok(_) => {}
        }
        for (at, wanted) in key.models.iter().flatten().enumerate() {
            let provider = wanted.split_once('/').map(|(provider, _)| provider);
            let fits = wanted == "*"
                || config.models.contains_key(wanted)
                || provider.is_some_and(|provider| config.providers.contains_key(provider));
            if !fits {
                faults.add(format!("{path}.models[{at}]"), unknown("model", wanted, config.models.keys()));
            }
        }
        if key.budget.is_some() && config.store == NO_STORE {
            notices.add(format!("{path}.budget"), "begins anew with the process: set `store` to keep it");
        }
        if key.budget.is_some_and(|budget| !is_window(budget.per.0)) {
            let text =
                "a window is whole minutes up to an hour, and whole hours beyond: write for example 30d";
            faults.add(format!("{path}.budget.per"), text);
        }
    }
}

fn key_hash(config: &Config, faults: &mut Faults, notices: &mut Faults) {
    match &config.key_hash {
        None if config.store.starts_with("postgres") => {
            let text = "is missing: with PostgreSQL every gateway needs the same secret, as env:NAME or file:PATH; \
                        make one with `openssl rand -hex 32`";
            faults.add("key_hash", text);
        }
        None => {}
        Some(source) => match source.resolve() {
            Err(problem) => faults.add("key_hash", problem),
            Ok(secret) if secret.expose().len() < 16 => {
                faults.add("key_hash", "is shorter than 16 bytes: make one with `openssl rand -hex 32`");
            }
            Ok(_) if source.is_inline() => {
                notices.add("key_hash", "a secret is written out: prefer env:NAME or file:PATH");
            }
            Ok(_) => {}
        },
    }
}

fn store(config: &Config, faults: &mut Faults) {
    if config.store == NO_STORE {
        return;
    }
    if let Err(error) = store::check_location(&config.store) {
        // The path is in front of the fault already.
        let problem = error.to_string();
        faults.add("store", problem.strip_prefix("store: ").unwrap_or(&problem));
    }
}

fn backup(config: &Config, faults: &mut Faults) {
    let Some(backup) = &config.backup else { return };
    if config.store == NO_STORE {
        faults.add("backup", "has nothing to back up: set `store`");
    }
    if backup.every.0 < MINUTE {
        faults.add("backup.every", "is shorter than a minute: write for example 24h");
    }
    if backup.keep == 0 {
        faults.add("backup.keep", "would delete every backup: keep at least 1");
    }
}

fn cluster(config: &Config, faults: &mut Faults, notices: &mut Faults) {
    let Some(cluster) = &config.cluster else { return };
    match cluster.url.resolve() {
        Err(problem) => faults.add("cluster", problem),
        Ok(url) => {
            if let Err(problem) = cluster::Cluster::check(&url) {
                faults.add("cluster", problem.to_string());
            }
            if cluster.url.is_inline() && url.expose().contains('@') {
                notices.add(
                    "cluster",
                    "a password is written out: prefer env:NAME or file:PATH for the address",
                );
            }
        }
    }
    if cluster.deadline.0.is_zero() || cluster.deadline.0 > LONGEST_DEADLINE {
        faults.add("cluster.deadline", "must lie between 1ms and 1s: write for example 25ms");
    }
    if config.store == NO_STORE || config.store.starts_with("sqlite") {
        let text = "shares limits; keys and spend are shared by gateways on one PostgreSQL: see `store`";
        notices.add("cluster", text);
    }
}

fn cache(config: &Config, faults: &mut Faults, notices: &mut Faults) {
    let Some(cache) = &config.cache else { return };
    for (path, size) in [
        ("cache.memory", cache.memory.map(|size| (size, LEAST_CACHE_MEMORY))),
        ("cache.disk.size", cache.disk.as_ref().map(|disk| (disk.size, LEAST_CACHE_DISK))),
    ] {
        if let Some((_, least)) = size.filter(|(size, least)| size.0 < *least) {
            faults.add(path, format!("is too small: give it at least {}MiB", least >> 20));
        }
    }
    let key = cache.disk.as_ref().and_then(|disk| disk.key.as_ref());
    for (path, key) in [("cache.disk.key", key), ("cache.key", cache.key.as_ref())] {
        if let Some(Err(problem)) = key.map(key_bytes) {
            faults.add(path, problem);
        }
    }
    if cache.disk.as_ref().is_some_and(|disk| disk.key.is_none()) {
        let text = "is missing: kept answers are on disk as they are; make one with `openssl rand -hex 32`";
        notices.add("cache.disk.key", text);
    }
    if cache.shared.deadline.0.is_zero() || cache.shared.deadline.0 > LONGEST_DEADLINE {
        faults.add("cache.shared.deadline", "must lie between 1ms and 1s: write for example 3ms");
    }
    if cache.exact.is_some_and(|exact| exact.ttl.0.is_zero()) {
        faults.add("cache.exact.ttl", "must be longer than zero");
    }
    if let Some(semantic) = &cache.semantic {
        for (path, share) in [
            ("cache.semantic.max_error", semantic.max_error),
            ("cache.semantic.audit_share", semantic.audit_share),
        ] {
            if !(0.0..=1.0).contains(&share) {
                faults.add(path, "must be a share from 0 to 1: write for example 0.01");
            }
        }
        if semantic.audit_usd.is_nan() || semantic.audit_usd < 0.0 {
            faults.add("cache.semantic.audit_usd", "must be an amount in USD: write for example 1.0");
        }
        if semantic.memory.0 < LEAST_CACHE_MEMORY {
            faults.add(
                "cache.semantic.memory",
                format!("is too small: give it at least {}MiB", LEAST_CACHE_MEMORY >> 20),
            );
        }
        if semantic.audit_share == 0.0 {
            notices
                .add("cache.semantic.audit_share", "is 0: no hit is checked any more once hits are served");
        }
        minilm(config, semantic, faults, notices);
    }
}

fn embedders(config: &Config, notices: &mut Faults) {
    if config.cache.as_ref().is_some_and(|cache| cache.semantic.is_some()) {
        return;
    }
    for (name, _) in config.models.iter().filter(|(_, model)| model.embedder.is_some()) {
        let path = format!("models.{name}.embedder");
        notices.add(path, "has no effect: there is no `cache.semantic` that wants vectors");
    }
}

fn minilm(config: &Config, semantic: &SemanticCacheConfig, faults: &mut Faults, notices: &mut Faults) {
    let minilm = &semantic.minilm;
    if minilm.deadline.0.is_zero() || minilm.deadline.0 > LONGEST_DEADLINE {
        faults.add("cache.semantic.minilm.deadline", "must lie between 1ms and 1s: write for example 20ms");
    }
    if !(16..=512).contains(&minilm.max_tokens) {
        faults.add("cache.semantic.minilm.max_tokens", "must lie between 16 and 512");
    }
    if !(1..=64).contains(&minilm.threads) {
        faults.add("cache.semantic.minilm.threads", "must lie between 1 and 64");
    }
    if !(1..=65_536).contains(&minilm.queue) {
        faults.add("cache.semantic.minilm.queue", "must lie between 1 and 65536");
    }
    if !config.wants_minilm() {
        return;
    }
    let folder = minilm_folder(minilm.path.as_deref());
    if !folder.join("model.onnx").is_file() {
        let text = format!(
            "{} has no model.onnx: run scripts/fetch-minilm; until then the built-in table makes the vectors",
            folder.display()
        );
        notices.add("cache.semantic.minilm.path", text);
    }
    if !library_places(&config.router).iter().any(|place| place.is_file()) {
        let text = "is minilm, and ONNX Runtime is not there: run scripts/fetch-onnxruntime and set `router.library`; \
                    until then the built-in table makes the vectors";
        notices.add("cache.semantic.embedder", text);
    }
}

fn unknown<'a>(what: &str, name: &str, known: impl Iterator<Item = &'a String> + Clone) -> String {
    match closest(name, known.clone().map(String::as_str)) {
        Some(near) => format!("`{name}` is not a known {what}: did you mean `{near}`?"),
        None => {
            let known = known.map(String::as_str).collect::<Vec<_>>().join(", ");
            format!("`{name}` is not a known {what}: known are {known}")
        }
    }
}

/// Spend is summed up by the minute for the last hours and by the hour for ever.
fn is_window(period: Duration) -> bool {
    let step = if period <= HOUR { MINUTE } else { HOUR };
    !period.is_zero() && period.as_millis().is_multiple_of(step.as_millis())
}
