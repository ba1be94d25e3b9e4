//! From the configured targets to deployments: one for each credential that a target may use, each with a state of its
//! own, so that balancing, cooldown and quotas know credentials apart without knowing of them.

use std::collections::HashMap;
use std::sync::Arc;

use domain::{DeploymentId, Micros, Price, ProviderName};
use providers::ModelSpec;

use crate::config::{DeploymentConfig, MaxInFlight, ModelConfig, PriceConfig};
use crate::limits::{InFlightBook, InFlightLimit, InFlightRule};
use crate::telemetry::{DeploymentLabels, Metrics};
use crate::upstream::{Credential, Deployment, DeploymentSet, Provider, RateLimit, Registry};

/// What a whole target's weight is divided into where a target of the model has several credentials.
const PARTS: u64 = 1_000;

/// Makes deployments.
#[derive(Clone, Copy)]
pub(super) struct Deployments<'a> {
    /// Keeps their state.
    pub(super) registry: &'a Registry,
    /// Keeps their places.
    pub(super) limits: &'a InFlightBook,
    /// Keeps their series.
    pub(super) metrics: &'a Metrics,
}

/// One target of a model.
struct Target<'a> {
    model: &'a str,
    config: &'a DeploymentConfig,
    provider: &'a Arc<Provider>,
    /// How many targets before it are the same.
    ordinal: usize,
    /// Its position among the model's targets.
    position: usize,
}

impl Deployments<'_> {
    /// Of one model.
    pub(super) fn of_model(
        self,
        model: &str,
        config: &ModelConfig,
        providers: &HashMap<ProviderName, Arc<Provider>>,
    ) -> Vec<Arc<Deployment>> {
        let targets: Vec<Target<'_>> = config
            .deployments
            .iter()
            .enumerate()
            .filter_map(|(position, target)| {
                let provider = providers.get(target.provider.as_str())?;
                let before = config.deployments.iter().take(position);
                let is_same =
                    |it: &&DeploymentConfig| it.provider == target.provider && it.model == target.model;
                let ordinal = before.filter(is_same).count();
                Some(Target { model, config: target, provider, ordinal, position })
            })
            .collect();
        let parts = if targets.iter().any(|target| target.credentials().count() > 1) { PARTS } else { 1 };
        let mut deployments: Vec<_> =
            targets.iter().flat_map(|target| self.of_target(target, parts)).collect();
        if deployments.len() > DeploymentSet::CAPACITY {
            tracing::warn!(
                model,
                most = DeploymentSet::CAPACITY,
                "has too many credentials: some are not used"
            );
            deployments.truncate(DeploymentSet::CAPACITY);
        }
        deployments
    }

    /// For requests that name the provider's model themselves.
    pub(super) fn direct(self, provider: &Arc<Provider>) -> Vec<Arc<Deployment>> {
        let config = DeploymentConfig {
            provider: provider.name.to_string(),
            model: "*".to_owned(),
            credential: None,
            weight: 1,
            prefill: None,
            price: None,
            rpm: None,
            tpm: None,
            max_in_flight: None,
        };
        let model = format!("{}/*", provider.name);
        let target = Target { model: &model, config: &config, provider, ordinal: 0, position: 0 };
        let parts = if provider.credentials.len() > 1 { PARTS } else { 1 };
        self.of_target(&target, parts)
    }

    /// One for each credential; one without any where none is needed, or to show that it is missing.
    fn of_target(self, target: &Target<'_>, parts: u64) -> Vec<Arc<Deployment>> {
        let credentials: Vec<_> = target.credentials().cloned().map(Some).collect();
        let credentials = if credentials.is_empty() { vec![None] } else { credentials };
        let make = |credential| Arc::new(self.deployment(target, credential, parts));
        credentials.into_iter().map(make).collect()
    }

    fn deployment(self, target: &Target<'_>, credential: Option<Arc<Credential>>, parts: u64) -> Deployment {
        let Target { model, config, provider, ordinal, position } = *target;
        let id = target.id(credential.as_deref());
        let label =
            match credential.as_deref().filter(|credential| !self.registry.may_label(&credential.name)) {
                Some(_) => format!("{}@other", target.id(None)),
                None => id.clone(),
            };
        let labels = DeploymentLabels { model, provider: &config.provider, deployment: &label };
        let limit = RateLimit { rpm: config.rpm.map_or(0, u64::from), tpm: config.tpm.unwrap_or(0) };
        let state = self.registry.state(provider, &config.model, ordinal, credential.as_deref());
        if limit.rpm > 0 || limit.tpm > 0 {
            state.rates.count();
        }
        let spec = catalogue_spec(provider, &config.model);
        let mut deployment = Deployment {
            series: self.metrics.deployment(&labels),
            id: DeploymentId::from(id),
            provider: provider.clone(),
            weight: target.share(credential.as_deref(), parts),
            lacks_credential: credential.is_none() && target.needs_credential(),
            credential,
            target: position,
            upstream_model: config.model.clone(),
            prefill: config.prefill.unwrap_or_else(|| provider.spec.prefills(&config.model)),
            price: config.price.map(price).or_else(|| spec?.price),
            spec,
            limit,
            in_flight_limit: None,
            state,
        };
        deployment.in_flight_limit = config.max_in_flight.map(|max| self.places(&deployment, max));
        deployment
    }

    /// By address and not by model: two models that share a deployment share its places.
    fn places(self, deployment: &Deployment, max: MaxInFlight) -> Arc<InFlightLimit> {
        let origin = &deployment.provider.origin;
        // No model's name begins with a space.
        let name = format!(" {} {} {}", origin.host_header(), origin.path, deployment.id);
        self.limits.of(name, InFlightRule { max, length: 0 }, || None)
    }
}

