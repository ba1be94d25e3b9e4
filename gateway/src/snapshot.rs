//! The immutable resolved configuration. One request sees one snapshot from its first phase to its
//! last; a reload swaps the whole of it.

mod deployments;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use domain::{ModelName, ProviderName, Secret};
use subtle::ConstantTimeEq;

use crate::alerts::AlertRules;
use crate::budgets::BudgetBook;
use crate::config::{Affinity, CacheUse, Coalesce, Config, Embedder, LimitConfig, ModelConfig, ResumeMode};
use crate::credentials::CredentialTable;
use crate::keys::{KeyHash, KeyTable, Principal};
use crate::limits::{HedgeBudget, InFlightLimit, InFlightRule, LimitBook};
use crate::routing::{Classifiers, Route};
use crate::telemetry::Metrics;
use crate::upstream::{Backoff, Balancer, CooldownRule, Deployment, Provider, Registry};

use deployments::{Deployments, catalogue_spec};

/// Everything a request needs to know.
#[derive(Debug)]
pub struct Snapshot {
    /// Public names and virtual models.
    pub models: HashMap<ModelName, Arc<Model>>,
    /// By name.
    pub providers: HashMap<ProviderName, Arc<Provider>>,
    /// Virtual keys by hash.
    pub keys: KeyTable,
    /// Who is told of alerts.
    pub alerts: Arc<AlertRules>,
    /// What the admin API asks for; None: nothing.
    admin_token: Option<Secret>,
    /// Bounds on one request.
    pub limits: LimitConfig,
    /// Targets asked for as `provider/model`, one for each credential of a provider: their metrics and state.
    direct: HashMap<ProviderName, Vec<Arc<Deployment>>>,
}

/// One public model.
#[derive(Debug)]
pub struct Model {
    /// Its public name.
    pub name: ModelName,
    /// Its targets; empty for a virtual model.
    pub deployments: Vec<Arc<Deployment>>,
    /// Who is next.
    pub balancer: Balancer,
    /// What keeps requests on one deployment.
    pub affinity: Affinity,
    /// Attempts at one deployment, at most.
    pub attempts: u32,
    /// The wait between them.
    pub backoff: Backoff,
    /// How long to wait for what.
    pub timeouts: Timeouts,
    /// How a broken stream goes on.
    pub resume: ResumeMode,
    /// Second attempts for slow requests.
    pub hedge: Option<Hedge>,
    /// Which identical requests share one upstream call.
    pub coalesce: Coalesce,
    /// Whether its answers are kept, when there is a cache.
    pub caches: bool,
    /// What makes vectors of its questions, where that is not the cache's to say.
    pub embedder: Option<Embedder>,
    /// When a deployment leaves the rotation.
    pub cooldown: CooldownRule,
    /// How many requests may be in flight; None without a limit.
    pub limit: Option<Arc<InFlightLimit>>,
    /// How long a request may wait for one of those places.
    pub queue_wait: Duration,
    /// Models to try next.
    pub fallbacks: Vec<ModelName>,
    /// Whether fields that a target cannot express are dropped.
    pub drop_params: bool,
    /// Where a virtual model leads.
    pub route: Option<Route>,
}

/// When a slow request gets a second attempt.
#[derive(Debug)]
pub struct Hedge {
    /// The share of recent answers that began sooner.
    pub quantile: f64,
    /// How many there may be.
    pub budget: HedgeBudget,
}

/// A model's time-outs.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// For a connection.
    pub connect: Duration,
    /// For a stream's first token.
    pub first_token: Duration,
    /// For an unstreamed answer to begin.
    pub answer: Duration,
    /// Between two reads.
    pub idle: Duration,
    /// A stream slower than this counts as stalled, in characters per second; 0 is off.
    pub min_chars_per_second: u32,
    /// For the request as a whole.
    pub total: Duration,
}

