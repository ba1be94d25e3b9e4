//! One callable target and its live state.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use domain::{DeploymentId, Micros, Price, Usage};
use providers::{ModelSpec, WireFormat};

use super::{Cooldown, Credential, PeakEwma, Provider, Quantiles, Quota, RateLimit, Rates};
use crate::alerts::raise;
use crate::config::AlertKind;
use crate::limits::{InFlightLimit, Place};
use crate::telemetry::DeploymentSeries;

/// A credential that the provider refuses stays refused for a while.
const CREDENTIAL_COOLDOWN: Duration = Duration::from_secs(60);
/// A failure counts as an answer this slow, or one that fails at once would look like the fastest.
const FAILURE_LATENCY: Duration = Duration::from_secs(1);

/// Provider + upstream model + credential + weight, as one model of one snapshot sees it.
#[derive(Debug)]
pub struct Deployment {
    /// Its name in headers, logs and metrics.
    pub id: DeploymentId,
    /// Whose it is.
    pub provider: Arc<Provider>,
    /// Whose key its requests carry; None where the provider asks for none.
    pub credential: Option<Arc<Credential>>,
    /// There is none, and the provider asks for one.
    pub lacks_credential: bool,
    /// Which of the model's configured targets it belongs to, with one deployment for each credential.
    pub target: usize,
    /// The model's name at the provider.
    pub upstream_model: String,
    /// Its share; 0 is drained.
    pub weight: u32,
    /// Its model goes on with an answer that the request has begun.
    pub prefill: bool,
    /// What it charges, when known.
    pub price: Option<Price>,
    /// What the catalogue knows of its model.
    pub spec: Option<&'static ModelSpec>,
    /// What is configured of its requests and tokens per minute.
    pub limit: RateLimit,
    /// How many attempts may be in flight; None without a limit.
    pub in_flight_limit: Option<Arc<InFlightLimit>>,
    /// What outlives a reload.
    pub state: Arc<DeploymentState>,
    /// Its metrics.
    pub series: Arc<DeploymentSeries>,
}

/// What a deployment is doing now; shared by all snapshots that know it.
#[derive(Debug, Default)]
pub struct DeploymentState {
    in_flight: AtomicU32,
    /// Its breaker.
    pub cooldown: Cooldown,
    /// What its provider says is left.
    pub quota: Quota,
    /// What was sent to it in the last minute.
    pub rates: Rates,
    /// The mean length of its answers in sixteenths of a token; 0 before the first.
    answer_length: AtomicU64,
    stream_latency: PeakEwma,
    whole_latency: PeakEwma,
    stream_quantiles: OnceLock<Box<Quantiles>>,
    whole_quantiles: OnceLock<Box<Quantiles>>,
}

/// A deployment has as many requests in flight as it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

/// Counts one running attempt until it is dropped.
#[derive(Debug)]
pub struct InFlight(Arc<DeploymentState>);

impl Deployment {
    /// What a request takes from the provider's quota when it is sent. Anthropic counts an answer's tokens
    /// when they are there, OpenAI the most there may be.
    pub fn quota_tokens(&self, prompt: u64, completion: u64) -> u64 {
        match self.provider.spec.format {
            WireFormat::Anthropic => prompt,
            _ => prompt.saturating_add(completion),
        }
    }

    /// May a request that is bound to credentials of these names be sent with its own?
    pub fn may_use(&self, credentials: Option<&[String]>) -> bool {
        match (credentials, &self.credential) {
            (Some(names), Some(own)) => names.iter().any(|name| **name == *own.name),
            _ => true,
        }
    }

    /// Which of its target's deployments go first: those with the lowest number.
    pub fn priority(&self) -> u32 {
        self.credential.as_ref().map_or(0, |credential| credential.priority)
    }

    /// A place among its requests in flight; None when they have no limit.
    ///
    /// # Errors
    /// When it is full.
    pub fn enter(&self) -> Result<Option<Place>, Full> {
        match &self.in_flight_limit {
            Some(limit) => limit.try_enter().map(Some).ok_or(Full),
            None => Ok(None),
        }
    }

    /// What it charges for an answer, when known.
    pub fn cost(&self, usage: &Usage) -> Option<Micros> {
        Some(self.price?.cost(usage))
    }

    /// Its provider refused the credential: out at once, and somebody has to mend it.
    pub fn credential_refused(&self, now: Instant) {
        self.state.cooldown.open(CREDENTIAL_COOLDOWN, now);
        let id = self.id.as_str();
        let named = self.credential.as_ref().map(|credential| format!(" `{}`", credential.name));
        let named = named.unwrap_or_default();
        let message = format!("The provider of {id} refuses the credential{named}: replace it.");
        raise(AlertKind::CredentialRefused, id, message);
        tracing::error!(deployment = self.id.as_str(), "the provider refuses the credential");
    }
}

impl DeploymentState {
    /// Attempts running now.
    pub fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// An answer was so long, in tokens. The mean forgets all but the last dozens.
    pub fn answered(&self, tokens: u64) {
        let known = self.answer_length.load(Ordering::Relaxed);
        // Of two answers at once one may be lost.
        let next = if known == 0 { tokens * 16 } else { known - known / 16 + tokens };
        self.answer_length.store(next, Ordering::Relaxed);
    }

    /// How long its answers are; None before the first.
    pub fn usual_answer(&self) -> Option<u64> {
        let known = self.answer_length.load(Ordering::Relaxed);
        (known > 0).then_some(known.div_ceil(16))
    }

    /// The time to the first token of a stream, or to a whole answer.
    pub fn latency(&self, stream: bool) -> &PeakEwma {
        if stream { &self.stream_latency } else { &self.whole_latency }
    }

    /// The distribution of the same times; made when it is first asked for.
    pub fn quantiles(&self, stream: bool) -> &Quantiles {
        let quantiles = if stream { &self.stream_quantiles } else { &self.whole_quantiles };
        quantiles.get_or_init(Box::default)
    }

    /// An attempt failed through the deployment's fault after this long.
    pub fn failed_after(&self, waited: Duration, stream: bool, now: Instant) {
        self.latency(stream).observe(waited.max(FAILURE_LATENCY), now);
    }

    /// Begins an attempt.
    pub fn begin(self: &Arc<Self>) -> InFlight {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        InFlight(self.clone())
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}