impl Target<'_> {
    /// Those that it may use.
    fn credentials(&self) -> impl Iterator<Item = &Arc<Credential>> {
        let wanted = self.config.credential.as_deref();
        let all = self.provider.credentials.iter();
        all.filter(move |credential| wanted.is_none_or(|wanted| *credential.name == *wanted))
    }

    fn needs_credential(&self) -> bool {
        self.provider.needs_credential || self.config.credential.is_some()
    }

    /// `provider/model`, the second of the same `provider/model#2`, with another credential than `api_key`
    /// `provider/model@credential`.
    fn id(&self, credential: Option<&Credential>) -> String {
        let mut id = format!("{}/{}", self.config.provider, self.config.model);
        if self.ordinal > 0 {
            id = format!("{id}#{}", self.ordinal + 1);
        }
        match credential.filter(|credential| *credential.name != *self.provider.name.as_str()) {
            Some(credential) => format!("{id}@{}", credential.name),
            None => id,
        }
    }

    /// The part of the target's weight that falls to this credential while all of its priority can be asked.
    fn share(&self, credential: Option<&Credential>, parts: u64) -> u32 {
        let whole = u64::from(self.config.weight) * parts;
        let share = match credential {
            None if self.needs_credential() => 0,
            None => whole,
            Some(credential) => {
                let equals = self.credentials().filter(|other| other.priority == credential.priority);
                let sum: u64 = equals.map(|other| u64::from(other.weight)).sum();
                let share = whole * u64::from(credential.weight) / sum.max(1);
                // What is not drained gets something.
                if whole > 0 && credential.weight > 0 { share.max(1) } else { 0 }
            }
        };
        u32::try_from(share).unwrap_or(u32::MAX)
    }
}

/// What the catalogue knows of a provider's model.
pub(super) fn catalogue_spec(provider: &Provider, model: &str) -> Option<&'static ModelSpec> {
    providers::catalogue().model(&provider.spec.kind, model)
}

fn price(config: PriceConfig) -> Price {
    // USD per million tokens to micro-dollars per million tokens.
    let micros = |usd| Micros::from_usd(usd).0;
    Price {
        input: micros(config.input),
        output: micros(config.output),
        cached_input: config.cached_input.map(micros),
        cache_write: config.cache_write.map(micros),
        reasoning: None,
    }
}