impl Snapshot {
    /// Resolves a checked configuration with the credentials that the store has. State that must outlive a reload
    /// comes from `registry` and `limits`.
    ///
    /// # Errors
    /// When a secret has gone since the check.
    pub fn new(
        config: &Config,
        credentials: &CredentialTable,
        registry: &Registry,
        limits: &LimitBook,
        budgets: &BudgetBook,
        metrics: &Metrics,
    ) -> Result<Self, String> {
        let mut providers = HashMap::new();
        for (name, provider) in &config.providers {
            let provider = Provider::new(name, provider, credentials.of(name))
                .map_err(|problem| format!("providers.{name}: {problem}"))?;
            providers.insert(ProviderName::from(name.as_str()), provider);
        }
        let make = Deployments { registry, limits: limits.in_flight(), metrics };
        let mut models = HashMap::new();
        let mut classifiers = Classifiers::new(&metrics.routes, &config.router);
        for (name, model) in &config.models {
            let deployments = make.of_model(name, model, &providers);
            let limit = model.max_in_flight.map(|max| {
                let rule = InFlightRule { max, length: model.queue.length as usize };
                limits.in_flight().of(name.clone(), rule, || Some(metrics.overload.in_flight_limit(name)))
            });
            let route = model.route.as_ref().map(|route| Route::new(route, config, &mut classifiers));
            let name = ModelName::from(name.as_str());
            models.insert(name.clone(), Arc::new(Model::new(name, model, limit, deployments, route)));
        }
        let direct = providers.iter().map(|(name, provider)| (name.clone(), make.direct(provider))).collect();
        let keys = KeyTable::new(config, limits, budgets)?;
        let admin_token = config.admin.token.as_ref().map(|token| token.resolve()).transpose();
        let admin_token = admin_token.map_err(|problem| format!("admin.token: {problem}"))?;
        let alerts = Arc::new(AlertRules::new(&config.alerts)?);
        Ok(Self { models, providers, keys, alerts, admin_token, limits: config.limits, direct })
    }

    /// The model a client asks for: a public name, or `provider/model`.
    pub fn model(&self, wanted: &str) -> Option<Arc<Model>> {
        if let Some(model) = self.models.get(wanted) {
            return Some(model.clone());
        }
        let (provider, upstream_model) = wanted.split_once('/')?;
        let templates = self.direct.get(provider)?;
        let deployments = templates.iter().map(|it| Arc::new(named(it, upstream_model))).collect();
        // The label is `provider/*`: a name that the client chose must not become one.
        let label = ModelName::from(format!("{provider}/*"));
        Some(Arc::new(Model::new(label, &ModelConfig::default(), None, deployments, None)))
    }

    /// A model with deployments; of a virtual one the default of its route.
    pub fn concrete(&self, name: &ModelName) -> Option<&Arc<Model>> {
        let model = self.models.get(name)?;
        let default = model.route.as_ref().and_then(Route::stands_for);
        Some(default.and_then(|name| self.models.get(name)).unwrap_or(model))
    }

    /// The only virtual model that chooses from a pair; None when there are several.
    pub fn only_route(&self) -> Option<&Arc<Model>> {
        let mut routes =
            self.models.values().filter(|model| model.route.as_ref().is_some_and(|route| route.is_pair));
        routes.next().filter(|_| routes.next().is_none())
    }

    /// Those that stand for a provider as a whole, one for each of its credentials.
    pub fn direct(&self, provider: &str) -> &[Arc<Deployment>] {
        self.direct.get(provider).map(Vec::as_slice).unwrap_or_default()
    }

    /// The target of a provider's raw pass-through, where `chosen` stands for the provider as a whole; with the upstream's
    /// name of a model it is known what that costs, by the price of a deployment of the same or by the catalogue.
    pub fn pass_through(&self, chosen: &Arc<Deployment>, upstream_model: Option<&str>) -> Arc<Deployment> {
        let Some(upstream_model) = upstream_model else { return chosen.clone() };
        let same = self.models.values().flat_map(|model| &model.deployments).find(|deployment| {
            deployment.upstream_model == upstream_model
                && deployment.provider.name == chosen.provider.name
                && deployment.price.is_some()
        });
        let mut target = named(chosen, upstream_model);
        target.price = same.and_then(|same| same.price).or(target.price);
        Arc::new(target)
    }

    /// All deployments of a provider, in every model.
    pub fn deployments_of(&self, provider: &Arc<Provider>) -> Vec<Arc<Deployment>> {
        let all =
            self.models.values().flat_map(|model| &model.deployments).chain(self.direct.values().flatten());
        let mut found: Vec<Arc<Deployment>> = Vec::new();
        for deployment in all.filter(|deployment| Arc::ptr_eq(&deployment.provider, provider)) {
            // Two models may name the same one.
            if !found.iter().any(|known| Arc::ptr_eq(&known.state, &deployment.state)) {
                found.push(deployment.clone());
            }
        }
        found
    }

    /// Is this the token of the admin API? Compared in constant time.
    pub fn is_admin_token(&self, given: &[u8]) -> bool {
        let token = self.admin_token.as_ref().map(|token| KeyHash::of(token.expose().as_bytes()));
        token.is_some_and(|token| bool::from(token.ct_eq(&KeyHash::of(given))))
    }

    /// Is there a token for the admin API?
    pub fn has_admin_token(&self) -> bool {
        self.admin_token.is_some()
    }

    /// Public names a principal may ask for, sorted.
    pub fn visible_models(&self, principal: &Principal) -> Vec<&Arc<Model>> {
        let mut models: Vec<_> =
            self.models.values().filter(|model| principal.may_use(model.name.as_str(), true)).collect();
        models.sort_by(|a, b| a.name.cmp(&b.name));
        models
    }

    /// Their names, for telling a client that asked for another.
    pub fn visible_names(&self, principal: &Principal) -> String {
        let visible = self.visible_models(principal);
        visible.iter().map(|model| model.name.as_str()).collect::<Vec<_>>().join(", ")
    }
}

/// A provider's direct deployment, for the model that a client names.
fn named(template: &Deployment, upstream_model: &str) -> Deployment {
    let spec = catalogue_spec(&template.provider, upstream_model);
    Deployment {
        id: template.id.clone(),
        provider: template.provider.clone(),
        credential: template.credential.clone(),
        lacks_credential: template.lacks_credential,
        target: template.target,
        upstream_model: upstream_model.to_owned(),
        weight: template.weight,
        prefill: template.provider.spec.prefills(upstream_model),
        price: spec.and_then(|spec| spec.price),
        spec,
        limit: template.limit,
        in_flight_limit: None,
        state: template.state.clone(),
        series: template.series.clone(),
    }
}

impl Model {
    fn new(
        name: ModelName,
        config: &ModelConfig,
        limit: Option<Arc<InFlightLimit>>,
        deployments: Vec<Arc<Deployment>>,
        route: Option<Route>,
    ) -> Self {
        let balancer = Balancer::new(config.balance, &deployments);
        let timeouts = &config.timeouts;
        Self {
            name,
            balancer,
            affinity: config.affinity,
            resume: config.resume,
            attempts: config.retries.attempts.max(1),
            backoff: Backoff { initial: config.retries.backoff.initial.0, max: config.retries.backoff.max.0 },
            timeouts: Timeouts {
                connect: timeouts.connect.0,
                first_token: timeouts.first_token.0,
                answer: timeouts.answer.map_or(timeouts.first_token.0 * 4, |answer| answer.0),
                idle: timeouts.idle.0,
                min_chars_per_second: config.min_chars_per_second,
                total: timeouts.total.0,
            },
            hedge: config.hedge.filter(|hedge| hedge.share > 0.0).map(|hedge| Hedge {
                quantile: hedge.quantile.unwrap_or(1.0 - hedge.share),
                budget: HedgeBudget::new(hedge.share),
            }),
            coalesce: config.coalesce,
            caches: config.cache == CacheUse::On,
            embedder: config.embedder,
            cooldown: CooldownRule { failures: config.cooldown.failures, open: config.cooldown.open.0 },
            limit,
            queue_wait: config.queue.wait.0,
            fallbacks: config.fallbacks.iter().map(|name| ModelName::from(name.as_str())).collect(),
            drop_params: config.drop_params,
            route,
            deployments,
        }
    }
}
